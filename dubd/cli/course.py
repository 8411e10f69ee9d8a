"""How far a video's build has come and when it will be done, from what its tasks cost so far."""

from __future__ import annotations

import time
from collections.abc import Callable

from dubd.cli.console import name_in
from dubd.graph.build import Event

# Seconds that a task of each stage took for 10 s of 1080x720 with the embedded engines on one core: they only
# say how the stages compare before any has run.
_COST = {
    "plan": 1.0,
    "extract": 3.0,
    "transcribe": 4.0,
    "voice": 1.0,
    "clone": 2.0,
    "translate": 0.5,
    "speak": 1.0,
    "faces": 8.0,
    "lipsync": 8.0,
    "restore": 4.0,
    "render": 4.0,
    "assemble": 4.0,
}
_ENOUGH = 0.03  # of the work done before a forecast is given


class Course:
    """Hears a build's events; `stages` is the stage of each of its tasks, as far as they are known."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.stages: dict[str, str] = {}
        self.now_at = ""
        self.ran = 0
        self._now = now
        self._began: float | None = None
        self._part: dict[str, float] = {}
        self._idle: set[str] = set()  # done without work: they say nothing about the pace

    def know(self, stages: dict[str, str]) -> None:
        """All tasks of the video, once the plan tells."""
        self.stages = stages

    def hear(self, event: Event) -> None:
        """Take an event in."""
        self.stages.setdefault(event.task, event.stage)
        if event.state == "started":
            self._began = self._now() if self._began is None else self._began
            self.now_at = name_in(event.task)
            self._part[event.task] = 0.0
        elif event.state == "progress":
            self._part[event.task] = min(1.0, max(0.0, event.fraction))
        elif event.state != "waits":
            self._part[event.task] = 1.0
            self.ran += event.state == "ran"
            if event.state != "ran":
                self._idle.add(event.task)

    @property
    def fraction(self) -> float:
        """Share of the work that is done, 0..1."""
        total = sum(map(self._cost, self.stages))
        return sum(self._cost(task) * part for task, part in self._part.items()) / total if total else 0.0

    @property
    def remaining(self) -> float | None:
        """Seconds to go at the pace so far; None while too little was done to tell."""
        worked = sum(self._cost(task) * part for task, part in self._part.items() if task not in self._idle)
        total = sum(map(self._cost, self.stages))
        left = total - sum(self._cost(task) * part for task, part in self._part.items())
        if (
            self._began is None
            or worked < _ENOUGH * total
            or "plan" not in self.stages.values()
            or len(self.stages) < 2
        ):
            return None
        return (self._now() - self._began) * left / worked

    def _cost(self, task: str) -> float:
        return _COST.get(self.stages.get(task, ""), 1.0)
