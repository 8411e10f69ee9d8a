"""The daemon: it takes complete drops, builds what is stale, and goes on for months."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dubd.errors import DubdError, Exit
from dubd.folders import Folders
from dubd.graph import report
from dubd.graph.build import Event
from dubd.graph.superseded import kept, removed, superseded
from dubd.graph.video import Video, videos
from dubd.graph.video_build import VideoBuild
from dubd.schedule.executor import Executor
from dubd.schedule.room import Room
from dubd.schedule.scheduler import Scheduler
from dubd.service import retries
from dubd.service.aliases import drop_of
from dubd.service.failures import Failures
from dubd.service.fault import fault_of
from dubd.service.folder_watch import LOOK, FolderWatch
from dubd.service.inbox import settle_time
from dubd.service.news import News
from dubd.service.notify import Notify
from dubd.service.outcomes import Outcomes
from dubd.service.rest import FILES, Rest
from dubd.service.signature import Signature, by_hand, of_video
from dubd.service.taking import BUSY, Taking
from dubd.service.waits import Waits

_NAMED = 3  # videos that the status tells by name
_PAUSE, _PAUSE_MOST = 0.1, 2.0  # s between two looks, four times what the last one took: events come by the thousand
_BEGINNING = (
    1.0  # s of one turn for looks and new builds: thousands of them at a start must not keep systemd from hearing of it
)
# Tasks of videos that are open at once: 20 KB each, and far more than any batch can be made of. With many slots, more.
_OPEN, _OPEN_A_SLOT = 10_000, 16
_FOR_EDITS = 1.25  # times as many where what a person waits for is among them
DRAIN = 90.0  # s that what runs may take to end after a stop; systemd/dubd.service gives 120 before it kills


@dataclass
class _Building:
    build: VideoBuild
    before: Signature
    began: float
    worked: bool = False  # something ran
    told: set[str] = field(default_factory=set)  # tasks that were heard to fail


class Daemon:
    """`step` is one turn: scan, claim, look for what is stale, schedule. `tell` hears all news.

    What fails is told once and tried again when its bytes, its rule or its sidecars change. A video that
    another process builds, whose input changed under a task, or that the disk failed, is tried again after
    a while. Whatever goes wrong with one video is that video's failure, and the daemon goes on.
    """

    def __init__(
        self,
        folders: Folders,
        executor: Executor,
        tell: Callable[[News], None],
        *,
        settle: float | None = None,
        drain: float = DRAIN,
        notify: Notify | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folders = folders
        self.stopping = False
        self._reloading = False
        self._room = Room()
        self._executor = executor
        self._scheduler = Scheduler(executor, patient=True, room=self._room)
        self._tell = tell
        self._now = now
        self._drain = drain
        self._notify = notify or Notify({})
        self._wake = threading.Event()
        self._wake.set()
        flat = [folders.workspace, folders.workspace / retries.MARKS]
        self._watch = FolderWatch([folders.inbox, folders.rules], self._wake, flat=flat)
        self._looked: float | None = None
        self._rounded = -math.inf  # when the last round over videos at rest was
        self._took = 0.0  # s that the last look took
        self._failures = Failures(folders.inbox, now)
        self.settle = settle_time(folders.inbox) if settle is None else settle
        self._waits = Waits(now)
        self._taking = Taking(
            folders, self.settle, self._failures, self._waits, tell, lambda: self._room.admits(folders.workspace)
        )
        self._rest = Rest(self.settle / 2)
        self._behind = False  # videos are left for the next turn
        self._building: dict[Path, _Building] = {}
        self._held_back = False  # some videos are not opened yet, since there is enough to do
        self._outcomes = Outcomes(folders.inbox, self._failures, self._waits, tell)

    def stop(self) -> None:
        """Begin nothing more. Only sets a flag, so it may be called from a signal handler."""
        self.stopping = True

    def reload(self) -> None:
        """Offer every drop its rule again, and look at every video but those that failed of something else.

        Only sets flags, as `stop` does.
        """
        self._reloading = True
        self._wake.set()

    @property
    def idle(self) -> bool:
        """Every drop is taken and every video is built, as far as it can be."""
        busy = (
            self._building
            or self._behind
            or self._held_back
            or self._taking.pending
            or self._rest.moving
            or self._failures.soon
            or self._wake.is_set()
        )
        return self._looked is not None and not busy

    def run(self, *, until_idle: bool = False) -> None:
        """Turn after turn, until `stop`; what runs then has `drain` seconds to end, else it is made again later."""
        with self._watch:
            while not self.stopping and not (until_idle and self.idle):
                self.step()
                self._notify.ready(self.status)
                self._notify.alive(self.status)
            for building in self._building.values():
                building.build.stop()
            end = self._now() + self._drain
            while self._building and self._now() < end:
                self._notify.stopping(f"stopping: {self.status}")
                self._scheduler.step(0.5)
                self._end_builds()
            for building in self._building.values():
                building.build.close()

    @property
    def counts(self) -> Mapping[str, int]:
        """How many there are now, for metrics; `retries` since the start. May be asked from any thread."""
        running, ready = self._scheduler.load
        return {
            "drops_pending": self._taking.pending,
            "videos_building": len(self._building),
            "tasks_ready": ready,
            "batches_running": running,
            "retries": self._scheduler.retries,
        }

    @property
    def status(self) -> str:
        """What it is at, in a line."""
        pending = len(self._taking.inbox.pending)
        waits = f", {pending} {'drop' if pending == 1 else 'drops'} not settled yet" if pending else ""
        waits += f", {self._room.short}" if self._room.short else ""
        if not self._building:
            return f"nothing to do{waits}"
        names = ", ".join(folder.name for folder in sorted(self._building)[:_NAMED])
        more = f" and {len(self._building) - _NAMED} more" if len(self._building) > _NAMED else ""
        return f"building {names}{more}{waits}"

    def step(self, timeout: float = 1.0) -> None:
        """One turn, which waits for news up to `timeout` seconds."""
        for path in self._waits.arrived():  # a video's models, or what a refused drop's rule lacked
            self._again(path)
            self._wake.set()
        if self._watch.moved or (self._held_back and self._open < self._most):
            self._wake.set()
        if self._now() >= self._next():
            self._turn()
        wait = min(timeout, max(0.0, self._next() - self._now()))
        if self._building:
            self._scheduler.step(wait)
            self._end_builds()
        elif self._wake.is_set():  # heard already, and too soon for another look
            time.sleep(wait)
        else:
            self._wake.wait(wait)

    def _next(self) -> float:
        """When to look again, if nothing is heard until then."""
        if self._looked is None or self._taking.busy or self._behind:
            return -math.inf
        soonest = self._looked + min(max(_PAUSE, 4 * self._took), _PAUSE_MOST)
        if self._wake.is_set():
            return soonest
        whens = [self._rounded + self._watch.every, self._taking.inbox.due, self._failures.next]
        if not self._held_back:  # else edits wait for builds to end, and those wake
            whens += self._rest.due
        return max(soonest, min(when for when in whens if when is not None))

    def _turn(self) -> None:
        began = time.monotonic()
        now = self._now()
        self._wake.clear()
        due = now - self._rounded >= self._watch.every
        if due or self._watch.moved:
            self._watch.check()
        self._looked = now
        for error in self._watch.told:
            self._tell(News("note", Path(error.file or self.folders.inbox), error=error))
        self._watch.told.clear()
        if self._reloading:
            self._reloading = False
            self._rest.reload(self._failures.stays)
            self._taking.offer_again()
        for path in retries.asked(self.folders.workspace):
            self._retry(path)
        for path in self._failures.due():
            self._again(path)
        for folder, offered in self._taking.turn(now).items():
            if not (offered and self._failures.stays(folder) and self._rest.left_so(folder, of_video(folder))):
                self._rest.again(folder)
        if due:
            self._rounded = now
        self._look(now, self._round if due and self._open < self._most else 0)
        self._took = time.monotonic() - began

    def _again(self, path: Path) -> None:
        self._taking.inbox.again(path)
        self._rest.again(path)

    def _retry(self, path: Path) -> None:
        """A person asks for another try of a drop, or of a video: whoever did it wants to hear."""
        drop = drop_of(path) if path.parent == self.folders.workspace else None
        for each in (path, drop):
            if each:
                self._failures.gone(each)
                self._again(each)

    def _look(self, now: float, files: int) -> None:
        """Begin a build of every video that is not as its last build left it, as far as that is heard or found."""
        folders = list(videos(self.folders.workspace))
        for path in self._rest.gone(folders):
            self._watch.hold(path)
            self._waits.forget(path)
            self._outcomes.forget(path)
            self._failures.gone(path)
        spent = 0.0
        self._behind = self._held_back = False
        heard = self._watch.heard()
        everything = self.folders.workspace in heard
        for folder in self._rest.wanted(folders, folders if everything else heard, files):
            if folder in self._building or self._failures.waits(folder) or self.stopping:
                continue
            if self._open >= self._most * (_FOR_EDITS if folder in self._rest else 1.0):
                self._held_back = True
                continue
            if spent > _BEGINNING:
                self._behind = True
                break
            began = time.monotonic()
            current = of_video(folder)
            if not self._rest.at_rest(folder, current, now):
                if edited := folder in self._rest:  # a hand changed something: whoever did it wants to hear
                    self._failures.forget(folder)
                self._begin(folder, current, edited)
                self._end_builds()  # one that is up to date: a megabyte each, and there are hundreds at a start
            spent += time.monotonic() - began

    @property
    def _round(self) -> int:
        """Files that a round goes to; no more in a minute where only the inbox has to be looked at often."""
        return FILES if self._watch.deaf(self.folders.workspace) else math.ceil(FILES * self._watch.every / LOOK)

    @property
    def _open(self) -> int:
        """Tasks of the videos that are open."""
        return sum(building.build.size for building in self._building.values())

    @property
    def _most(self) -> int:
        """As many keep everything busy: the others can wait, and take no memory."""
        return max(_OPEN, _OPEN_A_SLOT * self._executor.capacity().slots)

    def _begin(self, folder: Path, current: Signature, edited: bool) -> None:
        """Open a video; one that was `edited` goes before all that wait: it is a line mostly, and somebody waits."""
        if superseded(folder) or (kept(folder) and not edited):
            self._leave(folder, current)
            return
        if removed(folder):
            self._leave(folder, current)
            self._outcomes.removed(folder)
            return
        told: set[str] = set()
        try:
            video = Video.open(folder)
            video.require_source()
            build = VideoBuild(video, lambda event: self._hear(video, event, told))
        except Exception as error:  # a broken state file, a plan that a hand broke: this video's failure
            fault = fault_of(error, folder)
            if fault.exit == Exit.BUSY:
                self._failures.later(folder, BUSY, soon=True)
                return
            self._leave(folder, current)
            self._outcomes.refused(folder, fault)
            return
        self._watch.hold(folder)  # it is written to, and looked at once more when it is built
        self._building[folder] = _Building(build, current, self._now(), told=told)
        if not build.done:
            self._scheduler.add(build, first=edited)

    def _leave(self, folder: Path, found: Signature) -> None:
        """It is as it was found, and is looked at once more: from here on what changes it is heard."""
        self._watch.rest(folder)
        self._rest.leave(folder, found)

    def _hear(self, video: Video, event: Event, told: set[str]) -> None:
        if event.state == "ran":
            self._building[video.folder].worked = True
        elif event.state == "waits":
            if not self._waits.news(video.folder, str(event.error)):
                return
        elif event.state == "failed":
            if removed(video.folder):
                return  # told as such, at the end
            told.add(event.task)
            if event.error and self._failures.told(video.folder, event.error):
                return  # tried again by itself, and failed as before
        self._tell(News("task", video.folder, event=event, video=video))

    def _end_builds(self) -> None:
        for folder, building in [(f, b) for f, b in self._building.items() if b.build.done]:
            del self._building[folder]
            failed = list(building.build.failed)
            try:
                building.build.close()
            except Exception as error:  # the folder was removed, the disk is full
                failed.append(("close", fault_of(error, folder)))
            self._ended(folder, building, failed)
            self._tell(News("over", folder))
            self._wake.set()

    def _ended(self, folder: Path, building: _Building, failed: list[tuple[str, DubdError]]) -> None:
        """Remember the folder as it is now, and have it said how the build went.

        An edit made during the build must not be missed: the folder is looked at once more, against what it
        was before; after a failure only where a hand has changed something meanwhile, or it would come twice.
        """
        build, seconds = building.build, self._now() - building.began
        after = of_video(folder)
        try:
            if building.worked or failed:
                report.write(folder)
            stale = not failed or by_hand(folder, building.before, after)
        except Exception as error:
            failed.append(("report", fault_of(error, folder)))
            stale = False
        self._leave(folder, building.before if stale else after)
        self._outcomes.ended(folder, build, failed, building.told, worked=building.worked, seconds=seconds)
