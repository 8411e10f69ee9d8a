"""Complete drops become videos: each by its rule, each content once, and a fault of one is its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from dubd.errors import DubdError, Exit
from dubd.folders import Folders
from dubd.graph.rules import Rules
from dubd.graph.video import Video
from dubd.service.aliases import Aliases
from dubd.service.failures import Failures
from dubd.service.fault import fault_of
from dubd.service.inbox import VIDEO, Inbox, subtitles_beside
from dubd.service.news import News
from dubd.service.signature import signature
from dubd.service.waits import Waits

BUSY = 5.0  # s after which what only has to wait is tried again: another process, an input that changed, room
DISK = 60.0  # s after which what the disk failed is tried again
_TURN = 1.0  # s of one turn for drops: thousands of them must not keep what runs from being heard


class Taking:
    """`turn` looks at the inbox and claims what is complete. `tell` hears of it."""

    def __init__(
        self,
        folders: Folders,
        settle: float,
        failures: Failures,
        waits: Waits,
        tell: Callable[[News], None],
        admits: Callable[[], bool] = lambda: True,
    ) -> None:
        """`admits` says whether there is room for another video."""
        self.inbox = Inbox(folders.inbox, settle)
        self._folders = folders
        self._rules = Rules(folders.rules)
        self._rule_files = signature(folders.rules)
        self._failures = failures
        self._waits = waits
        self._tell = tell
        self._admits = admits
        self._aliases = Aliases(folders.workspace, folders.inbox)
        self._ready: dict[Path, None] = {}  # complete, oldest first
        self._faulty: set[Path] = set()

    @property
    def busy(self) -> bool:
        """Complete drops are left for the next turn."""
        return bool(self._ready)

    @property
    def pending(self) -> int:
        """How many drops are there and not taken."""
        return len(self.inbox.pending) + len(self._ready)

    def turn(self, now: float) -> dict[Path, bool]:
        """The folders of the videos whose drops were claimed, and of each whether it was but offered its rule."""
        if (files := signature(self._folders.rules)) != self._rule_files:
            self._rule_files = files
            self.offer_again()
        for path in self._aliases.left():
            self.inbox.again(path)
        if not self._ready:
            self._ready = dict.fromkeys(self.inbox.scan(now))
            self._tell_refused()
        if not self._ready:
            return {}
        self._aliases.refresh()
        claimed: dict[Path, bool] = {}
        end = time.monotonic() + _TURN
        while self._ready and time.monotonic() < end:
            path = next(iter(self._ready))
            del self._ready[path]
            offered = self.inbox.offered(path)
            if not self.inbox.still(path):  # it waited for its turn, and is written anew
                self.inbox.again(path)
            elif folder := self._take(path, offered):
                claimed[folder] = offered and claimed.get(folder, True)
        self._aliases.save()
        return claimed

    def offer_again(self) -> None:
        """Every drop is given its rule anew: claiming one twice only brings its rule up to date."""
        self.inbox.offer_again()

    def _tell_refused(self) -> None:
        for error in self.inbox.refused:
            path = Path(error.file or self.inbox.root)
            if path.suffix.lower() in VIDEO:  # unreadable, a link, a pipe: meant to be dubbed
                self._note(path, error)
            self._tell(News("refused", path, error=error))
        self.inbox.refused.clear()
        for drop in self.inbox.orphans:
            self._failures.mended(drop)
        for path in [path for path in self._faulty if not os.path.lexists(path)]:
            self._faulty.discard(path)
            self._failures.gone(path)

    def _take(self, path: Path, offered: bool) -> Path | None:
        if not self._admits():
            self._failures.later(path, BUSY, soon=True)
            return None
        try:
            known = self._aliases.known(path)
            if known and known[0] != path and self._aliases.counts(*known):
                if self._aliases.add(path, *known):
                    self._tell(News("alias", path, same=known))
                self._failures.gone(path)
                self._failures.mended(path)
                return None
            rule = self._rules.for_drop(path, self.inbox.root)
            folder = known[1] if known else None
            if folder and any(folder.glob("dubbed.*.mp4")):
                self._rules.require_kept(Video.open(folder).rule, rule, path)
            video = Video.claim(path, rule, self._folders, subtitles_beside(path), known=folder)
        except Exception as error:  # whatever it is, the other drops are none the worse
            if os.path.lexists(path):  # else it went before it was taken, and nobody misses it
                fault = fault_of(error, path)
                self._waits.look_for(path, [absent for each in fault.each() for absent in each.absent])
                self._refuse(path, fault)
            return None
        self._waits.forget(path)
        self._mended(path)
        if not offered:
            self._failures.gone(video.folder)
        if known and known[0] != path:
            self._tell(News("alias", path, same=known))
        elif self._aliases.know(video.folder):
            self._tell(News("claimed", path))
        return video.folder

    def _mended(self, path: Path) -> None:
        self._failures.gone(path)
        if path in self._faulty:
            self._faulty.discard(path)
            self._failures.mended(path)

    def _refuse(self, path: Path, error: DubdError) -> None:
        if error.exit == Exit.WORKSPACE:
            self._failures.later(path, DISK)
        self._note(path, error)
        if self._failures.news(path, error.each()):
            self._tell(News("refused", path, error=error))

    def _note(self, path: Path, error: DubdError) -> None:
        self._faulty.add(path)
        self._failures.beside(path, error.each())
