"""What processes say on standard error: files that are appended to, and start anew past a size."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import IO

LIMIT = 1 << 20  # bytes


def opened(path: Path) -> IO[bytes]:
    """To be a process's standard error. Errors: OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    start_anew(path)
    return path.open("ab")


def start_anew(path: Path) -> None:
    """Empty it where it is too long; whoever appends to it goes on at its new end."""
    with contextlib.suppress(OSError):  # not there yet; or not to be written, as whoever opens it is told
        if path.stat().st_size > LIMIT:
            os.truncate(path, 0)
