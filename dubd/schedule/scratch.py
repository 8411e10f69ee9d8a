"""A folder for each worker's temporary files, and those of the programs it runs: gone with it, however it ended."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import threading
from pathlib import Path

_PREFIX = "dubd-workers-"


class Scratch:
    """One folder of the system's temporary folder ($TMPDIR, /tmp), with one in it for each worker.

    It is locked for as long as this process lives, so that the next one finds out which were left by a kill.
    """

    def __init__(self) -> None:
        """Removes what processes of this user have left that were killed."""
        self._guard = threading.Lock()
        self._folder: Path | None = None
        self._lock = -1
        self._count = 0
        _sweep(Path(tempfile.gettempdir()))

    def make(self) -> Path | None:
        """An empty folder for one worker; None where there is no room for one: it uses what the system has."""
        with self._guard, contextlib.suppress(OSError):
            if self._folder is None:
                self._folder, self._lock = _locked()
            self._count += 1
            folder = self._folder / str(self._count)
            folder.mkdir(mode=0o700)
            return folder
        return None

    def close(self) -> None:
        """Remove all of it. Safe to call twice."""
        with self._guard:
            if self._folder is not None:
                remove(self._folder)
                os.close(self._lock)
                self._folder = None


def remove(folder: Path) -> None:
    """With all that is in it; what a program that is just ending still writes there goes with the whole."""
    shutil.rmtree(folder, ignore_errors=True)


def _locked() -> tuple[Path, int]:
    """A new folder, and the descriptor that holds its lock. Errors: OSError."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        with contextlib.suppress(FileNotFoundError):  # taken for one of a killed process, as it had no lock yet
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)


def _sweep(base: Path) -> None:
    for folder in base.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # it went meanwhile, is in use, or is another user's
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if os.fstat(lock).st_uid == os.getuid():
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    remove(folder)
            finally:
                os.close(lock)
