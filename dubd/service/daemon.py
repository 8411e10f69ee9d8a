"""The daemon: it takes complete drops, builds what is stale, and goes on for months."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from watchdog.events import (
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from dubd.errors import DubdError, Exit
from dubd.folders import Folders
from dubd.graph import report
from dubd.graph.build import MOVED, Event
from dubd.graph.rules import Rules
from dubd.graph.video import Video, videos
from dubd.graph.video_build import VideoBuild
from dubd.schedule.executor import Executor
from dubd.schedule.room import Room
from dubd.schedule.scheduler import Scheduler
from dubd.service.fault import fault_of
from dubd.service.inbox import Inbox, subtitles_beside
from dubd.service.notify import Notify
from dubd.service.signature import Signature, by_hand, of_video, signature
from dubd.service.waits import Waits

_LOOK = 30.0  # s between looks at all folders when no event came: events get lost, a look does not
_NAMED = 3  # videos that the status tells by name
_BUSY = 5.0  # s after which a video that another process builds, or whose input changed meanwhile, is tried again
DRAIN = 90.0  # s that what runs may take to end after a stop; systemd/dubd.service gives 120 before it kills
_DISK = 60.0  # s after which a video that the disk failed is tried again


@dataclass(frozen=True)
class News:
    """What the daemon tells: `claimed`, `task`, `built`, `current`, `waiting`, `failed` or `refused`, and of what."""

    kind: str
    path: Path  # the drop, or the video's folder
    event: Event | None = None
    error: DubdError | None = None
    # All that a build failed of, its closing and its report included, or the models that it waits for.
    failed: tuple[DubdError, ...] = ()
    build: VideoBuild | None = None
    video: Video | None = None  # that of a task, as its build read it
    seconds: float = 0.0


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
        settle: float = 2.0,
        drain: float = DRAIN,
        notify: Notify | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folders = folders
        self.inbox = Inbox(folders.inbox, settle)
        self.stopping = False
        self._reloading = False
        self._rules = Rules(folders.rules)
        self._room = Room()
        self._scheduler = Scheduler(executor, patient=True, room=self._room)
        self._tell = tell
        self._now = now
        self._drain = drain
        self._notify = notify or Notify({})
        self._wake = threading.Event()
        self._wake.set()
        self._looked = -_LOOK
        self._known: dict[Path, Signature] = {}  # a video as its last build left it
        self._moving: dict[Path, tuple[Signature, float]] = {}  # changed, but perhaps still being saved
        self._building: dict[Path, _Building] = {}
        self._later: dict[Path, float] = {}
        self._soon: set[Path] = set()  # those of `_later` that need nobody's help
        self._told: dict[Path, str] = {}
        self._waits = Waits(now)
        self._done: set[Path] = set()  # told to be built or up to date
        self._rule_files = signature(folders.rules)

    def stop(self) -> None:
        """Begin nothing more. Only sets a flag, so it may be called from a signal handler."""
        self.stopping = True

    def reload(self) -> None:
        """Offer every drop its rule again, and look at every video. Only sets flags, as `stop` does."""
        self._reloading = True
        self._wake.set()

    @property
    def idle(self) -> bool:
        """Every drop is taken and every video is built, as far as it can be."""
        return (
            not (self._building or self.inbox.pending or self._moving or self._soon or self._wake.is_set())
            and self._looked > -_LOOK
        )

    def run(self, *, until_idle: bool = False) -> None:
        """Turn after turn, until `stop`; what runs then has `drain` seconds to end, else it is made again later."""
        with self._watch():
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
            "drops_pending": len(self.inbox.pending),
            "videos_building": len(self._building),
            "tasks_ready": ready,
            "batches_running": running,
            "retries": self._scheduler.retries,
        }

    @property
    def status(self) -> str:
        """What it is at, in a line."""
        pending = len(self.inbox.pending)
        waits = f", {pending} {'drop' if pending == 1 else 'drops'} still being written" if pending else ""
        waits += f", {self._room.short}" if self._room.short else ""
        if not self._building:
            return f"nothing to do{waits}"
        names = ", ".join(folder.name for folder in sorted(self._building)[:_NAMED])
        more = f" and {len(self._building) - _NAMED} more" if len(self._building) > _NAMED else ""
        return f"building {names}{more}{waits}"

    def step(self, timeout: float = 1.0) -> None:
        """One turn, which waits for news up to `timeout` seconds."""
        now = self._now()
        for folder in self._waits.arrived():
            self._known.pop(folder, None)
            self._wake.set()
        if self._wake.is_set() or self.inbox.pending or self._moving or self._later or now - self._looked >= _LOOK:
            self._wake.clear()
            self._looked = now
            self._follow_rules()
            for path in self.inbox.scan(now):
                self._take(path)
            for error in self.inbox.refused:
                self._tell(News("refused", Path(error.file or self.inbox.root), error=error))
            self.inbox.refused.clear()
            self._look(now)
        if self._building:
            self._scheduler.step(timeout)
            self._end_builds()
        else:
            soon = self.inbox.pending or self._moving or self._later
            self._wake.wait(min(timeout, self.inbox.settle / 4) if soon else timeout)

    def _follow_rules(self) -> None:
        """A changed rule is offered to every drop again: claiming one twice only brings its rule up to date."""
        files = signature(self.folders.rules)
        if files != self._rule_files or self._reloading:
            if self._reloading:
                self._reloading = False
                self._known.clear()
                self._told.clear()
            self._rule_files = files
            for path in self.inbox.taken():
                self.inbox.again(path)

    def _take(self, path: Path) -> None:
        if not self._room.admits(self.folders.workspace):
            self._again(path, _BUSY, soon=True)
            return
        before = set(videos(self.folders.workspace))
        try:
            rule = self._rules.for_drop(path, self.inbox.root)
            video = Video.claim(path, rule, self.folders, subtitles_beside(path))
        except Exception as error:  # whatever it is, the other drops are none the worse
            self._refuse(path, fault_of(error, path))
            return
        self._told.pop(path, None)
        if video.folder not in before:
            self._tell(News("claimed", path))
        self._known.pop(video.folder, None)
        self._told.pop(video.folder, None)

    def _refuse(self, path: Path, error: DubdError) -> None:
        if error.exit == Exit.WORKSPACE:
            self._later[path] = self._now() + _DISK
        text = "\n".join(map(str, error.each()))
        if self._told.get(path) != text:
            self._told[path] = text
            self._tell(News("refused", path, error=error))

    def _look(self, now: float) -> None:
        """Begin a build of every video that is not as its last build left it."""
        for path in [path for path, when in self._later.items() if when <= now]:
            del self._later[path]
            self._soon.discard(path)
            self.inbox.again(path)
            self._known.pop(path, None)
        folders = list(videos(self.folders.workspace))
        for path in (self._known.keys() | self._moving.keys()) - set(folders):
            self._known.pop(path, None)
            self._waits.forget(path)
            self._moving.pop(path, None)  # a removed folder never comes to rest
            self._done.discard(path)
        for folder in folders:
            if folder in self._building or folder in self._later or self.stopping:
                continue
            current = of_video(folder)
            known = self._known.get(folder)
            if known == current:
                self._moving.pop(folder, None)
            elif known is not None and self._unsettled(folder, current, now):
                continue  # a hand edit is being saved
            else:
                self._moving.pop(folder, None)
                if known is not None:  # a hand changed something: whoever did it wants to hear
                    self._told.pop(folder, None)
                self._begin(folder, current)

    def _unsettled(self, folder: Path, current: Signature, now: float) -> bool:
        was, since = self._moving.get(folder, (None, now))
        self._moving[folder] = current, since if was == current else now
        return was != current or now - since < self.inbox.settle / 2

    def _begin(self, folder: Path, current: Signature) -> None:
        told: set[str] = set()
        try:
            video = Video.open(folder)
            video.require_source()
            build = VideoBuild(video, lambda event: self._hear(video, event, told))
        except Exception as error:  # a broken state file, a plan that a hand broke: this video's failure
            fault = fault_of(error, folder)
            if fault.exit == Exit.BUSY:
                self._again(folder, _BUSY, soon=True)
            else:
                self._known[folder] = current
                self._refuse(folder, fault)
            return
        self._building[folder] = _Building(build, current, self._now(), told=told)
        self._scheduler.add(build)

    def _again(self, path: Path, seconds: float, *, soon: bool = False) -> None:
        self._later[path] = self._now() + seconds
        if soon:
            self._soon.add(path)

    def _hear(self, video: Video, event: Event, told: set[str]) -> None:
        if event.state == "ran":
            self._building[video.folder].worked = True
        elif event.state == "waits":
            if not self._waits.news(video.folder, str(event.error)):
                return
        elif event.state == "failed":
            told.add(event.task)
            if str(event.error) in self._told.get(video.folder, "").splitlines():
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
            self._wake.set()

    def _ended(self, folder: Path, building: _Building, failed: list[tuple[str, DubdError]]) -> None:
        """Say how a build went, and remember the folder as it is now.

        An edit made during the build must not be missed: after work was done the folder is looked at once
        more, against what it was before; after a failure only where a hand has changed something meanwhile,
        or the failure would come twice.
        """
        build, seconds = building.build, self._now() - building.began
        after = of_video(folder)
        try:
            if building.worked or failed:
                report.write(folder)
            stale = by_hand(folder, building.before, after) if failed else building.worked
        except Exception as error:
            failed.append(("report", fault_of(error, folder)))
            stale = False
        self._known[folder] = building.before if stale else after
        self._waits.keep(folder, build.waiting)
        if failed or build.waiting:
            self._done.discard(folder)
        if failed:
            self._failed(folder, building, failed, seconds)
            return
        self._told.pop(folder, None)
        if build.waiting:
            faults = tuple(lack.fault(folder.name) for lack in build.waiting)
            if self._waits.news(folder, "\n".join(map(str, faults)) + "\n"):
                self._tell(News("waiting", folder, failed=faults, seconds=seconds))
            return
        if building.worked:
            self._tell(News("built", folder, build=build, seconds=seconds))
        elif folder not in self._done:
            self._tell(News("current", folder, build=build, seconds=seconds))
        self._done.add(folder)

    def _failed(self, folder: Path, building: _Building, failed: list[tuple[str, DubdError]], seconds: float) -> None:
        if any(error.reason == MOVED for _, error in failed):
            self._again(folder, _BUSY, soon=True)
        elif any(error.exit == Exit.WORKSPACE for _, error in failed):
            self._again(folder, _DISK)
        text = "\n".join(sorted(str(error) for _, error in failed))
        if self._told.get(folder) == text:
            return
        self._told[folder] = text
        for task, error in failed:
            if task not in building.told:  # a fault of the whole build: no task has told it
                error.file = error.file or str(folder)
                self._tell(News("refused", folder, error=error))
        faults = tuple(error for _, error in failed)
        self._tell(News("failed", folder, error=faults[0], failed=faults, seconds=seconds))

    def _watch(self) -> _Watch:
        return _Watch([self.folders.inbox, self.folders.rules, self.folders.workspace], self._wake)


class _Watch(FileSystemEventHandler):
    """While inside, changes below the folders set `wake`. Where they cannot be watched the regular look does."""

    def __init__(self, folders: list[Path], wake: threading.Event) -> None:
        self._folders, self._wake = folders, wake
        # Temporary folders come and go faster than watchdog lets go of them; that is no news to anybody.
        warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning, "watchdog")
        self._observer = Observer()

    def __enter__(self) -> _Watch:
        kinds: list[type[FileSystemEvent]] = [
            FileCreatedEvent,
            FileMovedEvent,
            FileClosedEvent,
            FileDeletedEvent,
            FileModifiedEvent,
        ]
        try:
            for folder in self._folders:
                if folder.is_dir():
                    self._observer.schedule(self, str(folder), recursive=True, event_filter=kinds)
            self._observer.start()
        except OSError:
            self._observer = Observer()
        return self

    def __exit__(self, *_: object) -> None:
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Hidden files (state, locks, temporary outputs) are the machine's own and wake nobody."""
        path = os.fsdecode(event.dest_path or event.src_path)
        if not any(part.startswith(".") for part in Path(path).parts[-4:]):
            self._wake.set()
