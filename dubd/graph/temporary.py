"""Where outputs lie until they are whole: folders of the video's own, each lent to one task at a time and used again.

A folder for each task would be made, watched, walked and removed for every few files: half of the daemon's time.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

TEMPORARY = ".tmp-"

_count = itertools.count()  # of the whole process: what was given up may still be written to


class Temporaries:
    """The temporary folders of one build in a video's folder."""

    def __init__(self, folder: Path) -> None:
        self._stem = f"{folder}/{TEMPORARY}{os.getpid()}-"
        self._free: list[str] = []

    def lend(self, outputs: Mapping[str, str]) -> dict[str, str]:
        """A path for each output, with the name that it is to have: stages go by it. Errors: OSError of the disk."""
        folder = self._free.pop() if self._free else f"{self._stem}{next(_count)}"
        lent: dict[str, str] = {}
        taken = set[str]()
        for name, path in outputs.items():
            base = os.path.basename(path)
            place = f"{folder}/{name}" if base in taken else folder
            taken.add(base)
            os.makedirs(place, exist_ok=True)
            lent[name] = f"{place}/{base}"
        return lent

    def give_back(self, lent: Mapping[str, str]) -> None:
        """The task has ended well: nobody writes there any more, so the folder is for the next one."""
        folder = _folder(lent)
        try:
            with os.scandir(folder) as left:
                empty = not any(left)
        except OSError:
            return
        if empty:
            self._free.append(folder)
        else:
            discard(lent)

    def close(self) -> None:
        """Remove the folders that no task has."""
        for folder in self._free:
            shutil.rmtree(folder, ignore_errors=True)
        self._free.clear()


def discard(lent: Mapping[str, str]) -> None:
    """Remove what was lent, whatever is in it: a task that failed may leave somebody behind who writes there."""
    if lent:
        shutil.rmtree(_folder(lent), ignore_errors=True)


def sweep(folder: Path) -> int:
    """Remove what a killed process left; the caller holds the video's lock. Returns how many there were."""
    found = [Path(root, name) for root, names, _ in os.walk(folder) for name in names if name.startswith(TEMPORARY)]
    found += [path for path in folder.glob(f"{TEMPORARY}*") if path.is_file()]
    for path in found:
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    return len(found)


def _folder(lent: Mapping[str, str]) -> str:
    return os.path.commonpath([os.path.dirname(path) for path in lent.values()])
