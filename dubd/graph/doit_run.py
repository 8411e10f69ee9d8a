"""`doit run` at the root: the same build, scheduler, locks and records as the daemon's.

Wired by `[tool.doit.plugins]` in pyproject.toml; dodo.py takes its tasks from `creators`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from doit.cmd_run import Run as DoitRun
from doit.control import TaskControl
from doit.exceptions import InvalidTask
from doit.loader import create_after
from doit.task import Task

from dubd.cluster.choice import Choice
from dubd.errors import DubdError, Exit
from dubd.folders import Folders
from dubd.graph.build import GIVEN_UP, Build, Event
from dubd.graph.state import State, owned
from dubd.graph.tasks import VideoTasks
from dubd.graph.temporary import sweep
from dubd.graph.video import Video, videos
from dubd.schedule.scheduler import Scheduler
from dubd.schedule.stopping import stopping

_REFUSED = "REFUSED"  # in dodo.py's namespace: the exit code of each folder that has no tasks for its fault


def creators(folders: Folders, root: Path) -> dict[str, Any]:
    """A doit task creator for the plans and one per video, under the names that dodo.py's namespace needs.

    A folder that cannot be read is named and keeps no other back.
    """
    makers: list[VideoTasks] = []
    found: dict[str, Any] = {}
    refused: dict[str, Exit] = {}
    for folder in videos(folders.workspace):
        try:
            maker = _tasks(folder, root)
            found[f"task_{maker.video.id}"] = _creator(maker)
            makers.append(maker)
        except DubdError as error:
            for each in error.each():
                _skip(folder.name, str(each))
            refused[folder.name] = error.exit

    def task_plan() -> Iterator[Task]:
        """where to cut each video"""
        group = Task("plan", None, has_subtask=True, doc="where to cut each video")
        plans = [maker.plan() for maker in makers]
        for plan in plans:
            plan.subtask_of = "plan"
        group.task_dep.extend(plan.name for plan in plans)
        yield group
        yield from plans

    return {"task_plan": task_plan, **found, _REFUSED: refused}


def _tasks(folder: Path, root: Path) -> VideoTasks:
    return VideoTasks(Video.open(folder), seen_from(root, folder))


def seen_from(root: Path, folder: Path) -> str:
    """A folder as a person at `root` would type it."""
    return str(folder.relative_to(root)) if folder.is_relative_to(root) else str(folder)


def _creator(maker: VideoTasks) -> Callable[[], Any]:
    state = State(maker.video.folder, seen_as=maker.folder)
    try:
        planned = maker.planned(state)
    finally:
        state.close()
    tasks = list(maker.rest()) if planned else None  # now, while a fault of the plan is this video's own

    def create() -> Iterator[Task]:
        yield from maker.rest() if tasks is None else tasks

    if planned:
        return create
    loader = maker.delayed()
    delayed: Callable[[], Any] = create_after(executed=loader.task_dep, target_regex=loader.target_regex)(create)
    return delayed


class Run(DoitRun):  # type: ignore[misc]  # doit has no types
    """doit's `run` with dubd's build: -n is the number of CPU slots; busy and faulty videos are skipped and named."""

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
        try:
            choice = Choice.of()
            choice.guard()
        except DubdError as error:
            return _stopped(error)
        with ExitStack() as held:
            tasks, refused = self._claim(held)
            words: list[str] | None = self.sel_tasks
            asked = [code for name, code in refused.items() if not words or _named(name, words)]
            fault = next((code for code in asked if code != Exit.BUSY), None)
            left = words and [word for word in words if not any(_named(name, [word]) for name in refused)]
            if asked and (left == [] or all(task.name == "plan" for task in tasks)):
                return int(fault or Exit.BUSY)
            control = self.control = TaskControl(tasks, auto_delayed_regex=auto_delayed_regex)
            control.process(left)
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
                _Listener(),
                reporter=made(out, {"failure_verbosity": failure_verbosity}) if isinstance(made, type) else made,
                always=always,
                keep_going=continue_,
            )
            built = self._drive(build, choice, num_process or None)
            return int(fault or built or (Exit.RULE if build.waiting else Exit.OK))  # what was told first

    def _claim(self, held: ExitStack) -> tuple[list[Task], dict[str, Exit]]:
        """Lock every video that has a task here; the others are dropped and named, each with its exit code."""
        refused: dict[str, Exit] = dict(self.loader.namespace.get(_REFUSED, {}))
        for name in sorted({_video(task.name) for task in self.task_list} - {"plan"}):
            folder = Path(self.dep_manager.name, name)
            try:
                Video.open(folder).require_source()
                held.enter_context(owned(folder))
                sweep(folder)
            except DubdError as error:
                _skip(name, f"{error.reason}; {error.remedy}" if error.remedy else error.reason)
                refused[name] = error.exit
        tasks = [task for task in self.task_list if _video(task.name) not in refused]
        for task in tasks:
            task.task_dep = [name for name in task.task_dep if _video(name) not in refused]
        return tasks, refused

    def _drive(self, build: Build, choice: Choice, slots: int | None) -> int:
        logs = Path(self.dep_manager.name, ".log").absolute()
        with ExitStack() as held:
            try:
                executor = held.enter_context(choice.open(logs, slots))
            except DubdError as error:
                return _stopped(error)
            scheduler = Scheduler(executor)

            def stop() -> None:
                build.stop()
                scheduler.wake()

            with stopping(stop):
                try:
                    build.start()
                    scheduler.add(build)
                    scheduler.run()
                except InvalidTask as error:
                    build.reporter.runtime_error(str(error))
                    build.final_result = 2
                except DubdError as error:  # of the records: the disk is full, or broken
                    build.abandon(error)
                code = build.complete()
                for fault in (error for task, error in build.failed if task == GIVEN_UP):
                    return _stopped(fault)
                return code


def _stopped(error: DubdError) -> int:
    sys.stderr.write(f"stop {error}\n")
    return int(error.exit)


def _skip(name: str, why: str) -> None:
    sys.stderr.write(f"skip {name}: {why}\n")


def _named(video: str, words: Sequence[str]) -> bool:
    """Whether one of the words is a task or a target of the video."""
    return any(video in word for word in words)


def _video(task: str) -> str:
    name, _, sub = task.partition(":")
    if name.startswith("_regex_target"):
        return task.rpartition(":")[2]
    return sub if name == "plan" and sub else name


class _Listener:
    """doit's reporter says all but what it does not know: that tasks wait for a model, one line a stage."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, event: Event) -> None:
        text = str(event.error)
        if event.state == "waits" and text not in self._said:
            self._said.add(text)
            sys.stderr.write(f"wait {text}\n")
