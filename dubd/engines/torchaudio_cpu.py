"""Import torchaudio beside a PyTorch for the CPU: its wheels are linked against CUDA.

torchaudio runs without its compiled extension where that is *not there*, but not where it is there and does not load
(`OSError: libc10_cuda.so`). What XTTS uses of it (resampling, mel spectra) is plain PyTorch.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Final

_LOADER: Final = "torchaudio._extension.utils"


def prepare() -> None:
    """Have torchaudio take an extension that does not load for one that is not there; before its first import.

    Nothing on the disk is touched, and an extension that does load is used. ImportError where there is no torchaudio.
    """
    if "torchaudio" in sys.modules:
        return
    found = importlib.util.find_spec("torchaudio")
    if found is None or found.origin is None:
        raise ImportError("torchaudio is not installed", name="torchaudio")
    path = Path(found.origin).parent / "_extension" / "utils.py"
    spec = importlib.util.spec_from_file_location(_LOADER, path) if path.is_file() else None
    if spec is None or spec.loader is None:  # a torchaudio that is built otherwise: it may well import as it is
        return
    loader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loader)
    load = loader._load_lib

    def forgiving(library: str) -> bool:
        try:
            return bool(load(library))
        except OSError:
            return False

    loader._load_lib = forgiving  # type: ignore[attr-defined]
    sys.modules[_LOADER] = loader
