"""From steps to doit tasks: the only place that knows doit's Task, and where each file of a step lies."""

from __future__ import annotations

import inspect
import json
import os
import re
from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

from doit.task import DelayedLoader, Task

from dubd.errors import DubdError, Exit
from dubd.folders import Folders
from dubd.graph import content
from dubd.graph.content import ContentChecker
from dubd.graph.needed import Lack, lack, word
from dubd.graph.sizes import copies, writes
from dubd.graph.state import State
from dubd.graph.steps import Step, plan_step, steps
from dubd.graph.video import Video
from dubd.schedule.ticket import Space, Ticket


class Key:
    """doit's up-to-date check for what is not a file: a step's key against the one on record."""

    # doit asks for the names of the parameters at every look, which would take longer than the look.
    __signature__: ClassVar = inspect.Signature(
        [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("task", "values")]
    )

    def __init__(self, key: dict[str, Any]) -> None:
        self.key: dict[str, Any] = json.loads(json.dumps(key))  # as the record will have it: lists, not tuples

    def __call__(self, task: Task, values: Mapping[str, Any]) -> bool:
        """Equal to the key of the last success?"""
        del task
        return bool(values.get("key") == self.key)

    def differences(self, values: Mapping[str, Any]) -> list[str]:
        """What changed since the record was made, as "name: old -> new"."""
        old, new = values.get("key") or {}, self.key
        was, now = old.get("engine") or {"name": None}, new.get("engine") or {"name": None}
        lines: list[str] = []
        if was.get("name") != now["name"]:  # with another engine everything of it is another
            lines += _differences("engine", was.get("name"), now["name"])
            was = now
        elif was.get("models") != now.get("models"):  # digests tell nobody anything
            lines.append("engine.models: other files, or files with other content")
            was = {**was, "models": now.get("models")}
        return [*lines, *_differences("", {**old, "engine": was}, {**new, "engine": now})]


def _differences(name: str, old: Any, new: Any) -> Iterator[str]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for part in sorted(old.keys() | new.keys()):
            yield from _differences(f"{name}.{part}" if name else part, old.get(part), new.get(part))
    else:
        was, now = (json.dumps(value, ensure_ascii=False) for value in (old, new))
        same = next((at for at, pair in enumerate(zip(was, now, strict=False)) if pair[0] != pair[1]), len(was))
        short = (shortened(text, same) for text in (was, now))
        yield f"{name.removeprefix('params.').replace('engine.params.', '')}: {' -> '.join(short)}"


def shortened(text: str, at: int, most: int = 60) -> str:
    """A text of `most` characters at most with what is around `at`; an ellipsis stands for what is left out."""
    if len(text) <= most:
        return text
    start = min(max(0, at - most // 3), len(text) - most)
    cut = text[start : start + most]
    return f"{'…' if start else cut[0]}{cut[1:-1]}{'…' if start + most < len(text) else cut[-1]}"


class VideoTasks:
    """The doit tasks of one video. `folder` is how doit sees it: relative for a hand-run `doit`."""

    def __init__(self, video: Video, folder: str | None = None) -> None:
        self.video = video
        self.folder = folder or str(video.folder)
        self._revisions: dict[tuple[str, str], str] = {}  # of engines: one build goes by one of each
        self.plan_read: tuple[int, int, int] | None = None  # stamp of plan.json when the tasks were made of it

    def plan(self) -> Task:
        """`plan:<video>`: probe, speech map and cuts."""
        step = plan_step(self.video.rule, self.video.source)
        return self._task(step, f"plan:{self.video.id}", None, writes(step, None, {}))

    def rest(self) -> Iterator[Task]:
        """The group `<video>` and a task per step after the plan; nothing while there is no plan."""
        plan = self.read_plan()
        if plan is None:
            return
        group = Task(self.video.id, None, has_subtask=True, doc=f"dub {self.video.title}")
        tasks = []
        for step, size in self._whole(plan):
            task = self._task(step, f"{self.video.id}:{step.name}", self.video.id, size)
            task.task_dep.append(f"plan:{self.video.id}")
            group.task_dep.append(task.name)
            tasks.append(task)
        yield group
        yield from tasks

    def _whole(self, plan: Mapping[str, Any]) -> list[tuple[Step, int]]:
        """The steps, each with the bytes that it writes."""
        try:
            segments = {segment["id"]: segment for segment in plan["segments"]}
            return [(step, writes(step, plan, segments)) for step in self.steps(plan)]
        except (KeyError, TypeError) as error:
            raise DubdError(
                f"is not a whole plan ({error} is missing or wrong)",
                file=self.video.folder / "plan.json",
                remedy="mend it, or delete it to have it made",
                exit=Exit.INPUT,
            ) from error

    def steps(self, plan: Mapping[str, Any]) -> Iterator[Step]:
        """The steps after the plan."""
        video = self.video
        return steps(video.rule, plan, video.source, video.subtitles, video.title)

    def runs(self, state: State) -> dict[str, dict[str, Any]]:
        """The last runs of the video's own tasks: those of a rule or a plan that it had before do not count."""
        names = {f"plan:{self.video.id}"}
        if plan := self.read_plan():
            names |= {f"{self.video.id}:{step.name}" for step, _ in self._whole(plan)}
        return {task: run for task, run in state.runs().items() if task in names}

    def all(self, state: State) -> list[Task]:
        """Plan and rest. While the plan is missing or stale the rest is created after it has run."""
        if self.planned(state):
            return [self.plan(), *self.rest()]
        return [self.plan(), Task(self.video.id, None, loader=self.delayed(), doc=f"dub {self.video.title}")]

    def delayed(self) -> DelayedLoader:
        """Create the rest once the plan has run; any target in the video's folder is found through it."""
        pattern = re.escape(self.folder) + "/.*"
        return DelayedLoader(self.rest, executed=f"plan:{self.video.id}", target_regex=pattern)

    def planned(self, state: State) -> bool:
        """Whether plan.json is there and its source and key are those on record."""
        task = self.plan()
        values = state.get(task.name, "_values_:") or {}
        if not Path(task.targets[0]).exists() or not task.uptodate[0][0](task, values):
            return False
        checker = ContentChecker()
        for path in task.file_dep:
            known = state.get(task.name, path)
            try:
                if known is None or checker.check_modified(path, os.stat(path), known):
                    return False
            except OSError:
                return False
        return True

    def read_plan(self) -> dict[str, Any] | None:
        """plan.json, None where there is none. Errors: DubdError where a hand edit broke it."""
        path = self.video.folder / "plan.json"
        self.plan_read = content.stamp(str(path))
        try:
            plan: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if not plan["segments"] or not plan["picture"]["rate"]:
                raise ValueError("no segments")
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise DubdError(
                f"is not a plan ({error})", file=path, remedy="mend it, or delete it to have it made", exit=Exit.INPUT
            ) from error
        return plan

    def _task(self, step: Step, name: str, group: str | None, size: int) -> Task:
        inputs = {key: self._at(path) for key, path in step.inputs.items()}
        lists = {key: tuple(map(self._at, paths)) for key, paths in step.lists.items()}
        outputs = {key: self._at(path) for key, path in step.outputs.items()}
        key = step.keyed(self._revisions)
        ticket = Ticket(
            task=name,
            stage=step.stage,
            engine=step.engine,
            inputs=inputs | {key: self._at(path) for key, path in step.reads.items()},
            lists=lists,
            outputs=outputs,
            params={**(step.rule.params if step.rule else {}), **step.params},  # of one name, the stage's own counts
            engine_params=step.rule.params if step.rule else {},
            batch=step.batch,
            parallel=step.parallel,
            models=step.models,
            python=str(step.rule.python) if step.rule and step.rule.python else None,
            cache=self.video.folder.parent / ".cache",
            vram=step.vram,
            budget=step.rule.vram if step.rule else None,
            precision=step.rule.precision if step.rule else None,
            revision=key["engine"]["revision"] if step.rule else "",
            deadline=step.rule.deadline if step.rule else None,  # ffmpeg's runs are as long as the video
            space=Space(self.video.folder, size, tuple(map(self._at, copies(step)))),
        )
        return Task(
            name,
            [_only_here],
            file_dep=[*inputs.values(), *(path for paths in lists.values() for path in paths)],
            targets=list(outputs.values()),
            uptodate=[Key(key)],
            subtask_of=group,
            doc=f"{step.stage} with {step.engine}" if step.engine else step.stage,
            io={"capture": False},
            clean=True,
            meta={"ticket": ticket, "lack": partial(self._lack, ticket)},
        )

    def _lack(self, ticket: Ticket) -> Lack | None:
        """What keeps the task from running: models that are not here, looked for anew at each call."""
        return lack(ticket.stage, ticket.models, self._word) if ticket.models else None

    @cached_property
    def _word(self) -> str:
        return word(self.video.rule, Folders.find().rules, self.video.id)

    def _at(self, path: str) -> str:
        return path if os.path.isabs(path) else f"{self.folder}/{path}"


def _only_here() -> None:
    raise RuntimeError("dubd's tasks run under dubd's own run command: start `doit` in the folder of dodo.py")
