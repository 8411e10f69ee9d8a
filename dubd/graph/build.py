"""A build: one run over the graph of one video or many, as a source of tickets for the scheduler.

It drives doit's own dispatcher and bookkeeping, and closes what doit leaves open: every result is
committed at once, a task has no record while it runs, an input that changed meanwhile fails it, and a
touched file is hashed once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from doit.control import ExecNode, TaskControl
from doit.dependency import Dependency
from doit.exceptions import BaseFail, TaskFailed, UnmetDependency
from doit.runner import ERROR, FAILURE, SUCCESS, Runner
from doit.task import Task

from dubd.errors import DubdError, disk_fault
from dubd.graph import content
from dubd.graph.needed import Lack, lacked, lacking
from dubd.graph.promote import promote
from dubd.graph.state import State
from dubd.graph.temporary import Temporaries, discard
from dubd.graph.why import reasons
from dubd.models.model import Own
from dubd.schedule.ticket import Ticket
from dubd.stages.job import Facts, Outcome

Progress = Literal["started", "progress", "ran", "skipped", "failed", "blocked", "waits"]


@dataclass(frozen=True)
class Event:
    """Something that happened to a task. `blocked`: not tried, because `error` names what failed before it.

    `waits`: not tried, because a model that `error` names is not here; that is no failure.
    """

    task: str
    stage: str
    state: Progress
    seconds: float = 0.0
    fraction: float = 0.0
    why: str = ""
    error: DubdError | None = None
    beside: tuple[str, ...] = ()  # newer versions put beside a hand edit
    device: str = "cpu"  # what a task ran on, a GPU by its name, or as "gpu" where the task failed
    facts: Facts = field(default_factory=dict)  # what the stage of a task that ran found


Listener = Callable[[Event], None]


GIVEN_UP = "build"
"""In place of a task: a failure of the build as a whole."""

MOVED = "changed while it was being used"
"""The reason of a failure that another run mends."""


class Quiet:
    """A doit reporter that says nothing: the build tells its listener."""

    def initialize(self, tasks: object, selected: object) -> None:
        """Called before the first task."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


class Build(Runner):  # type: ignore[misc]  # doit has no types
    """One pass over selected tasks.

    `always` runs what is up to date too; without `keep_going` the first failure ends it.
    """

    def __init__(
        self,
        dependency: Dependency,
        control: TaskControl,
        listener: Listener,
        *,
        reporter: Any = None,
        always: bool = False,
        keep_going: bool = True,
    ) -> None:
        super().__init__(dependency, reporter or Quiet(), keep_going, always)
        self._listener = listener
        self._control = control
        self._dispatcher = control.task_dispatcher()
        self._ready: dict[str, ExecNode] = {}
        self._tickets: tuple[Ticket, ...] | None = None  # of those, until they change
        self._running: dict[str, _Run] = {}
        self._waiting: dict[str, tuple[ExecNode, Lack]] = {}
        self._temporaries: dict[State, Temporaries] = {}
        self.failed: list[tuple[str, DubdError]] = []

    def start(self) -> None:
        """Find what is ready; everything that is up to date is reported on the way. Errors: doit's InvalidTask."""
        self.reporter.initialize(self._dispatcher.tasks, self._dispatcher.selected_tasks)
        self._pull(None)

    # What the scheduler asks of a source.

    def ready(self) -> Sequence[Ticket]:
        """Tickets of the tasks that could start now."""
        if self._stop_running:
            return ()
        if self._tickets is None:
            self._tickets = tuple(node.task.meta["ticket"] for node in self._ready.values())
        return self._tickets

    @property
    def waiting(self) -> Sequence[Lack]:
        """What tasks wait for that could run but for their models; a build that is done leaves them to a later one."""
        return tuple(dict.fromkeys(lack for _, lack in self._waiting.values()))

    @property
    def done(self) -> bool:
        """Nothing runs and nothing more will."""
        return not self._running and (self._stop_running or not self._ready)

    def begin(self, task: str, unable: DubdError | None = None) -> Ticket | None:
        """Stamp the inputs, drop the record, make the outputs private; or fail at once where that is known."""
        node, self._tickets = self._ready.pop(task), None
        state = self._state(task)
        ticket: Ticket = node.task.meta["ticket"]
        status = self.dep_manager.get_status(node.task, self._dispatcher.tasks, get_log=True)
        run = _Run(node, "; ".join(reasons(node.task, status, state)) or "asked for")
        self._running[task] = run
        try:
            if unable:
                raise unable
            run.stamps = {path: content.stamp(path) for path in node.task.file_dep}
            self.dep_manager.remove_success(node.task)
            state.ran(task, "running", 0.0, run.why, None, {})
            run.temporary = self._lender(state).lend(ticket.outputs)
        except (OSError, DubdError) as error:
            self.finish(task, disk_fault(error) if isinstance(error, OSError) else error, 0.0)
            return None
        self.reporter.execute_task(node.task)
        self._tell(node.task, "started", why=run.why)
        return replace(ticket, outputs=run.temporary)

    def progress(self, task: str, fraction: float) -> None:
        """Pass on how far a task has come."""
        if run := self._running.get(task):
            self._tell(run.node.task, "progress", fraction=fraction)

    def finish(self, task: str, outcome: Outcome, seconds: float) -> None:
        """Promote the outputs and commit the record, or keep the old ones and say why; then look for more."""
        run = self._running.pop(task, None)
        if run is None:  # the build was given up meanwhile
            return
        node, ticket, state = run.node, run.node.task.meta["ticket"], self._state(task)
        beside: list[str] = []
        error = outcome if isinstance(outcome, DubdError) else self._moved(run)
        facts: Facts = {} if isinstance(outcome, DubdError) else outcome
        if error is None:
            try:
                beside = promote(state, ticket.outputs, run.temporary)
                self._lender(state).give_back(run.temporary)
                run.temporary = {}
            except DubdError as fault:
                error = fault
            except OSError as fault:
                error = disk_fault(fault)
        if error is None:
            node.task.values = {"key": node.task.uptodate[0][0].key}
            try:
                self.process_task_result(node, None)
                error = self._moved(run)  # again: an edit saved while the outputs were promoted was not used either
                if error is None:
                    state.ran(task, "ran", seconds, run.why, None, facts)
                    self.dep_manager.backend.flush(task)
            except DubdError as fault:
                error = fault
            except OSError as fault:
                error = disk_fault(fault)
        if error is not None:
            discard(run.temporary)
            self._fail(node, error, seconds, run.why)
        else:
            device = str(facts.get("device") or "cpu")
            self._tell(node.task, "ran", seconds=seconds, why=run.why, beside=tuple(beside), device=device, facts=facts)
        if not self._stop_running:
            self._pull(node)
            self._arrived()

    def again(self, task: str) -> None:
        """Drop what the task wrote and queue it before the others; nothing is told, since nothing has ended."""
        if run := self._running.pop(task, None):
            discard(run.temporary)
            self._ready, self._tickets = {task: run.node, **self._ready}, None

    def stop(self) -> None:
        """Begin nothing more; what runs may end."""
        self._stop_running = True

    def abandon(self, error: Exception) -> None:
        """Give up: what runs is forgotten, and the error is told as the build's own."""
        self._stop_running = True
        self._running.clear()
        fault = error if isinstance(error, DubdError) else DubdError(f"{type(error).__name__}: {error}")
        self.final_result = ERROR
        self.failed.append((GIVEN_UP, fault))

    def clear(self) -> None:
        """Remove the temporary folders, but for those of tasks that still run."""
        for temporaries in self._temporaries.values():
            temporaries.close()

    def complete(self) -> int:
        """Close the records and let the reporter sum up. Returns doit's exit code: 0, or 1 or 2 after a failure."""
        self.clear()
        return int(super().finish())

    @property
    def succeeded(self) -> bool:
        """Everything selected is built."""
        finished = not (self._ready or self._running or self._waiting or self._stop_running)
        return self.final_result == SUCCESS and finished

    # Within.

    def _pull(self, node: ExecNode | None) -> None:
        """Hand a finished node to doit and queue every task that became ready."""
        while not self._stop_running:
            try:
                node = self._dispatcher.generator.send(node)
            except StopIteration:
                return
            if node == "hold on":
                return
            assert isinstance(node, ExecNode)
            if not self.select_task(node, self._dispatcher.tasks):
                self._skipped(node)
            elif not node.task.meta:  # a group: nothing to run
                self.process_task_result(node, None)
            else:
                if lack := lacked(node.task):
                    self._waiting[node.task.name] = node, lack
                    self._tell(node.task, "waits", error=lack.fault(self._video(node.task.name)))
                else:
                    self._ready[node.task.name] = node
                node = self._tickets = None

    def _arrived(self) -> None:
        """Models may be loaded while other tasks run: those that waited for them need no later build.

        A model of the user's own is in the key by its content, which was not there when the key was made.
        """
        for lack in self.waiting:
            if not lacking(lack.models) and not any(isinstance(model, Own) for model in lack.models):
                for name in [name for name, (_, other) in self._waiting.items() if other == lack]:
                    self._ready[name], self._tickets = self._waiting.pop(name)[0], None

    def _skipped(self, node: ExecNode) -> None:
        task = node.task
        if not task.meta:
            return
        if node.run_status == "up-to-date":
            moved = self.dep_manager.checker.rehashed & task.file_dep
            for path in moved:
                if known := self.dep_manager.checker.get_state(path, self.dep_manager._get(task.name, path)):
                    self.dep_manager._set(task.name, path, known)
            if moved:
                self.dep_manager.backend.flush(task.name)
            self._tell(task, "skipped")
        elif node.run_status == "ignore":
            self._tell(task, "skipped", why="ignored: `doit forget` it to have it again")

    def _handle_task_error(self, node: ExecNode, fail: BaseFail) -> None:
        """doit's one door for every failure: those that it finds itself are told from here.

        A task that was not tried keeps its record: doit would drop it, and a failure upstream that is mended
        with equal bytes would run all that follows again.
        """
        if isinstance(fail, UnmetDependency):
            node.run_status = "failure"
            self.reporter.add_failure(node.task, fail)
            self.final_result = ERROR
            before = DubdError(f"not tried, because {fail.message} failed", file=node.task.name)
            if node.task.meta:
                self._tell(node.task, "blocked", error=before)
            return
        try:
            super()._handle_task_error(node, fail)
        except DubdError:  # the disk was full when the record was to go, so it was not tried either
            self.reporter.add_failure(node.task, fail)
            self.final_result = self.final_result or FAILURE
            self._stop_running = self._stop_running or not self.continue_
        if not isinstance(fail, StageFailed):
            error = DubdError(str(fail.message).removeprefix("ERROR: "), file=node.task.name)
            self.failed.append((node.task.name, error))
            self._tell(node.task, "failed", error=error)

    def _fail(self, node: ExecNode, error: DubdError, seconds: float, why: str) -> None:
        state = self._state(node.task.name)
        source = node.task.meta["ticket"].inputs.get("source")
        if error.file is None or (source and os.path.abspath(error.file) == os.path.abspath(source)):
            with suppress(DubdError):
                error.file = state.note("drop") or error.file  # the name that the user knows
        self.failed.append((node.task.name, error))
        self._handle_task_error(node, StageFailed(str(error)))
        with suppress(DubdError):  # the disk may be full or gone: the failure is told all the same
            state.ran(node.task.name, "failed", seconds, why, error, {})
        device = "gpu" if node.task.meta["ticket"].vram else "cpu"  # a failure brings no facts that name the card
        self._tell(node.task, "failed", seconds=seconds, why=why, error=error, device=device)

    def _moved(self, run: _Run) -> DubdError | None:
        moved = sorted(path for path, was in run.stamps.items() if content.stamp(path) != was)
        if not moved:
            return None
        return DubdError(
            MOVED,
            file=moved[0],
            stage=run.node.task.name,
            remedy="it is built again on the next run",
        )

    def _video(self, task: str) -> str:
        return self._state(task).folder.name

    def _lender(self, state: State) -> Temporaries:
        return self._temporaries.setdefault(state, Temporaries(state.folder))

    def _state(self, task: str) -> State:
        state: State | None = self.dep_manager.backend.shard(task)
        assert state is not None, f"{task} has no folder"
        return state

    def _tell(self, task: Task, state: Progress, **more: Any) -> None:
        stage = task.meta["ticket"].stage if task.meta else ""
        self._listener(Event(task.name, stage, state, **more))


class StageFailed(TaskFailed):  # type: ignore[misc]
    """A failure that the build has told its listener about."""


@dataclass
class _Run:
    """A task that runs now: its inputs as they were, and where its outputs go meanwhile."""

    node: ExecNode
    why: str
    stamps: dict[str, tuple[int, int, int] | None] = field(default_factory=dict)
    temporary: dict[str, str] = field(default_factory=dict)
