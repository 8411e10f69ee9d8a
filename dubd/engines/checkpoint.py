"""Read PyTorch checkpoints of strangers: tensors and plain values alone, never code; one clear line where it fails.

Reads what `torch.save` writes, as a zip and as it was before PyTorch 1.6, and TorchScript archives.
Imports torch: for engines' `load`, inside a worker.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch

from dubd.engines import torchscript
from dubd.errors import DubdError
from dubd.models import store

_UNSAFE: Final = re.compile(r"(?:GLOBAL|class|function|Unsupported class) ([A-Za-z_][\w.]+)")
_UNPACKED: Final = 64 << 20  # bytes that an archive may hold beyond twice its own: its tensors are never packed
_AGAIN: Final = "download it again"
_SAVED: Final = "only what torch.save wrote is read: get that from its publisher"
# What is saved in a model's place when a download goes wrong, or was never a checkpoint, by its first bytes. PyTorch
# before 1.6 began a file with a pickle too, of its own number.
_INSTEAD: Final = (
    (re.compile(rb"\s*<(?:!doctype|html|\?xml)", re.IGNORECASE), "a web page", _AGAIN),
    (re.compile(rb"version https://git-lfs"), "a pointer of git-lfs", _AGAIN),
    (re.compile(rb"\Z"), "an empty file", _AGAIN),
    (re.compile(rb"\x80[\x02-\x05](?!\x8a\x0al\xfc\x9cF\xf9)"), "a raw pickle, which could run anything", _SAVED),
    (re.compile(rb"GGUF"), "a model of llama.cpp (GGUF)", _SAVED),
)


def read(path: Path, stage: str) -> Any:
    """What `torch.save` wrote to `path`, on the CPU; of a TorchScript archive its state dict.

    Errors: DubdError where the file is not there, is none, is cut short, or holds anything but data.
    """
    try:
        path.open("rb").close()
    except FileNotFoundError as error:
        remedy = "dubd models pull, or mend the path in the rule"
        raise DubdError("no checkpoint there", file=path, stage=stage, remedy=remedy) from error
    except IsADirectoryError as error:
        remedy = "name the checkpoint's own file, a .pt or .pth"
        raise DubdError("a folder, and no checkpoint", file=path, stage=stage, remedy=remedy) from error
    except OSError as error:
        raise DubdError(error.strerror or str(error), file=path, stage=stage, remedy="name a file to read") from error
    no_bomb(path, stage)
    try:
        if torchscript.is_script(path):
            return torchscript.tensors(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except pickle.UnpicklingError as error:
        if found := _UNSAFE.search(str(error)):
            raise DubdError(
                f"the checkpoint wants to run {found[1]}: it is not only weights, and was not loaded",
                file=path,
                stage=stage,
                remedy="get it from its publisher",
            ) from error
        raise _broken(path, stage) from error
    except Exception as error:  # damaged bytes make a reader fail in any way
        raise _broken(path, stage) from error


def no_bomb(path: Path, stage: str) -> None:
    """Errors: DubdError where `path` is a zip of far more bytes than it has: some hundred KB can fill the memory.

    PyTorch packs only the program of a TorchScript archive, and unpacks whatever is packed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            holds = sum(entry.file_size for entry in archive.infolist())
    except Exception:  # no zip, or damaged bytes, which fail in any way: what reads it tells
        return
    if holds > 2 * path.stat().st_size + _UNPACKED:
        reason = f"its {path.stat().st_size} bytes unpack to {holds}: no checkpoint is packed, and it was not loaded"
        raise DubdError(reason, file=path, stage=stage, remedy=_SAVED)


def weights(read: Any, *path: str) -> dict[str, torch.Tensor]:
    """The state dict in what was read: under `path` where it is there, else the whole; `module.` prefixes taken off.

    Errors: ValueError where there is none.
    """
    found = read
    for name in path:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
    if not (isinstance(found, Mapping) and found and all(isinstance(one, torch.Tensor) for one in found.values())):
        raise ValueError("no weights in it")
    return {re.sub(r"^(?:module\.)+", "", key): one for key, one in found.items()}


def _broken(path: Path, stage: str) -> DubdError:
    with path.open("rb") as file:
        start = file.read(256)
    for pattern, instead, remedy in _INSTEAD:
        if pattern.match(start):
            return DubdError(f"not a checkpoint but {instead}", file=path, stage=stage, remedy=remedy)
    return DubdError(
        "not a whole PyTorch checkpoint",
        file=path,
        stage=stage,
        remedy=f"it may be cut short: {store.again(path)}",
    )
