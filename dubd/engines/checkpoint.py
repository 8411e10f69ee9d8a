"""Read PyTorch checkpoints of strangers: tensors and plain values alone, never code; one clear line where it fails.

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

from dubd.errors import DubdError

_UNSAFE: Final = re.compile(r"(?:GLOBAL|class|function|Unsupported (?:class|operand)) ([\w.]+)")


def read(path: Path, stage: str) -> Any:
    """What `torch.save` wrote to `path`, on the CPU; of a TorchScript archive its state dict.

    Errors: DubdError where the file is not there, is none, is cut short, or holds anything but data.
    """
    try:
        if _is_script(path):
            return dict(torch.jit.load(str(path), map_location="cpu").state_dict())
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise DubdError("no checkpoint there", file=path, stage=stage, remedy="dubd models pull") from error
    except pickle.UnpicklingError as error:
        if found := _UNSAFE.search(str(error)):
            raise DubdError(
                f"the checkpoint wants to run {found[1]}: it is not only weights, and was not loaded",
                file=path,
                stage=stage,
                remedy="get it from its publisher",
            ) from error
        raise _broken(path, stage) from error
    except (RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise _broken(path, stage) from error


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
    return {key.removeprefix("module."): one for key, one in found.items()}


def _is_script(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _broken(path: Path, stage: str) -> DubdError:
    return DubdError(
        "not a whole PyTorch checkpoint",
        file=path,
        stage=stage,
        remedy="it may be cut short: download it again (dubd models verify tells which are whole)",
    )
