"""A drop as it is taken: opened once, and the file that was opened is the one that is linked."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from dubd import regular
from dubd.errors import DubdError, Exit
from dubd.folders import Folders
from dubd.media.subtitles import MOST_BYTES


def opened(source: Path, folders: Folders) -> BinaryIO:
    """A file that is to be dubbed, open; in the inbox no link is followed to it. Errors: DubdError."""
    try:
        return regular.opened(source, inside=inbox_of(source, folders))
    except OSError as error:
        raise unreadable(error, source) from error


def read_beside(subtitles: Path, source: Path, folders: Folders) -> bytes:
    """The subtitles beside a drop, under the same conditions, and no more than are read. Errors: DubdError."""
    try:
        return regular.read(subtitles, MOST_BYTES, inside=inbox_of(source, folders))
    except OSError as error:
        raise unreadable(error, subtitles) from error


def inbox_of(source: Path, folders: Folders) -> Path | None:
    """The inbox, where the source lies in it: others may replace there what was checked a moment ago."""
    return folders.inbox if source.is_relative_to(folders.inbox) else None


def unreadable(error: OSError, path: Path) -> DubdError:
    """What to tell of a drop that cannot be read."""
    return DubdError(
        f"cannot be read: {error.strerror}", file=path, remedy="check its name and permissions", exit=Exit.INPUT
    )


def link(source: Path, file: BinaryIO, target: Path, *, move: bool) -> None:
    """Have `target` be the file that is open, and not what has its name by now."""
    taken = os.fstat(file.fileno())
    if target.is_symlink() and not target.exists():
        target.unlink()  # the drop has moved since
    if target.exists():
        return
    try:
        if move and taken.st_dev == target.parent.stat().st_dev:
            os.replace(source, target)
        else:
            # With a folder's descriptor, though the path needs none, Python calls linkat(2), which follows this link.
            os.link(f"/proc/self/fd/{file.fileno()}", target, src_dir_fd=file.fileno(), follow_symlinks=True)
    except FileExistsError:
        return  # another process claimed it meanwhile
    except FileNotFoundError as error:
        raise _replaced(source) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EACCES, errno.EROFS):
            raise
        with suppress(FileExistsError):
            target.symlink_to(source.resolve())  # another file system, or links are not allowed: read in place
    if not os.path.exists(target) or not os.path.samestat(target.stat(), taken):
        target.unlink()
        raise _replaced(source)


def _replaced(source: Path) -> DubdError:
    return DubdError("was replaced while it was taken", file=source, remedy="drop it again", exit=Exit.INPUT)
