"""Linux inotify(7), folder by folder: watchdog watches whole trees only, and keeps 1 kB for each folder of them."""

from __future__ import annotations

import ctypes
import os
import select
import struct
from typing import Final, NamedTuple

CLOSE_WRITE: Final = 0x8
MOVED_FROM: Final = 0x40
MOVED_TO: Final = 0x80
CREATE: Final = 0x100
DELETE: Final = 0x200
OVERFLOW: Final = 0x4000
IGNORED: Final = 0x8000  # the watch is gone, with its folder or by `remove`
_ONLY_FOLDERS: Final = 0x1000000 | 0x2000000  # IN_ONLYDIR, IN_DONT_FOLLOW
_HEAD: Final = struct.Struct("iIII")  # watch, mask, cookie, length of the name
_MOST: Final = 1 << 16  # bytes of one read

_libc = ctypes.CDLL(None, use_errno=True)


class Change(NamedTuple):
    """One event: the watch, what happened (a mask), and the name in the folder that is watched."""

    watch: int
    mask: int
    name: bytes


class Inotify:
    """One instance. Errors: OSError, of `EMFILE` where the user has no more of them."""

    def __init__(self) -> None:
        self._end, self._stop = os.pipe2(os.O_CLOEXEC)
        self._handle = _libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._handle < 0:
            error = _fault("inotify")
            os.close(self._end)
            os.close(self._stop)
            raise error

    def add(self, folder: str, mask: int) -> int:
        """Watch a folder, which is no link. Errors: OSError, of `ENOSPC` where the user has no more watches."""
        watch: int = _libc.inotify_add_watch(self._handle, os.fsencode(folder), mask | _ONLY_FOLDERS)
        if watch < 0:
            raise _fault(folder)
        return watch

    def remove(self, watch: int) -> None:
        """Nothing where it is gone already."""
        _libc.inotify_rm_watch(self._handle, watch)

    def read(self) -> list[Change]:
        """Wait for changes; empty once `stop` was called."""
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        poll.register(self._end, select.POLLIN | select.POLLHUP)
        while all(handle != self._end for handle, _ in poll.poll()):
            if found := self._changes():
                return found
        return []

    def stop(self) -> None:
        """End a `read` in another thread."""
        os.close(self._stop)

    def close(self) -> None:
        """After `stop`, when nobody reads."""
        os.close(self._end)
        os.close(self._handle)

    def _changes(self) -> list[Change]:
        try:
            data = os.read(self._handle, _MOST)
        except BlockingIOError:
            return []
        found, at = [], 0
        while at < len(data):
            watch, mask, _, length = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            found.append(Change(watch, mask, data[at : at + length].rstrip(b"\0")))
            at += length
        return found


def _fault(path: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), path)
