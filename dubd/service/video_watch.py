"""Events of the videos that are at rest: a hand's edits wake the daemon at once, what a build writes does not.

Watched are a video's folder, that of its voices, its segments' and those of their languages: there people edit.
Folders of patches are not: an hour has hundreds of them, and an edit there is seen by the next look.
"""

from __future__ import annotations

import errno
import os
import threading
from array import array
from pathlib import Path
from typing import Final

from dubd.graph.catalogue import VERSIONS
from dubd.service import inotify
from dubd.service.inotify import Change, Inotify
from dubd.service.signature import OURS

_MASK: Final = inotify.CREATE | inotify.MOVED_FROM | inotify.MOVED_TO | inotify.CLOSE_WRITE | inotify.DELETE
_DEEPEST: Final = 3  # <video>/segments/<segment>/<language>
_UNWATCHED: Final = frozenset({*VERSIONS, *OURS} - {"voice"})


class VideoWatch:
    """Sets `wake` when something changes in a video that is at rest. Errors of the constructor: OSError."""

    def __init__(self, wake: threading.Event) -> None:
        self._wake = wake
        self._inotify = Inotify()
        self._folders: dict[int, Path] = {}  # by watch
        self._watches: dict[Path, array[int]] = {}
        self._partly: set[Path] = set()  # there were no more watches to be had
        self._stirred: set[Path] = set()
        self._guard = threading.Lock()
        self._reader = threading.Thread(target=self._read, name="video-watch", daemon=True)
        self._reader.start()

    @property
    def blind(self) -> bool:
        """Whether changes of some videos may go unheard, for want of watches."""
        return bool(self._partly)

    def stirred(self) -> set[Path]:
        """The videos that something was heard of since the last call."""
        with self._guard:
            found, self._stirred = self._stirred, set()
            return found

    def rest(self, folder: Path) -> None:
        """From now on changes of this video wake. A folder that is gone has none."""
        self._let_go(folder)
        watches = array("i")
        partly = False
        for path in watched(folder):
            try:
                watch = self._inotify.add(path, _MASK)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    continue  # gone, or nobody's business
                partly = True
                break
            watches.append(watch)
            with self._guard:
                self._folders[watch] = folder
        with self._guard:
            self._watches[folder] = watches
        if partly:
            self._partly.add(folder)

    def hold(self, folder: Path) -> None:
        """It is being built, or gone: nothing of it is heard any more."""
        self._let_go(folder)
        with self._guard:
            self._stirred.discard(folder)

    def renew(self, *, all_of_them: bool) -> None:
        """Watch those again that lacked watches, as far as there are some; or all, whose folders are others now."""
        for folder in list(self._watches if all_of_them else self._partly):
            self.rest(folder)
            if folder in self._partly:
                return
            with self._guard:
                self._stirred.add(folder)  # what happened before was not heard

    def _let_go(self, folder: Path) -> None:
        self._partly.discard(folder)
        with self._guard:
            for watch in self._watches.pop(folder, ()):
                if self._folders.pop(watch, None):
                    self._inotify.remove(watch)

    def close(self) -> None:
        """End it."""
        self._inotify.stop()
        self._reader.join()
        self._inotify.close()

    def _read(self) -> None:
        while changes := self._inotify.read():
            with self._guard:
                heard = [self._heard(change) for change in changes]  # each of them
            if any(heard):
                self._wake.set()

    def _heard(self, change: Change) -> bool:
        """Whether it is a change by a hand, or may be."""
        if change.mask & inotify.OVERFLOW:
            self._stirred.update(self._watches)
            return True
        if change.mask & inotify.IGNORED:
            self._folders.pop(change.watch, None)
            return False
        folder = self._folders.get(change.watch)
        if folder is None or change.name.startswith(b".") or os.fsdecode(change.name) in OURS:
            return False
        self._stirred.add(folder)
        return True


def watched(video: Path) -> list[str]:
    """The folders of a video at rest that are watched, whether it is now or not."""
    found, level = [str(video)], [str(video)]
    for _ in range(_DEEPEST):
        below = []
        for folder in level:
            try:
                with os.scandir(folder) as entries:
                    below += [entry.path for entry in entries if _counts(entry)]
            except OSError:
                continue  # gone meanwhile
        found += below
        level = below
    return found


def _counts(entry: os.DirEntry[str]) -> bool:
    return entry.name[0] != "." and entry.name not in _UNWATCHED and entry.is_dir(follow_symlinks=False)
