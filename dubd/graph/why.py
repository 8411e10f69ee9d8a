"""Why is a task stale: the input or parameter that changed, found at its root."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doit.control import TaskControl
from doit.dependency import Dependency, DependencyStatus
from doit.task import Task

from dubd.errors import DubdError, Exit
from dubd.graph.content import ContentChecker
from dubd.graph.needed import Lack, lacked
from dubd.graph.promote import beside_name, edited
from dubd.graph.settled import settled
from dubd.graph.state import Shards, State
from dubd.graph.tasks import VideoTasks
from dubd.graph.video import Video
from dubd.schedule.ticket import Ticket


@dataclass(frozen=True)
class Verdict:
    """What `dubd why` answers for one task: `stale` with its own reasons, or with those of what it waits for."""

    task: str
    targets: tuple[str, ...]
    stale: bool
    reasons: tuple[str, ...]  # its own
    waits_for: tuple[Verdict, ...] = ()  # stale tasks upstream that have reasons of their own
    last: Mapping[str, Any] | None = None  # the last run: at, seconds, why, state, error
    lack: Lack | None = None  # models that its engine loads and that are not here
    ticket: Ticket | None = None  # what the scheduler is handed for it
    since: float = 0.0  # unix time at which the last of what it is made of was, as far as it was made by tasks


def reasons(task: Task, status: DependencyStatus, state: State) -> list[str]:
    """doit's reasons for running a task, in the words of a dub."""
    found: list[str] = []
    values = state.get(task.name, "_values_:") or {}
    for check, _, _ in status.reasons.get("uptodate_false", ()):
        if values:
            found += [f"parameter {line}" for line in check.differences(values)]
    for path in status.reasons.get("missing_target", ()):
        if values:
            found.append(f"{state.relative(path)} is missing")
    if not values:
        return ["never built" if not any(state.made(t) for t in task.targets) else "its last run did not finish"]
    added, removed = (set(status.reasons.get(f"{how}_file_dep") or ()) for how in ("added", "removed"))
    found += [f"{state.relative(path)} is a new input" for path in sorted(added)]
    found += [f"{state.relative(path)} is no input any more" for path in sorted(removed)]
    for path in sorted(set(status.reasons.get("changed_file_dep") or ()) - added):
        found.append(f"{state.relative(path)} {'was edited by hand' if edited(state, path) else 'changed'}")
    return found


def why(folder: Path, artifact: Path | None = None) -> list[Verdict]:
    """The verdict on the task that makes `artifact`, or on every stale task of the video.

    Errors: DubdError where the artifact is none of this video's.
    """
    video = Video.open(folder)
    dependency = Dependency(Shards, str(folder.parent), ContentChecker)
    try:
        state = dependency.backend.shard(video.id)
        assert isinstance(state, State)
        if artifact is None and settled(state):
            return []
        maker = VideoTasks(video)
        control = TaskControl([maker.plan(), *maker.rest()])
        asked = _Asker(dependency, control, state)
        if artifact is None:
            verdicts = [asked.verdict(name) for name, task in control.tasks.items() if task.actions]
            return [verdict for verdict in verdicts if verdict.stale]
        target = os.path.abspath(artifact)
        if target not in control.targets:
            known = sorted(path for path in control.targets if Path(path).name == Path(target).name)
            raise DubdError(
                "is no artifact of this video",
                file=artifact,
                remedy=f"did you mean {known[0]}?" if known else "see dubd status for what it is made of",
                exit=Exit.USAGE,
            )
        return [asked.verdict(control.targets[target])]
    finally:
        dependency.close()


class _Asker:
    def __init__(self, dependency: Dependency, control: TaskControl, state: State) -> None:
        self._dependency, self._control, self._state = dependency, control, state
        self._runs = state.runs()
        self._known: dict[str, Verdict] = {}

    def verdict(self, name: str) -> Verdict:
        """Stale by itself, or because something that it is made of is."""
        if name in self._known:
            return self._known[name]
        task = self._control.tasks[name]
        status = self._dependency.get_status(task, self._control.tasks, get_log=True)
        own = tuple(reasons(task, status, self._state)) if status.status == "run" else ()
        if status.status == "error":
            missing = [path for path in status.reasons["missing_file_dep"] if path not in self._control.targets]
            own = tuple(f"{self._state.relative(path)} is missing" for path in missing)
        roots: dict[str, Verdict] = {}
        for before in task.task_dep:
            upstream = self.verdict(before)
            if upstream.stale:
                for root in (upstream, *upstream.waits_for):
                    if root.reasons:
                        roots[root.task] = root
        verdict = Verdict(
            task=name,
            targets=tuple(task.targets),
            stale=bool(own or roots),
            reasons=own + self._beside(task),
            waits_for=tuple(roots.values()),
            last=self._runs.get(name),
            lack=lacked(task) if own or roots else None,
            ticket=task.meta["ticket"] if task.meta else None,
            since=max(
                (float(self._runs[before]["at"]) for before in task.task_dep if before in self._runs), default=0.0
            ),
        )
        self._known[name] = verdict
        return verdict

    def _beside(self, task: Task) -> tuple[str, ...]:
        newer = [t for t in task.targets if Path(beside_name(t)).exists() and edited(self._state, t)]
        return tuple(
            f"{self._state.relative(t)} was edited by hand and is kept; see {Path(beside_name(t)).name} beside it"
            for t in newer
        )
