"""Take ready tickets of all builds, make batches of them, and start as many as there is room for."""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from dubd.errors import DubdError
from dubd.schedule.admission import Capacity, Waiting, admit
from dubd.schedule.ticket import Source, Ticket
from dubd.schedule.workers import Heard, Pool
from dubd.stages.job import Outcome

log = logging.getLogger("dubd.scheduler")

_WORKERS_PER_SLOT = 6

Answer = TypeVar("Answer")


class Executor(Protocol):
    """Where batches run. One here; a cluster's agents answer to the same three calls."""

    def capacity(self) -> Capacity:
        """What may run at once."""

    def resident(self) -> set[tuple[str, ...]]:
        """Kinds that would start without a load."""

    def run(self, tickets: Sequence[Ticket], heard: Heard) -> list[Outcome]:
        """One outcome per ticket; called from many threads."""


class LocalExecutor:
    """Worker processes on this machine."""

    def __init__(self, logs: Path, slots: int | None = None) -> None:
        self._slots = slots or len(os.sched_getaffinity(0))
        self._pool = Pool(logs, limit=_WORKERS_PER_SLOT * self._slots)

    def capacity(self) -> Capacity:
        """CPU slots: the processors this process may use, or what was asked for."""
        return Capacity(self._slots)

    def resident(self) -> set[tuple[str, ...]]:
        """Kinds with an idle worker."""
        return self._pool.resident()

    def run(self, tickets: Sequence[Ticket], heard: Heard) -> list[Outcome]:
        """Run a batch on a worker of its kind."""
        return self._pool.run(tickets, heard)

    def close(self) -> None:
        """End all workers."""
        self._pool.close()

    def __enter__(self) -> LocalExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True)
class _Progress:
    source: Source
    task: str
    fraction: float


@dataclass(frozen=True)
class _Ended:
    sources: Sequence[Source]
    tickets: Sequence[Ticket]
    outcomes: Sequence[Outcome]
    seconds: float


class Scheduler:
    """Drives any number of builds on one executor. `step` does one turn, so callers keep their own loop."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._sources: list[Source] = []
        self._running = 0
        self._news: queue.SimpleQueue[_Progress | _Ended | None] = queue.SimpleQueue()  # safe in a signal handler
        self._stopping = False

    def add(self, source: Source) -> None:
        """Another build; those added earlier come first."""
        self._sources.append(source)

    def stop(self) -> None:
        """Start nothing more; what runs may end. Safe to call from a signal handler."""
        self._stopping = True
        self._news.put(None)

    def wake(self) -> None:
        """End a waiting `step` early, from any thread."""
        self._news.put(None)

    @property
    def busy(self) -> bool:
        """Something runs, or a build still has something to do."""
        return self._running > 0 or (not self._stopping and any(not s.done for s in self._sources))

    def step(self, timeout: float) -> None:
        """Start what there is room for, then wait up to `timeout` seconds for news and pass them on."""
        if not self._stopping:
            self._start()
        self._sources = [s for s in self._sources if not s.done]
        if not self._running and not self._news.qsize() and not self._sources:
            return
        try:
            news = self._news.get(timeout=timeout)
        except queue.Empty:
            return
        while True:
            self._pass_on(news)
            try:
                news = self._news.get_nowait()
            except queue.Empty:
                return

    def run(self) -> None:
        """Until every build is done, or `stop` was called and what ran has ended."""
        while self.busy:
            self.step(timeout=0.5)

    def _start(self) -> None:
        sources = list(self._sources)
        now = time.monotonic()
        waiting = [
            Waiting(build, place, ticket, now)
            for build, source in enumerate(sources)
            for place, ticket in enumerate(_guarded(source, source.ready) or ())
        ]
        if not waiting:
            return
        capacity, resident = self._executor.capacity(), self._executor.resident()
        for start in admit(waiting, self._running, capacity, resident, now, lambda *_: 0):
            owners = [(sources[w.build], w.ticket.task) for w in start.batch]
            begun = [(owner, _guarded(owner, partial(owner.begin, task))) for owner, task in owners]
            able = [(owner, ticket) for owner, ticket in begun if ticket]
            if able:
                self._running += 1
                threading.Thread(target=self._work, args=tuple(zip(*able, strict=True)), daemon=True).start()

    def _work(self, owners: Sequence[Source], tickets: Sequence[Ticket]) -> None:
        began = time.monotonic()

        def heard(index: int, fraction: float) -> None:
            self._news.put(_Progress(owners[index], tickets[index].task, fraction))

        outcomes: Sequence[Outcome]
        try:
            outcomes = self._executor.run(tickets, heard)
        except Exception as error:  # no worker could be started: an interpreter that is not there, no memory, no space
            log.exception("running %s", tickets[0].task)
            fault = DubdError(f"could not be run: {error}", file=tickets[0].task, stage=tickets[0].stage)
            outcomes = [fault] * len(tickets)
        self._news.put(_Ended(owners, tickets, outcomes, time.monotonic() - began))

    def _pass_on(self, news: _Progress | _Ended | None) -> None:
        if isinstance(news, _Progress):
            _guarded(news.source, partial(news.source.progress, news.task, news.fraction))
        elif isinstance(news, _Ended):
            self._running -= 1
            each = news.seconds / len(news.tickets)
            for source, ticket, outcome in zip(news.sources, news.tickets, news.outcomes, strict=True):
                _guarded(source, partial(source.finish, ticket.task, outcome, each))


def _guarded(source: Source, act: Callable[[], Answer]) -> Answer | None:
    """What the source answers; where it fails, that build is given up and the others go on."""
    try:
        return act()
    except Exception as error:
        log.exception("a build is given up")
        source.abandon(error)
        return None
