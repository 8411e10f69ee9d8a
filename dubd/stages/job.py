"""One job: what a stage is handed, and how it answers."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dubd.errors import DubdError, disk_fault

log = logging.getLogger("dubd.stage")

Facts = dict[str, Any]
"""What a stage found worth telling (JSON values): kept with the task's record, shown in the report."""

Outcome = Facts | DubdError


def _silent(fraction: float) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Job:
    """One task as a stage sees it.

    A stage reads `inputs`, writes every path in `outputs` and nothing else. The outputs are
    private temporary paths (same names, same suffixes, folders exist): the caller syncs and
    renames them when the stage is done, so a stage may write them in any way it likes.
    Output bytes depend on inputs and params alone: no clock, no random number, no path.
    """

    task: str
    stage: str
    inputs: Mapping[str, Path]
    outputs: Mapping[str, Path]
    params: Mapping[str, Any]
    lists: Mapping[str, Sequence[Path]] = field(default_factory=dict)  # inputs that are many, in segment order
    engine: str | None = None
    cache: Path | None = None  # a folder shared by all videos, for what may be computed once
    progress: Callable[[float], None] = _silent  # fraction done, 0..1


def one_by_one(run: Callable[..., Facts]) -> Callable[..., list[Outcome]]:
    """Make a batch stage of a function that does one job: one bad job never fails its batch."""

    @functools.wraps(run)
    def batch(jobs: Sequence[Job], engine: Any = None) -> list[Outcome]:
        more = () if engine is None else (engine,)
        return [attempt(functools.partial(run, job, *more), job) for job in jobs]

    return batch


def attempt(work: Callable[[], Facts], job: Job) -> Outcome:
    """The facts that `work` returns, or its exception as the one line a person can act on."""
    try:
        return work()
    except DubdError as error:
        error.stage = error.stage or job.stage
        return error
    except OSError as error:
        fault = disk_fault(error)
        fault.stage = job.stage
        return fault
    except Exception as error:  # a stage's bug must not take the batch with it
        log.exception("%s", job.task)
        return DubdError(
            f"{type(error).__name__}: {error}", file=job.task, stage=job.stage, remedy="see the log for the traceback"
        )
