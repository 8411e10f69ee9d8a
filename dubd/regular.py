"""Open files that others put there: plain files alone, and no more of them than is sensible."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from dubd.errors import DubdError, Exit

_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def kind(mode: int) -> str:
    """What a file is that is no plain one, by its `st_mode`; empty for a plain one."""
    return next((name for test, name in _KINDS if test(mode)), "")


def there(path: Path) -> bool:
    """Whether something has that name, of whatever kind; False where no file can have it."""
    try:
        os.lstat(path)
    except (OSError, ValueError):
        return False
    return True


def opened(path: Path, *, inside: Path | None = None, exit: Exit = Exit.INPUT) -> BinaryIO:
    """`path` open for reading, if it is a plain file; neither a pipe nor a device makes it wait.

    With `inside`, no symbolic link is followed, and what was opened lies in that folder whatever its parents were
    replaced by: so the file that was checked is the file that is read.
    Errors: DubdError(`exit`) for another kind of file; OSError where it cannot be opened.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (os.O_NOFOLLOW if inside else 0)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _refused("is a symbolic link", path, exit) from error
        if error.errno == errno.ENXIO:  # a socket, or a device without a driver
            raise _refused("is no plain file", path, exit) from error
        raise
    try:
        if other := kind(os.fstat(descriptor).st_mode):
            raise _refused(f"is {other}", path, exit)
        if inside and not Path(os.readlink(f"/proc/self/fd/{descriptor}")).is_relative_to(inside.resolve()):
            raise _refused("lies behind a symbolic link", path, exit)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read(path: Path, most: int, *, inside: Path | None = None, exit: Exit = Exit.INPUT) -> bytes:
    """All of a plain file that has `most` bytes at most; a larger one is refused before it is read.

    Errors: DubdError(`exit`); OSError where it cannot be opened or read.
    """
    with opened(path, inside=inside, exit=exit) as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(most + 1) if size <= most else b""
        if size > most or len(data) > most:
            raise DubdError(
                f"has {max(size, len(data)):,} bytes, more than {most:,}",
                file=path,
                remedy="give a smaller one, or remove it",
                exit=exit,
            )
        return data


def _refused(what: str, path: Path, exit: Exit) -> DubdError:
    return DubdError(what, file=path, remedy="put the file itself there", exit=exit)
