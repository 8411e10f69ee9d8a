"""Free the disk: of finished videos' artifacts that can be made again, or of whole videos."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dubd.errors import DubdError, disk_fault
from dubd.graph import content
from dubd.graph.settled import clean, untouched
from dubd.graph.state import State, owned
from dubd.graph.superseded import superseded
from dubd.graph.temporary import sweep

Keep = Literal["final", "nothing"]

_FINAL = ("dubbed.", "original.", "report.")
_SMALL = ".json"  # the words and times: a few kB, and what a person edits


@dataclass(frozen=True)
class Cleaned:
    """What became of one video: the bytes that were freed, or why it was left as it is."""

    video: str
    bytes: int = 0
    files: int = 0
    left: str = ""


def cleaned(folder: Path, keep: Keep, older: float, inbox: Path, *, dry: bool = False) -> Cleaned:
    """Clean one video that was finished at least `older` seconds ago; `dry` only says what would be freed.

    `final` keeps the dub, its subtitles and report, every JSON artifact, hand edits and the source. `nothing` also
    removes a video that was never dubbed and that another film took the place of.
    """
    try:
        with owned(folder):
            state = State(folder)
            try:
                if reason := _refusal(folder, state, keep, older, inbox):
                    return Cleaned(folder.name, left=reason)
                gone = dict(_remade(state)) if keep == "final" else dict(_all(folder))
                freed = Cleaned(folder.name, sum(gone.values()), len(gone))
                if dry or not gone:
                    return freed
                if keep == "final":
                    clean(state, {state.relative(path) for path in gone})
                    for path in gone:
                        Path(path).unlink(missing_ok=True)
                    sweep(folder)
                    _prune(folder)
            finally:
                state.close()
            if keep == "nothing":
                shutil.rmtree(folder)
            return freed
    except DubdError as error:
        return Cleaned(folder.name, left=error.reason)
    except OSError as error:  # those that come after it are cleaned all the same
        return Cleaned(folder.name, left=disk_fault(error).reason)


def _refusal(folder: Path, state: State, keep: Keep, older: float, inbox: Path) -> str:
    """Why a video is left alone; empty where it is not."""
    replaced = superseded(folder)
    if replaced and keep == "final":
        return "superseded and never dubbed: --keep nothing removes it"
    if not (replaced or untouched(state)):
        return "not finished, or changed since"
    if replaced:
        ended = max((run["at"] for run in state.runs().values()), default=time.time())
    else:
        ended = max((path.stat().st_mtime for path in folder.glob("dubbed.*.mp4")), default=time.time())
    if time.time() - ended < older:
        return "not old enough"
    if keep == "nothing":
        drop = Path(str(state.note("drop")))
        if drop.is_relative_to(inbox) and drop.exists() and not replaced:
            return f"{drop} is still in the inbox and would be dubbed again: move it out first"
        sources = [path for path in folder.glob("source.*") if not path.is_symlink()]
        if any(path.stat().st_nlink == 1 for path in sources):
            return "its source is the only copy: move it out first, or use --keep final"
    return ""


def _remade(state: State) -> Iterator[tuple[str, int]]:
    """(path, bytes) of what the machine made and can make again: large, no result, and no hand's work."""
    for relative, digests, _ in state.all_made():
        path = Path(state.absolute(relative))
        if relative.startswith(_FINAL) or path.suffix == _SMALL or path.is_symlink() or not path.is_file():
            continue
        if content.digest(str(path)) in digests:
            yield str(path), path.stat().st_size


def _all(folder: Path) -> Iterator[tuple[str, int]]:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            stat = path.stat()
            yield str(path), stat.st_size if stat.st_nlink == 1 else 0


def _prune(folder: Path) -> None:
    """Remove folders that are empty now."""
    for root, _, _ in os.walk(folder, topdown=False):
        if Path(root) != folder and not os.listdir(root):
            os.rmdir(root)
