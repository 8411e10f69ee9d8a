"""What a worker's process takes of its card: kept within its lease, measured, and told apart when it is too much."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from dubd.engines.contract import Engine, OutOfMemory

EXIT = 86
"""Exit code of a worker whose card had no room: the traceback would keep the memory alive (pytorch #27600)."""

_MIB = 1 << 20
_TORCH = "OutOfMemoryError"  # torch.OutOfMemoryError, torch.cuda.OutOfMemoryError
_SAID = (
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUDA failed with error out of memory",  # CTranslate2
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "Failed to allocate memory for requested buffer",  # ONNX Runtime
)


def out_of_memory(error: BaseException | None) -> bool:
    """Whether an engine's exception, or what caused it, is a card without room. No library is imported for it."""
    while error is not None:
        names = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(error).__mro__}
        if isinstance(error, OutOfMemory) or f"torch.{_TORCH}" in names:
            return True
        if isinstance(error, RuntimeError) and any(said in str(error) for said in _SAID):
            return True
        error = error.__cause__
    return False


def measured(engine: Engine[Any, Any]) -> tuple[int, int] | None:
    """MiB that this process holds on its card now and at most so far, without the context; None where nobody knows.

    The engine's own word, else what PyTorch's allocator has reserved; 0 for the one of the two that nobody knows. What
    is held now must not be too much, so that the most so far does not stand for it.
    """
    now, most = engine.held(), engine.peak()
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        now = torch.cuda.memory_reserved() // _MIB if now is None else now
        most = -(-torch.cuda.max_memory_reserved() // _MIB) if most is None else most
    return None if now is None and most is None else (now or 0, most or 0)


def keep_within(mib: int) -> None:
    """Let PyTorch have no more than `mib` MiB of the card, from the moment that somebody imports it.

    An estimate that is too small then ends the worker that made it, not its neighbours.
    """
    if "torch" in sys.modules:
        _cap(sys.modules["torch"], mib)
    else:
        sys.meta_path.insert(0, _AfterTorch(lambda torch: _cap(torch, mib)))


def _cap(torch: Any, mib: int) -> None:
    if torch.cuda.is_available():
        total = torch.cuda.get_device_properties(0).total_memory / _MIB
        torch.cuda.set_per_process_memory_fraction(min(1.0, mib / total), 0)


class _AfterTorch:
    """Finds `torch` as everybody else would, and calls `then` once the module is there."""

    def __init__(self, then: Callable[[ModuleType], None]) -> None:
        self._then = then

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See importlib.abc.MetaPathFinder."""
        del path, target
        if name != "torch":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        loader: Any = spec.loader
        run = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            run(module)
            self._then(module)

        loader.exec_module = exec_module
        return spec
