"""How builds went: in the news, in the error file beside the drop, and whether another try by itself is worth it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from dubd.errors import DubdError, Exit
from dubd.graph.build import MOVED
from dubd.graph.superseded import away, removed
from dubd.graph.video_build import VideoBuild
from dubd.service.aliases import drop_of, holds
from dubd.service.failures import Failures
from dubd.service.news import News
from dubd.service.taking import BUSY, DISK
from dubd.service.waits import Waits


class Outcomes:
    """Of the videos of one inbox. `tell` hears what is news; what was told before is not told again."""

    def __init__(self, inbox: Path, failures: Failures, waits: Waits, tell: Callable[[News], None]) -> None:
        self._inbox, self._failures, self._waits, self._tell = inbox, failures, waits, tell
        self._done: set[Path] = set()  # told to be built or up to date

    def forget(self, folder: Path) -> None:
        """The video is gone."""
        self._done.discard(folder)

    def refused(self, folder: Path, fault: DubdError) -> None:
        """No build of it could begin."""
        if fault.exit == Exit.WORKSPACE or away(folder):
            self._failures.later(folder, DISK)
        self._beside(folder, fault.each())
        if self._failures.news(folder, fault.each()):
            self._tell(News("refused", folder, error=fault))

    def removed(self, folder: Path) -> None:
        """Its film went with its drop, or with the share that they lay on, which may come back."""
        self._failures.later(folder, DISK)
        fault = DubdError(
            "was removed before it was dubbed", file=drop_of(folder), remedy="drop it again to have it dubbed"
        )
        if self._failures.news(folder, [fault]):
            self._tell(News("note", folder, error=fault))

    def ended(
        self,
        folder: Path,
        build: VideoBuild,
        failed: Sequence[tuple[str, DubdError]],
        told: AbstractSet[str],
        *,
        worked: bool,
        seconds: float,
    ) -> None:
        """`failed` are tasks with their errors, of which those in `told` are known; `worked`: something ran."""
        self._waits.keep(folder, build.waiting)
        if failed or build.waiting:
            self._done.discard(folder)
        if failed and removed(folder):
            self.removed(folder)
            return
        if failed:
            self._failed(folder, failed, told, seconds)
            return
        self._failures.forget(folder)
        drop = drop_of(folder)
        if drop and self._failures.said(drop) and holds(drop, folder, self._inbox):  # the look at it reads 8 MiB
            self._failures.mended(drop)
        if build.waiting:
            faults = tuple(lack.fault(folder.name) for lack in build.waiting)
            if self._waits.news(folder, "\n".join(map(str, faults)) + "\n"):
                self._tell(News("waiting", folder, failed=faults, seconds=seconds))
            return
        if worked:
            self._tell(News("built", folder, build=build, seconds=seconds))
        elif folder not in self._done:
            self._tell(News("current", folder, build=build, seconds=seconds))
        self._done.add(folder)

    def _failed(
        self, folder: Path, failed: Sequence[tuple[str, DubdError]], told: AbstractSet[str], seconds: float
    ) -> None:
        errors = [error for _, error in failed]
        if any(error.reason == MOVED for error in errors):
            self._failures.later(folder, BUSY, soon=True)
        elif away(folder) or any(error.exit == Exit.WORKSPACE for error in errors):
            self._failures.later(folder, DISK)
        self._beside(folder, errors)
        if not self._failures.news(folder, errors):
            return
        for task, error in failed:
            if task not in told:  # a fault of the whole build: no task has told it
                error.file = error.file or str(folder)
                self._tell(News("refused", folder, error=error))
        self._tell(News("failed", folder, error=errors[0], failed=tuple(errors), seconds=seconds))

    def _beside(self, folder: Path, errors: Sequence[DubdError]) -> None:
        drop = drop_of(folder)
        if drop and holds(drop, folder, self._inbox):  # else what has that name now is another video's
            self._failures.beside(drop, errors, folder.name)
