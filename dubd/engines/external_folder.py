"""Temporary folders for an external program's videos, and the sweeping of those that a killed worker left."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_PLAIN = re.compile(r"[A-Za-z0-9_/-]+")  # programs hand paths to a shell, and look for a dot in them
_PREFIX = "dubd_external_"
_YOUNG = 60.0  # seconds in which a folder may not have its lock yet


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder of this run alone, of plain characters and without a dot; locked while it is in use."""
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=_base()) as name:
        handle = os.open(name, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)  # the kernel gives it back, however the worker ends
            yield Path(name)
        finally:
            os.close(handle)


def sweep() -> None:
    """Remove the folders of this user's that nobody has locked: their workers were killed."""
    for path in _base().glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # it went meanwhile, is locked, or is another user's
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                stat = os.fstat(handle)
                if stat.st_uid == os.getuid() and time.time() - stat.st_ctime > _YOUNG:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(handle)


def _base() -> Path:
    base = tempfile.gettempdir()
    return Path(base if _PLAIN.fullmatch(base) else "/tmp")
