"""Put finished artifacts in their place: temp, fsync, record, rename; a hand's work is never overwritten."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from dubd.errors import DubdError
from dubd.graph import content
from dubd.graph.state import State

TEMPORARY = ".tmp-"
_KEPT = 2  # digests remembered for one artifact: the last, and the one a kill may have left in its place

_count = itertools.count()


def private(outputs: Mapping[str, str]) -> dict[str, str]:
    """Temporary paths for the outputs, each beside its target: same name, a folder of its own."""
    tag = f"{TEMPORARY}{os.getpid()}-{next(_count)}"
    temporary = {}
    for name, path in outputs.items():
        folder, base = os.path.split(path)
        Path(folder, tag).mkdir(parents=True, exist_ok=True)
        temporary[name] = f"{folder}/{tag}/{base}"
    return temporary


def discard(temporary: Mapping[str, str]) -> None:
    """Remove what `private` made, whatever is in it."""
    for folder in {os.path.dirname(path) for path in temporary.values()}:
        try:
            os.rmdir(folder)  # as it mostly is: empty
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)


def sweep(folder: Path) -> int:
    """Remove what a killed process left; the caller holds the video's lock. Returns how many there were."""
    found = [Path(root, name) for root, names, _ in os.walk(folder) for name in names if name.startswith(TEMPORARY)]
    found += [path for path in folder.glob(f"{TEMPORARY}*") if path.is_file()]
    for path in found:
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    return len(found)


def edited(state: State, path: str) -> bool:
    """The file is there and is not what the machine put there."""
    made = state.made(path)
    return bool(made) and Path(path).exists() and content.digest(path) not in made


def promote(state: State, outputs: Mapping[str, str], temporary: Mapping[str, str]) -> list[str]:
    """Rename each temporary file to its target. Returns the names that were put beside a hand edit.

    The digest is on record before the rename and the old one stays until the next, so that a kill
    in between leaves an artifact that is still known as the machine's own.
    Errors: DubdError where an output is missing; OSError of the disk.
    """
    for name, path in temporary.items():
        if not Path(path).exists():
            raise DubdError(f"made no {Path(outputs[name]).name}", file=outputs[name], remedy="report this stage's bug")
        _sync(path)  # before the targets are looked at: it takes long, and a hand may save meanwhile
    beside = [newer for name, path in temporary.items() if (newer := _place(state, path, outputs[name]))]
    discard(temporary)
    return beside


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
        current = content.digest(target) if Path(target).exists() else None
        state.set_made(target, [current, fresh] if current not in (None, fresh) else [fresh])
        if current == fresh:  # equal bytes keep their mtime
            break
        if content.stamp(target) == was:
            _rename(path, target)
            break
    Path(newer).unlink(missing_ok=True)
    return None


def beside_name(target: str) -> str:
    """`translation.json` -> `translation.new.json`."""
    root, suffix = os.path.splitext(target)
    return f"{root}.new{suffix}"


def _sync(path: str) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _rename(path: str, target: str) -> None:
    os.replace(path, target)
    with contextlib.suppress(OSError):
        folder = os.open(os.path.dirname(target) or ".", os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
