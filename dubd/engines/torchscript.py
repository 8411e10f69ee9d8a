"""The tensors of a TorchScript archive, read without running anything that it holds.

An archive is a zip: `data.pkl` is the module's attributes as a pickle, `data/<key>` the bytes of each storage, `code/`
the program. PyTorch's own loader compiles and may run that program, which can write files; here only names that
stand for data are let through, and what belongs to the program becomes an empty vessel.
"""

from __future__ import annotations

import collections
import pickle
import zipfile
from pathlib import Path
from typing import IO, Any

import torch


class _Vessel:
    """What stands for a module of the archive: its attributes and nothing else."""

    def __init__(self) -> None:
        self.attributes: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.attributes = dict(state) if isinstance(state, dict) else {}


def _as_it_is(value: Any, *_: Any) -> Any:
    """In place of PyTorch's builders of typed lists and dictionaries."""
    return value


_ALLOWED: dict[str, Any] = {
    "collections.OrderedDict": collections.OrderedDict,
    "torch._utils._rebuild_tensor_v2": torch._utils._rebuild_tensor_v2,
    "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
    **{f"torch.jit._pickle.{name}": _as_it_is for name in ("build_intlist", "build_tensorlist", "build_doublelist")},
    **{f"torch.jit._pickle.{name}": _as_it_is for name in ("build_boollist", "restore_type_tag")},
}
_STORAGES = {
    "torch.DoubleStorage": torch.float64,
    "torch.FloatStorage": torch.float32,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.BoolStorage": torch.bool,
    "torch.ByteStorage": torch.uint8,
}


class _Reader(pickle.Unpickler):
    def __init__(self, file: IO[bytes], archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(file)
        self._archive, self._root = archive, root
        self._storages: dict[str, Any] = {}

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if full in _STORAGES:
            return full
        if module == "__torch__" or module.startswith("__torch__."):
            return _Vessel
        try:
            return _ALLOWED[full]
        except KeyError:
            raise pickle.UnpicklingError(f"GLOBAL {full} is not data") from None

    def persistent_load(self, pid: Any) -> Any:
        _, kind, key, _, count = pid
        if key not in self._storages:
            raw = bytearray(self._archive.read(f"{self._root}/data/{key}"))
            dtype = _STORAGES[kind]
            if len(raw) != count * dtype.itemsize:
                raise pickle.UnpicklingError(f"storage {key} has {len(raw)} bytes")
            plain = torch.UntypedStorage(0) if not raw else torch.frombuffer(raw, dtype=torch.uint8).untyped_storage()
            self._storages[key] = torch.storage.TypedStorage(wrap_storage=plain, dtype=dtype, _internal=True)
        return self._storages[key]


def is_script(path: Path) -> bool:
    """Whether `path` is such an archive: one of `torch.save` has no constants of a program."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def tensors(path: Path) -> dict[str, torch.Tensor]:
    """The archive's parameters and buffers by their names in the module, on the CPU.

    Errors: pickle.UnpicklingError where it holds what is not data; zipfile.BadZipFile, KeyError where it is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        root = next(name for name in archive.namelist() if name.endswith("/constants.pkl")).split("/", 1)[0]
        with archive.open(f"{root}/data.pkl") as file:
            module = _Reader(file, archive, root).load()
    found: dict[str, torch.Tensor] = {}
    _collect(module, "", found)
    return found


def _collect(value: Any, name: str, found: dict[str, torch.Tensor]) -> None:
    if isinstance(value, torch.Tensor):
        found[name] = value
    elif isinstance(value, _Vessel):
        for key, part in value.attributes.items():
            _collect(part, f"{name}.{key}" if name else str(key), found)
