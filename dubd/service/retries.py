"""`dubd retry` and the daemon: a mark in the workspace asks for another try, a lock says that somebody will read it."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from dubd.errors import DubdError, Exit
from dubd.graph.state import taken

MARKS = ".retry"  # a folder of the workspace
_LOCK = ".watch"  # held by the daemon of the workspace, whose process id it has


def ask(workspace: Path, path: Path) -> None:
    """Have the daemon try a video's folder, or a drop, once more. Errors: OSError."""
    marks = workspace / MARKS
    marks.mkdir(exist_ok=True)
    whole = marks / hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    half = whole.with_name(f".{whole.name}-{os.getpid()}")
    half.write_bytes(os.fsencode(path))
    os.replace(half, whole)


def asked(workspace: Path) -> list[Path]:
    """What was asked for since the last call."""
    found = []
    with suppress(OSError):  # nothing was ever asked for
        for entry in list(os.scandir(workspace / MARKS)):
            with suppress(OSError):  # another daemon has it
                if not entry.name.startswith("."):
                    name = Path(entry.path).read_bytes()
                    os.unlink(entry.path)
                    if b"\0" not in name:  # no file can have it, and no call to the system takes it
                        found.append(Path(os.fsdecode(name)))
    return found


@contextmanager
def watching(workspace: Path) -> Iterator[None]:
    """While inside, `watched` is true. A workspace that cannot be written is watched all the same.

    Errors: DubdError(Exit.BUSY) where another process does already: each would tell, try and clean what the other does.
    """
    try:
        lock = (workspace / _LOCK).open("a+", encoding="ascii")
    except OSError:
        yield
        return
    with lock:
        if not _alone(lock):
            lock.seek(0)
            raise DubdError(
                f"is watched by process {lock.read().strip() or 'unknown'} already",
                file=workspace,
                remedy="stop that one first, or set DUBD_WORKSPACE and DUBD_INBOX to other folders",
                exit=Exit.BUSY,
            )
        with suppress(OSError):  # a full disk: the lock itself holds
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
        yield


def watched(workspace: Path) -> bool:
    """Whether a daemon looks at the workspace now."""
    try:
        lock = os.open(workspace / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _alone(lock: TextIO) -> bool:
    try:
        return taken(lock)
    except OSError:  # a file system without locks
        return True
