"""Take ready tickets of all builds, make batches of them, and start as many as there is room for."""

from __future__ import annotations

import itertools
import logging
import queue
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from dubd.errors import DubdError
from dubd.schedule.admission import Capacity, Start, Waiting, Waitlist, admit
from dubd.schedule.crew import Crew
from dubd.schedule.executor import Executor, Slot
from dubd.schedule.placing import LOOK, Placing
from dubd.schedule.room import Room
from dubd.schedule.ticket import Again, Kind, Source, Ticket
from dubd.stages.job import Outcome

log = logging.getLogger("dubd.scheduler")

_ORDINARY = 1 << 32  # the number of the first build that is not to go before others

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class _Progress:
    source: Source
    task: str
    fraction: float


@dataclass(frozen=True)
class _Ended:
    start: Start
    sources: Sequence[Source]
    tickets: Sequence[Ticket]
    answers: Sequence[Outcome | Again]
    seconds: float


@dataclass
class _Build:
    """A source and which of its tickets are in the waitlist."""

    number: int
    source: Source
    ready: Sequence[Ticket] = ()  # as the source told it last
    waiting: dict[str, Waiting] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)  # a task that is run again has the place that it had


class Scheduler:
    """Drives any number of builds on one executor. `step` does one turn, so callers keep their own loop.

    A task without room on the disk waits. Once nothing else can be done, `patient` waits until there is some; else
    the builds that lack it are given up.
    """

    def __init__(self, executor: Executor, *, patient: bool = False, room: Room | None = None) -> None:
        self._executor = executor
        self._patient, self._room = patient, room or Room()
        self._builds: dict[int, _Build] = {}
        self._numbers, self._first = itertools.count(_ORDINARY), itertools.count()
        self._waitlist = Waitlist()
        self._running = 0
        self.retries = 0  # tasks that were given another run, since the start
        self._on_slots = 0  # of those that run, the batches that hold a CPU slot
        self._news: queue.SimpleQueue[_Progress | _Ended | None] = queue.SimpleQueue()  # safe in a signal handler
        self._stopping = False
        self._crew, self._placing = Crew(), Placing(executor, self.wake)
        self._stirred = False  # something has changed since the cards were last looked at

    @property
    def load(self) -> tuple[int, int]:
        """Batches that run now, and tasks that could and wait for a place."""
        return self._running, len(self._waitlist) + self._room.count

    def add(self, source: Source, *, first: bool = False) -> None:
        """Another build; those added earlier come first, and those that are to be `first` before all others."""
        number = next(self._first if first else self._numbers)
        self._builds[number] = _Build(number, source)

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
        return self._running > 0 or (not self._stopping and any(not b.source.done for b in self._builds.values()))

    def step(self, timeout: float) -> None:
        """Start what there is room for, then wait up to `timeout` seconds for news and pass them on."""
        if not self._stopping:
            self._start()
        for build in [build for build in self._builds.values() if build.source.done]:
            del self._builds[build.number]
            self._drop(build, build.waiting)
        if self._stopping or not self._builds:
            self._placing.drop()
        if not self._running and not self._news.qsize() and not self._builds:
            return
        if self._waitlist.lines(gpu=True):  # other processes give memory back without a word
            timeout = min(timeout, LOOK)
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
        now = time.monotonic()
        self._room.look()
        for waiting in self._room.released():
            self._waitlist.add(waiting)
            self._stirred = True
        for build in list(self._builds.values()):
            self._look(build, now)
        for start, slot in self._placing.reserved():
            self._begin(start, slot, now)
        while self._start_on_slots(now):
            pass
        if self._waitlist.lines(gpu=True):
            self._place(now)
        self._room.sum_up(tell=self._patient)
        if self._room.short and not (self._patient or self._running or len(self._waitlist)):
            self._give_up()

    def _start_on_slots(self, now: float) -> bool:
        """Whether some of what was chosen had no room on the disk: others may take its place."""
        if not len(self._waitlist):
            return False
        resident, need, held = self._executor.resident(), self._executor.need, self._room.count
        capacity, shut = self._executor.capacity(), set[Kind]()
        while True:
            none = set[Kind]()  # lines that got no slot after all: what they would have had is for the others
            for start in admit(self._waitlist, self._on_slots, capacity, resident, now, need, shut):
                if (line := start.batch[0].ticket.line) in none:
                    continue
                if place := self._executor.reserve(start):
                    self._begin(start, place, now)
                else:
                    none.add(line)
            if not none:
                return self._room.count > held
            shut |= none

    def _give_up(self) -> None:
        """End every build whose tasks lack room on the disk: nothing else can be done, and nobody waits."""
        for waiting in self._room.held:
            build, ticket = self._builds[waiting.build], waiting.ticket
            if not build.source.done and (lack := self._room.lack(ticket)):
                _guarded(build.source, partial(build.source.abandon, lack.fault(ticket.stage)))

    def _place(self, now: float) -> None:
        """One step of a round over the cards: ask for them, or decide by what they answered."""
        if (cards := self._placing.cards(now)) is None:
            if self._placing.look(now, at_once=self._stirred):
                self._stirred = False
            return
        self._refuse()
        starts = admit(self._waitlist, 0, Capacity(0, cards), (), now, self._executor.need)
        self._placing.reserve(starts, now)
        placed = {start.batch[0].ticket.kind for start in starts}
        for line in self._waitlist.lines(gpu=True):
            if line.kind not in placed:
                self._executor.want(line.queue[0].ticket)

    def _look(self, build: _Build, now: float) -> None:
        """Bring the waitlist up to what a build has ready."""
        told = _guarded(build.source, build.source.ready) or ()
        if told is build.ready:
            return
        build.ready, ready = told, {ticket.task: ticket for ticket in told}
        self._drop(build, build.waiting.keys() - ready.keys())
        for task, ticket in ready.items():
            if task not in build.waiting:
                place = build.places.setdefault(task, len(build.places))
                build.waiting[task] = waiting = Waiting(build.number, place, ticket, now)
                if self._room.fits(ticket):
                    self._stirred = True
                    self._waitlist.add(waiting)
                else:
                    self._room.hold(waiting)

    def _drop(self, build: _Build, tasks: Iterable[str]) -> None:
        for task in list(tasks):
            waiting = build.waiting.pop(task)
            if not self._room.let_go(waiting):
                self._waitlist.remove(waiting)

    def _refuse(self) -> None:
        """Fail at once what would wait for ever."""
        for line in self._waitlist.lines(gpu=True):
            while line.queue and (error := self._executor.refuses(line.queue[0].ticket)):
                build, task = self._builds[line.queue[0].build], line.queue[0].ticket.task
                self._drop(build, [task])
                if _guarded(build.source, partial(build.source.begin, task)):
                    _guarded(build.source, partial(build.source.finish, task, error, 0.0))

    def _begin(self, start: Start, slot: Slot, now: float) -> None:
        able: list[tuple[Source, Ticket]] = []
        batch = tuple(waiting for waiting in start.batch if self._waits(waiting) and self._has_room(waiting))
        if batch:
            self._waitlist.start(batch, now)
        for waiting in batch:
            build, task = self._builds[waiting.build], waiting.ticket.task
            del build.waiting[task]
            if ticket := _guarded(build.source, partial(build.source.begin, task)):
                self._room.begin(ticket)
                able.append((build.source, ticket))
            else:
                self._room.end(task)
        if not able:
            slot.close()
            return
        self._running += 1
        self._on_slots += start.card is None
        self._crew.do(partial(self._work, start, slot, *zip(*able, strict=True)))

    def _waits(self, waiting: Waiting) -> bool:
        """Whether it was not given up while its place on a card was reserved."""
        build = self._builds.get(waiting.build)
        return build is not None and build.waiting.get(waiting.ticket.task) is waiting

    def _has_room(self, waiting: Waiting) -> bool:
        """Whether the disk has what it needs, which is its own from now on; else it waits for that."""
        if self._room.take(waiting.ticket):
            return True
        self._waitlist.remove(waiting)
        self._room.hold(waiting)
        return False

    def _work(self, start: Start, slot: Slot, owners: Sequence[Source], tickets: Sequence[Ticket]) -> None:
        began = time.monotonic()

        def heard(index: int, fraction: float) -> None:
            self._news.put(_Progress(owners[index], tickets[index].task, fraction))

        answers: Sequence[Outcome | Again]
        try:
            with slot:
                answers = self._executor.run(slot, tickets, heard)
        except Exception as error:  # no worker could be started: an interpreter that is not there, no memory, no space
            log.exception("running %s", tickets[0].task)
            answers = [DubdError(f"could not be run: {error}", file=t.task, stage=t.stage) for t in tickets]
        self._news.put(_Ended(start, owners, tickets, answers, time.monotonic() - began))

    def _pass_on(self, news: _Progress | _Ended | None) -> None:
        if isinstance(news, _Progress):
            _guarded(news.source, partial(news.source.progress, news.task, news.fraction))
        elif isinstance(news, _Ended):
            self._running -= 1
            self._on_slots -= news.start.card is None
            self._stirred = True
            each = news.seconds / len(news.tickets)
            for source, ticket, answer in zip(news.sources, news.tickets, news.answers, strict=True):
                self._room.end(ticket.task)
                if isinstance(answer, Again):
                    self.retries += 1
                    _guarded(source, partial(source.again, ticket.task))
                else:
                    _guarded(source, partial(source.finish, ticket.task, answer, each))


def _guarded(source: Source, act: Callable[[], Answer]) -> Answer | None:
    """What the source answers; where it fails, that build is given up and the others go on."""
    try:
        return act()
    except Exception as error:
        log.exception("a build is given up")
        source.abandon(error)
        return None
