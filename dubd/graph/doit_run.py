"""`doit run` at the root: the same build, scheduler, locks and records as the daemon's.

Wired by `[tool.doit.plugins]` in pyproject.toml; dodo.py takes its tasks from `creators`.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

from doit.cmd_run import Run as DoitRun
from doit.control import TaskControl
from doit.exceptions import InvalidTask
from doit.loader import create_after
from doit.task import Task

from dubd.errors import DubdError, Exit
from dubd.folders import Folders
from dubd.graph.build import Build, Event
from dubd.graph.promote import sweep
from dubd.graph.state import State, owned
from dubd.graph.tasks import VideoTasks
from dubd.graph.video import Video, videos
from dubd.schedule.executor import LocalExecutor
from dubd.schedule.scheduler import Scheduler


def creators(folders: Folders, root: Path) -> dict[str, Callable[[], Any]]:
    """A doit task creator for the plans and one per video, under the names that dodo.py's namespace needs."""
    makers = [_tasks(folder, root) for folder in videos(folders.workspace)]

    def task_plan() -> Iterator[Task]:
        """where to cut each video"""
        group = Task("plan", None, has_subtask=True, doc="where to cut each video")
        plans = [maker.plan() for maker in makers]
        for plan in plans:
            plan.subtask_of = "plan"
        group.task_dep.extend(plan.name for plan in plans)
        yield group
        yield from plans

    found: dict[str, Callable[[], Any]] = {"task_plan": task_plan}
    for maker in makers:
        found[f"task_{maker.video.id}"] = _creator(maker)
    return found


def _tasks(folder: Path, root: Path) -> VideoTasks:
    return VideoTasks(Video.open(folder), seen_from(root, folder))


def seen_from(root: Path, folder: Path) -> str:
    """A folder as a person at `root` would type it."""
    return str(folder.relative_to(root)) if folder.is_relative_to(root) else str(folder)


def _creator(maker: VideoTasks) -> Callable[[], Any]:
    def create() -> Iterator[Task]:
        yield from maker.rest()

    state = State(maker.video.folder, seen_as=maker.folder)
    try:
        planned = maker.planned(state)
    finally:
        state.close()
    if planned:
        return create
    loader = maker.delayed()
    delayed: Callable[[], Any] = create_after(executed=loader.task_dep, target_regex=loader.target_regex)(create)
    return delayed


class Run(DoitRun):  # type: ignore[misc]  # doit has no types
    """doit's `run` with dubd's build: -n is the number of CPU slots, busy videos are skipped and named."""

    def _execute(
        self,
        outfile: TextIO | str,
        reporter: Any = "console",
        continue_: bool = False,
        always: bool = False,
        num_process: int = 0,
        single: bool = False,
        auto_delayed_regex: bool = False,
        failure_verbosity: int = 0,
        verbosity: int | None = None,
        force_verbosity: bool = False,
    ) -> int:
        del verbosity, force_verbosity  # stages log from processes of their own
        with ExitStack() as held:
            tasks, busy = self._claim(held)
            if busy and all(task.name == "plan" for task in tasks):
                return int(Exit.BUSY)
            control = self.control = TaskControl(tasks, auto_delayed_regex=auto_delayed_regex)
            control.process(self.sel_tasks)
            if single:
                for name in control.selected_tasks:
                    task = control.tasks[name]
                    for each in (control.tasks[n] for n in task.task_dep) if task.has_subtask else (task,):
                        each.task_dep = []
            out = held.enter_context(open(outfile, "w", encoding="utf-8")) if isinstance(outfile, str) else outfile
            made = self.reporters[reporter] if isinstance(reporter, str) else reporter
            build = Build(
                self.dep_manager,
                control,
                _no_listener,
                reporter=made(out, {"failure_verbosity": failure_verbosity}) if isinstance(made, type) else made,
                always=always,
                keep_going=continue_,
            )
            return self._drive(build, num_process or None)

    def _claim(self, held: ExitStack) -> tuple[list[Task], list[str]]:
        """Lock every video that has a task here; those of others are dropped, with their owner named."""
        busy: list[str] = []
        for name in sorted({_video(task.name) for task in self.task_list} - {"plan"}):
            folder = Path(self.dep_manager.name, name)
            try:
                Video.open(folder).require_source()
                held.enter_context(owned(folder))
                sweep(folder)
            except DubdError as error:
                sys.stderr.write(f"skip {name}: {error.reason}{f'; {error.remedy}' if error.remedy else ''}\n")
                busy.append(name)
        tasks = [task for task in self.task_list if _video(task.name) not in busy]
        for task in tasks:
            task.task_dep = [name for name in task.task_dep if _video(name) not in busy]
        return tasks, busy

    def _drive(self, build: Build, slots: int | None) -> int:
        logs = Path(self.dep_manager.name, ".log").absolute()
        with LocalExecutor(logs, slots) as executor:
            scheduler = Scheduler(executor)

            def stop(*_: object) -> None:
                build.stop()
                scheduler.wake()

            with _signals(stop):
                try:
                    build.start()
                    scheduler.add(build)
                    scheduler.run()
                except InvalidTask as error:
                    build.reporter.runtime_error(str(error))
                    build.final_result = 2
                return build.complete()


def _video(task: str) -> str:
    name, _, sub = task.partition(":")
    if name.startswith("_regex_target"):
        return task.rpartition(":")[2]
    return sub if name == "plan" and sub else name


def _no_listener(event: Event) -> None:
    """doit's reporter has said it."""


@contextmanager
def _signals(stop: Callable[..., None]) -> Iterator[None]:
    """SIGTERM and SIGINT end the build after what runs now; a second one ends it at once."""
    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def once(number: int, frame: object) -> None:
        signal.signal(number, before[number])
        stop(number, frame)

    for number in before:
        signal.signal(number, once)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
