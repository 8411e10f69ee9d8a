"""Is a file still what it was: by content, each state of a file hashed once per process."""

from __future__ import annotations

import hashlib
import os
from typing import Any

from doit.dependency import FileChangedChecker

_seen: dict[tuple[int, int, int, int], str] = {}
_MOST = 5_000  # digests remembered, of half a kB each: the files of some two hours of video


def digest(path: str, stat: os.stat_result | None = None) -> str:
    """sha256 of a file's bytes, remembered for as long as its inode, size and mtime stay, by whatever name."""
    st = stat or os.stat(path)
    key = (st.st_dev, st.st_ino, st.st_size, st.st_mtime_ns)
    if key not in _seen:
        if len(_seen) >= _MOST:
            del _seen[next(iter(_seen))]  # the oldest one
        with open(path, "rb") as file:
            _seen[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return _seen[key]


def stamp(path: str) -> tuple[int, int, int] | None:
    """What changes when a file is written or replaced; None where there is no file."""
    try:
        st = os.stat(path)
    except OSError:
        return None
    return st.st_ino, st.st_size, st.st_mtime_ns


class ContentChecker(FileChangedChecker):  # type: ignore[misc]  # doit has no types
    """doit's checker: (mtime_ns, size, sha256). A touched file with the same bytes has not changed.

    `rehashed` names the files whose mtime alone had moved: the build stores their new mtime,
    or every later no-op would hash them again (doit issue 22).
    """

    def __init__(self) -> None:
        self.rehashed: set[str] = set()

    def check_modified(self, path: str, stat: os.stat_result, state: Any) -> bool:
        """Size first, then mtime, then bytes."""
        mtime, size, known = state
        if stat.st_size != size:
            return True
        if stat.st_mtime_ns == mtime:
            return False
        self.rehashed.add(path)
        return bool(digest(path, stat) != known)

    def get_state(self, path: str, current: Any) -> tuple[int, int, str] | None:
        """The state to store; None where `current` still holds."""
        st = os.stat(path)
        if current and (current[0], current[1]) == (st.st_mtime_ns, st.st_size):
            return None
        return st.st_mtime_ns, st.st_size, digest(path, st)
