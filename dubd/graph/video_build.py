"""The build of one video by the daemon or `dubd run`: lock, sweep, look, build, settle."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import ExitStack, suppress

from doit.control import TaskControl
from doit.dependency import Dependency

from dubd.cost.ledger import Ledger
from dubd.errors import DubdError
from dubd.graph import content
from dubd.graph.build import Build, Event, Listener
from dubd.graph.build_log import BuildLog
from dubd.graph.content import ContentChecker
from dubd.graph.needed import Lack
from dubd.graph.promote import edited
from dubd.graph.settled import settle, settled, stamps, tasks, unsettle
from dubd.graph.state import Shards, State, owned
from dubd.graph.tasks import VideoTasks
from dubd.graph.temporary import sweep
from dubd.graph.video import Video
from dubd.schedule.ticket import Ticket
from dubd.stages.job import Outcome

_OPEN = "open"  # noted while a build runs: after a kill there may be temporary files, as after it was given up
_PLANLESS = 2  # tasks of a video without a plan: the plan, and the group that is to come
_HOUR = 500


class VideoBuild:
    """A source of tickets for one video; holds the video's lock until it is closed.

    Errors of the constructor: DubdError (BUSY where another process builds it, WORKSPACE, RULE, INPUT).
    """

    def __init__(self, video: Video, listener: Listener) -> None:
        self._listener = listener
        self._build: Build | None = None
        self._log = BuildLog(video.folder)
        self._began = False
        self._abandoned = False
        with ExitStack() as held:
            held.enter_context(owned(video.folder))
            self._shards = Shards(str(video.folder.parent))
            held.callback(self._shards.dump)
            state = self._shards.shard(video.id)
            assert state is not None
            self._state: State = state
            if state.note(_OPEN):
                sweep(video.folder)
                state.set_note(_OPEN, None)
            self._read = stamps(state)
            self._ledger = Ledger(state, whole=bool(tasks(state)))
            self.video = Video.open(video.folder)  # again: a hand may have changed its rule since it was claimed
            self._source = str(video.folder / self.video.source)
            self._seen: list[int] | None = state.note("source")
            if known := settled(state):
                for name, stage in known.tasks:
                    listener(Event(name, stage, "skipped"))
            else:
                self._build = self._start()
            self._held = held.pop_all()

    def _start(self) -> Build:
        dependency = Dependency(lambda *_, **__: self._shards, str(self.video.folder.parent), ContentChecker)
        self._maker = VideoTasks(self.video)
        control = TaskControl(self._maker.all(self._state))
        control.process(None)
        build = Build(dependency, control, self._heard)
        self._control = control
        build.start()
        return build

    @property
    def size(self) -> int:
        """About how many tasks it holds in memory; what a video of an hour has, where it has no plan yet."""
        if self._build is None:
            return 0
        known = len(self._control.tasks)
        return known if known > _PLANLESS else _HOUR

    @property
    def failed(self) -> list[tuple[str, DubdError]]:
        """Tasks that failed, with their errors."""
        return self._build.failed if self._build else []

    @property
    def waiting(self) -> Sequence[Lack]:
        """What tasks wait for that could run but for their models."""
        return self._build.waiting if self._build else ()

    @property
    def settled(self) -> bool:
        """Everything of the video is built."""
        return self._build is None or self._build.succeeded

    def ready(self) -> Sequence[Ticket]:
        """See `Source`."""
        return self._build.ready() if self._build else ()

    @property
    def done(self) -> bool:
        """See `Source`."""
        return self._build is None or self._build.done

    def begin(self, task: str) -> Ticket | None:
        """See `Source`."""
        assert self._build
        try:
            if not self._began:
                self._state.set_note(_OPEN, True)
                unsettle(self._state)
                self._began = True
            self._require_film()
        except DubdError as error:
            return self._build.begin(task, unable=error)
        return self._build.begin(task)

    def progress(self, task: str, fraction: float) -> None:
        """See `Source`."""
        assert self._build
        self._build.progress(task, fraction)

    def finish(self, task: str, outcome: Outcome, seconds: float) -> None:
        """See `Source`."""
        assert self._build
        try:
            self._require_film()
        except DubdError as error:
            outcome = error
        self._build.finish(task, outcome, seconds)

    def again(self, task: str) -> None:
        """See `Source`."""
        assert self._build
        self._build.again(task)

    def abandon(self, error: Exception) -> None:
        """See `Source`."""
        self._abandoned = True
        if self._build:
            self._build.abandon(error)

    def stop(self) -> None:
        """Begin nothing more."""
        if self._build:
            self._build.stop()

    def close(self) -> None:
        """Settle what is finished, prune what the plan no longer has, and let go of the lock."""
        with self._held, suppress(DubdError):  # what cannot be noted now is looked at again by the next build
            if self._build is None or not self._build.done:
                return
            if self._build.succeeded:
                self._prune()
                plan = {"plan.json": self._maker.plan_read}
                settle(self._state, self._control.tasks.values(), self._read | plan)
                self._ledger.done(self.video.folder / "plan.json", self.video.rule)
            self._build.clear()
            if self._began and not self._abandoned:  # else what ran has left its temporary files
                self._state.set_note(_OPEN, None)
            self._build.complete()

    def __enter__(self) -> VideoBuild:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _require_film(self) -> None:
        """Nothing is made of a film that was written over the video's own; one that is gone fails what reads it."""
        stamp = content.stamp(self._source)
        if stamp and [*stamp[1:]] != self._seen:
            self.video.require_source()
            self._seen = self._state.note("source")

    def _prune(self) -> None:
        """Remove segments that the plan no longer has and products that the rule no longer asks for.

        A hand's work stays, and so do a segment's artifacts of a stage that is off now: it may be on again.
        """
        plan = VideoTasks(self.video).read_plan() or {"segments": []}
        segments = {segment["id"] for segment in plan["segments"]}
        targets = {self._state.relative(path) for path in self._control.targets}
        for path, _, _ in list(self._state.all_made()):
            parts = path.split("/")
            wanted = path in targets or (parts[0] == "segments" and parts[1] in segments)
            if not wanted and not edited(self._state, self._state.absolute(path)):
                (self.video.folder / path).unlink(missing_ok=True)
                self._state.forget_made(path)
        for folder in self.video.folder.glob("segments/*"):
            if folder.name not in segments and not any(path.is_file() for path in folder.rglob("*")):
                shutil.rmtree(folder, ignore_errors=True)
        for task, run in self._state.runs().items():
            segment = task.partition(":")[2].partition("/")[0]
            if task not in self._control.tasks and (segment not in segments or run["state"] == "failed"):
                self._state.forget_run(task)
                self._state.remove(task)

    def _heard(self, event: Event) -> None:
        self._log.hear(event)
        self._ledger.hear(event)
        self._listener(event)
