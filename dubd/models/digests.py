"""The sha256 of the user's own model files, kept on the disk: gigabytes are read once, and not by each process."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from pathlib import Path

_SMALL = 16 << 20  # bytes that are read sooner than looked up
_SETTLED = 2.0  # s after which a change shows in a file's time, whatever the clock of its disk


def digest(path: Path, kept: Path) -> str:
    """The sha256 of a file, in hex: from the folder `kept`, where it has not changed since it was put there.

    A file that has inode, size and time of change as before is taken to hold what it held.
    What cannot be kept is reckoned again. Errors: OSError where the file cannot be read.
    """
    before = _state(path)
    note = kept / hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
    with contextlib.suppress(OSError, ValueError):
        state, _, known = note.read_text("ascii").rpartition(" ")
        if state == before and len(known) == 64:
            return known
    with path.open("rb") as file:
        made = hashlib.file_digest(file, "sha256").hexdigest()
    stat = path.stat()
    if stat.st_size >= _SMALL and _state(path) == before and time.time() - stat.st_mtime > _SETTLED:
        with contextlib.suppress(OSError):
            _keep(note, f"{before} {made}")
    return made


def _state(path: Path) -> str:
    stat = path.stat()
    return f"{stat.st_dev} {stat.st_ino} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"


def _keep(note: Path, text: str) -> None:
    """Whole or not at all, whoever else writes it."""
    note.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=note.parent, encoding="ascii", delete=False) as file:
        file.write(text)
    Path(file.name).replace(note)
