"""A file on its way: `<file>.part` beside where it will lie, held by one process, kept when that one is stopped."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_BLOCK = 1 << 20


class Part:
    """What has come of a file so far. `note` is what the server said of it when it came."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle = handle
        self._note = path.with_name(f"{path.name}.json")
        self._digest = hashlib.sha256()
        self.note: dict[str, Any] = {}
        with suppress(OSError, ValueError, TypeError):
            self.note = dict(json.loads(self._note.read_text(encoding="utf-8")))
        self.size = self._hash()

    @property
    def sha256(self) -> str:
        """Of what is here."""
        return self._digest.hexdigest()

    def begin(self, note: dict[str, Any]) -> None:
        """Note what these bytes are of, before any comes. Errors: OSError."""
        self.note = note
        self._note.write_text(json.dumps(note), encoding="utf-8")

    def write(self, block: bytes) -> None:
        """Add bytes at the end; on an error those that found room stay. Errors: OSError."""
        view = memoryview(block)
        while view:
            written = os.write(self._handle, view)
            self._digest.update(view[:written])
            self.size += written
            view = view[written:]

    def empty(self) -> None:
        """Begin anew."""
        os.ftruncate(self._handle, 0)
        os.lseek(self._handle, 0, os.SEEK_SET)
        self._digest, self.size, self.note = hashlib.sha256(), 0, {}

    def drop(self) -> None:
        """Take it away."""
        self.empty()
        self._note.unlink(missing_ok=True)

    def finish(self, target: Path) -> None:
        """All of it is here and right: it becomes `target`, whole or not at all. Errors: OSError."""
        os.fsync(self._handle)
        os.replace(self.path, target)
        self._note.unlink(missing_ok=True)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _hash(self) -> int:
        """Whoever began it may have been another process: the sum is of what lies on the disk."""
        os.lseek(self._handle, 0, os.SEEK_SET)
        size = 0
        while block := os.read(self._handle, _BLOCK):
            self._digest.update(block)
            size += len(block)
        return size


@contextmanager
def held(target: Path, waits: Callable[[], None]) -> Iterator[Part]:
    """The part of `target`, which no other process writes meanwhile; `waits` is called where one does now.

    The lock is on the part itself, so that nothing is left behind: whoever waited for it finds that it is `target` by
    now, and begins an empty one. Errors: OSError where the folder cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    path = target.with_name(f"{target.name}.part")
    handle = _lock(path, waits)
    try:
        part = Part(path, handle)
        try:
            yield part
        finally:
            if _is(handle, path) and os.fstat(handle).st_size == 0:
                path.unlink()
                path.with_name(f"{path.name}.json").unlink(missing_ok=True)
    finally:
        os.close(handle)


def _lock(path: Path, waits: Callable[[], None]) -> int:
    told = False
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not told:
                    waits()
                told = True
                fcntl.flock(handle, fcntl.LOCK_EX)
            if _is(handle, path):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _is(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except OSError:
        return False
