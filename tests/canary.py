"""A file that nobody may touch, and who tells when somebody did: inotify(7) by way of the C library."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path
from types import TracebackType

_EVENTS = {0x1: "read", 0x2: "written", 0x4: "changed", 0x20: "opened", 0x100: "created", 0x200: "deleted"}
_HEADER = struct.Struct("iIII")


class Canary:
    """While inside, whatever file is opened, read, made or changed in `folder` is noted; `path` is a secret in it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder, self.path = folder, folder / "secret.mp4"
        self.path.write_text("a secret\n" * 100)

    def __enter__(self) -> Canary:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        watched = libc.inotify_add_watch(self._fd, os.fsencode(self.folder), sum(_EVENTS))
        assert self._fd >= 0, os.strerror(ctypes.get_errno())
        assert watched >= 0, os.strerror(ctypes.get_errno())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def touched(self) -> list[str]:
        """What happened since the last time of asking, such as "opened secret.mp4"."""
        found = []
        while True:
            try:
                data = os.read(self._fd, 1 << 16)
            except BlockingIOError:
                return found
            while data:
                _, mask, _, length = _HEADER.unpack_from(data)
                name = data[_HEADER.size : _HEADER.size + length].rstrip(b"\0").decode()
                # Without a name it is the folder that was listed: whoever tidies up or searches the disk does that.
                found += [f"{word} {name}" for bit, word in _EVENTS.items() if name and mask & bit]
                data = data[_HEADER.size + length :]
