"""The ready tickets of all builds, by kind and in order, kept up as they come and go so that a decision need not sort.

A decision over 10,000 tickets reads only the heads of a dozen lines.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from dubd.schedule.ticket import Kind, Ticket


@dataclass(frozen=True)
class Waiting:
    """A ready ticket with its place in the queue: builds in order of age, tickets in order of readiness.

    `build` and `place` together are its identity, and stay as they are for as long as it waits. `since` is when
    it became ready, in seconds of `time.monotonic()`.
    """

    build: int
    place: int
    ticket: Ticket
    since: float

    @property
    def rank(self) -> tuple[int, int]:
        """The oldest build first."""
        return self.build, self.place


@dataclass
class Line:
    """The waiting tickets of one kind, oldest build first."""

    kind: Kind
    gpu: bool
    queue: list[Waiting] = field(default_factory=list)
    _ready: float = 0.0
    _served: float = float("-inf")

    @property
    def hungry(self) -> float:
        """Since when this kind has had something to do and got no turn, in seconds of `time.monotonic()`.

        A turn, not a ticket's age, is what counts: in a queue of days every ticket is old, and two kinds that took
        turns by age would load their models again for every batch.
        """
        return max(self._ready, self._served)

    def add(self, waiting: Waiting) -> None:
        """One more."""
        self._ready = min(self._ready, waiting.since) if self.queue else waiting.since
        if self.queue and self.queue[-1].rank > waiting.rank:
            insort(self.queue, waiting, key=_rank)
        else:
            self.queue.append(waiting)

    def remove(self, waiting: Waiting) -> None:
        """It was started, or its build was given up. KeyError where it is not there."""
        at = bisect_left(self.queue, waiting.rank, key=_rank)
        if at == len(self.queue) or self.queue[at].rank != waiting.rank:
            raise KeyError(waiting.ticket.task)
        del self.queue[at]

    def serve(self, now: float) -> None:
        """The kind gets a turn."""
        self._served = now


class Waitlist:
    """Every ready ticket, in one line a kind, and one more for those of it that had better run at home."""

    def __init__(self, waiting: Iterable[Waiting] = ()) -> None:
        self._lines: dict[Kind, Line] = {}
        for one in waiting:
            self.add(one)

    def add(self, waiting: Waiting) -> None:
        """A ticket has become ready."""
        line = waiting.ticket.line
        if line not in self._lines:
            self._lines[line] = Line(waiting.ticket.kind, waiting.ticket.vram is not None)
        self._lines[line].add(waiting)

    def remove(self, waiting: Waiting) -> None:
        """A ticket is no longer wanted. KeyError where it is not there."""
        line = waiting.ticket.line
        if line not in self._lines:
            raise KeyError(waiting.ticket.task)
        self._lines[line].remove(waiting)
        if not self._lines[line].queue:
            del self._lines[line]

    def start(self, batch: Sequence[Waiting], now: float) -> None:
        """A batch of one kind starts at `now` (seconds of `time.monotonic()`): out it goes. KeyError as `remove`."""
        self._lines[batch[0].ticket.line].serve(now)
        for one in batch:
            self.remove(one)

    def lines(self, *, gpu: bool) -> list[Line]:
        """Those for the cards or those for CPU slots; none is empty."""
        return [line for line in self._lines.values() if line.gpu is gpu]

    def __iter__(self) -> Iterator[Waiting]:
        return (one for line in self._lines.values() for one in line.queue)

    def __len__(self) -> int:
        return sum(len(line.queue) for line in self._lines.values())


def _rank(waiting: Waiting) -> tuple[int, int]:
    return waiting.rank
