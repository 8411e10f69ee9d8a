"""Videos at rest: how its last build left each, and which of them a look goes to.

A look at an hour reads 1,450 files and takes 9 to 14 ms, so one at all videos is none for a daemon at rest. It goes to
those of which something was heard, and in rounds to a bounded number of the others: events get lost, a round does not.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dubd.service.signature import Known, Signature, named, stamp

FILES = 1_500  # that a round goes to beyond what was heard of: 15 ms of a processor, 0.05 % of it every 30 s


@dataclass
class _Left:
    signature: int  # a hash: a signature has 300 bytes a file
    files: int
    beyond: dict[Path, Known | None]  # what may change without an event in the folder, as it was; None: not there


class Rest:
    """Kept by the daemon. `settle` seconds without a change end a hand edit; times are those of any steady clock."""

    def __init__(self, settle: float) -> None:
        self._settle = settle
        self._left: dict[Path, _Left] = {}
        self._marked: set[Path] = set()
        self._moving: dict[Path, tuple[Signature, float]] = {}  # changed, but perhaps still being saved
        self._last = Path()  # where the last round ended
        self._credit = 0  # files that the round may go to; a larger video is paid for by the next ones

    def __contains__(self, folder: Path) -> bool:
        """Whether a build left the video, and no other try of it is wanted."""
        return folder in self._left

    @property
    def moving(self) -> bool:
        """Whether a hand edit is being saved."""
        return bool(self._moving)

    @property
    def due(self) -> list[float]:
        """When each edit that is being saved may have come to rest."""
        return [since + self._settle for _, since in self._moving.values()]

    def leave(self, folder: Path, found: Signature) -> None:
        """A build ended and left the video so. It is looked at once more: an edit may have come meanwhile."""
        there = {Path(known[0]): known for known in found}
        beyond = {path: there.get(path) for path in named(folder)}
        beyond |= {path: known for path, known in there.items() if _is_source(path, folder)}
        self._left[folder] = _Left(hash(found), len(found), beyond)
        self._marked.add(folder)

    def again(self, folder: Path) -> None:
        """Build the video again, whether it changed or not."""
        self._left.pop(folder, None)

    def left_so(self, folder: Path, found: Signature) -> bool:
        """Whether a video is as its last build left it."""
        return folder in self._left and self._left[folder].signature == hash(found)

    def reload(self, stays: Callable[[Path], bool]) -> None:
        """Look at all videos, and build those again that do not stay as they are."""
        self._marked |= self._left.keys()
        self._left = {folder: left for folder, left in self._left.items() if stays(folder)}

    def gone(self, folders: Iterable[Path]) -> set[Path]:
        """Those that are not among all `folders` there are any more; they are forgotten."""
        away = (self._left.keys() | self._moving.keys()) - set(folders)
        for folder in away:
            self._left.pop(folder, None)
            self._moving.pop(folder, None)  # a removed folder never comes to rest
            self._marked.discard(folder)
        return away

    def wanted(self, folders: Sequence[Path], heard: Iterable[Path], files: int) -> list[Path]:
        """Which of all `folders`, which are sorted, to look at now: `files` is what a round may go to, 0 for none."""
        self._marked.update(heard)
        self._mark_beyond()
        if files and folders:
            self._mark_round(folders, files)
        self._marked.intersection_update(folders)
        return [folder for folder in folders if folder in self._marked or folder not in self._left]

    def at_rest(self, folder: Path, found: Signature, now: float) -> bool:
        """Whether a video needs no build: it is as it was left, or a hand edit of it is still being saved."""
        if folder not in self._left:
            self._moving.pop(folder, None)
            return False
        if self.left_so(folder, found):
            self._moving.pop(folder, None)
            self._marked.discard(folder)
            return True
        self._marked.add(folder)
        was, since = self._moving.get(folder, (None, now))
        if was == found and now - since >= self._settle:
            del self._moving[folder]
            return False
        self._moving[folder] = found, since if was == found else now
        return True

    def _mark_beyond(self) -> None:
        """Mark whose glossary, own model or source (a link of the drop's) changed: each such file is looked at once."""
        now: dict[Path, Known | None] = {}
        for folder, left in self._left.items():
            for path, known in left.beyond.items():
                if path not in now:
                    now[path] = stamp(path, follow=not _is_source(path, folder))
                if now[path] != known:
                    self._marked.add(folder)

    def _mark_round(self, folders: Sequence[Path], files: int) -> None:
        self._credit = min(self._credit + files, files)
        at = bisect_right(folders, self._last)
        for folder in (*folders[at:], *folders[:at]):
            if self._credit <= 0:
                break
            if left := self._left.get(folder):
                self._credit -= left.files
                self._marked.add(folder)
                self._last = folder


def _is_source(path: Path, folder: Path) -> bool:
    return path.name.startswith("source.") and os.path.dirname(path) == str(folder)
