"""Videos whose film is no longer there: superseded or removed before they were dubbed, kept where they were."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from dubd.errors import DubdError
from dubd.graph.state import State, noted
from dubd.graph.video import content_key


def superseded(folder: Path) -> bool:
    """Whether a video has no result, and failed or lost its source, and its drop has other content now.

    A broken film that was repaired under its name leaves such a folder. One that is being built from a film that
    it still has goes on. Where its records or its drop cannot be read the answer is False: its build says why.
    """
    if any(folder.glob("dubbed.*.mp4")):
        return False
    try:
        state = State(folder)
        try:
            drop, seen = state.note("drop"), state.note("source")
            failed = any(run["state"] == "failed" for run in state.runs().values())
        finally:
            state.close()
        if not drop or _same(Path(drop), folder, seen):
            return False
        return failed or not any(_same(source, folder, seen) for source in folder.glob("source.*"))
    except (DubdError, OSError):
        return False


def removed(folder: Path) -> bool:
    """Whether a video was never dubbed, and its drop is gone with the film: it was read in place, on another disk.

    Where its records or the drop's folder cannot be read the answer is False: a share may be away.
    """
    if any(folder.glob("dubbed.*.mp4")) or any(path.exists() for path in folder.glob("source.*")):
        return False
    try:
        drop = noted(folder, "drop")
    except DubdError:
        return False
    return bool(drop) and os.path.isdir(os.path.dirname(drop)) and not os.path.lexists(drop)


def kept(folder: Path) -> bool:
    """Whether a video was dubbed, and its film is gone or overwritten: its result stays, and nothing can be made anew.

    Where its records cannot be read the answer is False.
    """
    if not any(folder.glob("dubbed.*.mp4")):
        return False
    try:
        seen = noted(folder, "source")
    except DubdError:
        return False
    for source in folder.glob("source.*"):
        with suppress(DubdError, OSError):
            if _same(source, folder, seen):
                return False
    return True


def away(folder: Path) -> bool:
    """Whether a video's film is read in place and cannot be reached now: its share may come back."""
    return any(path.is_symlink() and not path.exists() for path in folder.glob("source.*"))


def _same(path: Path, folder: Path, seen: object) -> bool:
    """Whether a file has the content of the folder's id; hashed only where it is not as it was `seen`."""
    stat = path.stat()
    return seen == [stat.st_size, stat.st_mtime_ns] or content_key(path) == folder.name.rpartition("-")[2]
