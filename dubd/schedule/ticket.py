"""A ticket: one ready task as the scheduler sees it, and who wants to hear how it went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from dubd.engines.contract import Vram
from dubd.engines.registry import group
from dubd.models.model import Needed
from dubd.stages.job import Outcome

Kind = tuple[str, ...]


@dataclass(frozen=True)
class Again:
    """In place of an outcome: the task is to be run once more, with what was learned. `reason` is for the log."""

    reason: str


@dataclass(frozen=True)
class Space:
    """What a task takes of the disk under `folder`, temporary files included: so many bytes, and `copies` once more."""

    folder: Path
    writes: int
    copies: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ticket:
    """Everything that a worker needs to do one task; `inputs` to `params` reach the stage as its `Job`."""

    task: str
    stage: str
    engine: str | None
    inputs: Mapping[str, str]
    lists: Mapping[str, Sequence[str]]
    outputs: Mapping[str, str]
    params: Mapping[str, Any]
    engine_params: Mapping[str, Any] = field(default_factory=dict)
    batch: int = 1  # how many of its kind one call may take
    parallel: int = 1  # how many workers of its kind may run on one card at once
    models: tuple[Needed, ...] = ()  # what its engine loads
    python: str | None = None  # another interpreter for this engine
    cache: Path | None = None
    vram: Vram | None = None  # what its engine declares for a GPU; None: it runs on the CPU
    budget: int | None = None  # MiB that the rule gives in place of what is declared or was measured
    precision: str | None = None
    revision: str = ""  # the engine's, under which its measured memory is kept
    deadline: float | None = None  # seconds without a word after which its worker counts as hung; None: never
    space: Space | None = None  # of the disk; None: nothing worth counting

    @cached_property
    def kind(self) -> Kind:
        """Tickets of one kind can share a worker. Stages without an engine share one pool."""
        if self.engine is None:
            return ("stages", self.python or "")
        params = repr(sorted(self.engine_params.items()))
        return (
            group(self.stage),
            self.engine,
            self.python or "",
            params,
            self.precision or "",
            "gpu" if self.vram else "",
        )

    @property
    def home(self) -> bool:
        """Whether it reads a whole video, or much of one, and so had better run where that lies."""
        return bool(self.lists) or "source" in self.inputs

    @cached_property
    def line(self) -> Kind:
        """Tickets of one line wait in one queue: of one kind, and to be run in the same places."""
        return (*self.kind, "home") if self.home else self.kind

    def to_json(self) -> dict[str, Any]:
        """The form that goes over a worker's pipe."""
        return {
            "task": self.task,
            "stage": self.stage,
            "engine": self.engine,
            "inputs": dict(self.inputs),
            "lists": {name: list(paths) for name, paths in self.lists.items()},
            "outputs": dict(self.outputs),
            "params": dict(self.params),
            "cache": str(self.cache) if self.cache else None,
        }


class Source(Protocol):
    """Where tickets come from: a build. Its methods are called from the scheduler's thread only."""

    def ready(self) -> Sequence[Ticket]:
        """Tickets that could start now, in the order in which they became ready.

        The very same object is taken to hold what it held before: with that, a turn costs no look at each ticket.
        """

    def begin(self, task: str) -> Ticket | None:
        """The task is about to run: its record is dropped, its outputs made private.

        Returns what to run; None where it failed already (no space, no permission).
        """

    def progress(self, task: str, fraction: float) -> None:
        """A running task has come so far."""

    def finish(self, task: str, outcome: Outcome, seconds: float) -> None:
        """The task has ended; more may be ready now."""

    def again(self, task: str) -> None:
        """The task has not ended after all: it is ready once more, and what it wrote is dropped."""

    def abandon(self, error: Exception) -> None:
        """A call on this source has failed: nothing more is asked of it, and `done` is true."""

    @property
    def done(self) -> bool:
        """Nothing is ready, nothing runs, nothing waits."""
