"""Put finished artifacts in their place: temp, fsync, record, rename; a hand's work is never overwritten."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from dubd.errors import DubdError
from dubd.graph import content
from dubd.graph.state import State

_KEPT = 2  # digests remembered for one artifact: the last, and the one a kill may have left in its place


def edited(state: State, path: str) -> bool:
    """The file is there and is not what the machine put there."""
    made = state.made(path)
    return bool(made) and os.path.exists(path) and content.digest(path) not in made


def promote(state: State, outputs: Mapping[str, str], temporary: Mapping[str, str]) -> list[str]:
    """Rename each temporary file to its target. Returns the names that were put beside a hand edit.

    The digest is on record before the rename and the old one stays until the next, so that a kill
    in between leaves an artifact that is still known as the machine's own.
    Errors: DubdError where an output is missing; OSError of the disk.
    """
    for name, path in temporary.items():
        if not os.path.exists(path):
            raise DubdError(f"made no {Path(outputs[name]).name}", file=outputs[name], remedy="report this stage's bug")
        _sync(path)  # before the targets are looked at: it takes long, and a hand may save meanwhile
    return [newer for name, path in temporary.items() if (newer := _place(state, path, outputs[name]))]


def _place(state: State, path: str, target: str) -> str | None:
    """Rename one file to its target, or beside a hand edit: then the name that it has there."""
    fresh, newer = content.digest(path), beside_name(target)
    while True:
        was = content.stamp(target)
        if edited(state, target):
            known = dict.fromkeys((*state.made(target), fresh))
            state.set_made(target, [*known][-_KEPT:], Path(newer).name)
            _rename(path, newer)
            return newer
        current = content.digest(target) if was else None
        state.set_made(target, [current, fresh] if current not in (None, fresh) else [fresh])
        if current == fresh:  # equal bytes keep their mtime
            break
        if content.stamp(target) == was:
            _rename(path, target)
            break
    with contextlib.suppress(FileNotFoundError):
        os.unlink(newer)
    return None


def beside_name(target: str) -> str:
    """`translation.json` -> `translation.new.json`."""
    root, suffix = os.path.splitext(target)
    return f"{root}.new{suffix}"


def _sync(path: str) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _rename(path: str, target: str) -> None:
    try:
        os.replace(path, target)
    except FileNotFoundError:  # the first one of its folder
        os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
        os.replace(path, target)
    with contextlib.suppress(OSError):
        folder = os.open(os.path.dirname(target) or ".", os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
