"""What may start now, and where: a pure decision over ready tickets, CPU slots, cards and the clock.

On the cards, in this order:
1. A kind that has had no turn for `PATIENCE` is placed before all others, and may have warm workers ended for it.
   Where that does not help, it claims the card that lacks least for it: no new worker starts there, and warm
   ones go on only where there is room for them beside it.
2. Warm workers go on with their kind, one on each card: a model is drained before it is switched. Where a card has
   other work and the kind another worker at work, only with a full batch, or after `REST`.
3. Kinds without a worker get one, oldest video first: on the smallest card with room, among those the least busy;
   where none has room, idle workers are ended, longest idle first. Where that does not help, a card on which further
   workers of other kinds hold what is lacking keeps them from going on.
4. Further warm workers of a kind on one card go on where they get a full batch.
5. Kinds whose workers have more to do than a batch each get another worker: on another card first, and then beside
   one that is there, up to as many as the ticket says and in memory that nobody with work needs.
6. A kind whose workers are all at work and that had no turn for `EAGER` gets one also for less, on a card where none of
   ours is at work, while every kind with work has a worker.

At most one load at a time per card.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace

from dubd.schedule.desk import REST, Card, Desk, Seated
from dubd.schedule.ticket import Kind, Ticket
from dubd.schedule.waitlist import Line, Waiting, Waitlist

__all__ = ["PATIENCE", "REST", "Capacity", "Card", "Kind", "Need", "Seated", "Start", "Waiting", "Waitlist", "admit"]

EAGER = 2.0  # seconds without a turn, after which no card without work is kept free (a load takes 4 to 15)
PATIENCE = 600.0  # seconds without a turn, after which a kind goes before the others (design: ten minutes)

Need = Callable[[Ticket, int], int]  # MiB that a worker needs for a ticket and so many items at once


@dataclass(frozen=True)
class Capacity:
    """What may run at once: CPU slots, and the cards.

    `home`: how many more tickets that read a whole video (`Ticket.home`) may start now; None: as many as any others.
    """

    slots: int
    cards: tuple[Card, ...] = ()
    home: int | None = None


@dataclass(frozen=True)
class Start:
    """A batch to start: on a CPU slot (`card` None), or on a card once the idle workers `evict` have ended there.

    `mib` is the lease of its worker: the one that a warm worker has, or the one to take for a new worker.
    """

    batch: tuple[Waiting, ...]
    card: str | None = None
    mib: int = 0
    evict: tuple[Seated, ...] = ()


def admit(
    waiting: Waitlist | Sequence[Waiting],
    running: int,
    capacity: Capacity,
    resident: Iterable[Kind],
    now: float,
    need: Need,
    shut: Collection[Kind] = (),
) -> list[Start]:
    """The batches to start now, of which every one can be started as it stands; changes nothing.

    `running` counts the CPU batches that run, `resident` are the kinds with an idle worker on the CPU, `now` is in
    seconds of `time.monotonic()`. `need` must not fall as items are added. A ticket that asks for more than any
    card has is left where it is: rules are refused for that when they are read. `shut` are lines of tickets
    (`Ticket.line`) for which no slot is to be had now, though others may have one.
    """
    waitlist = waiting if isinstance(waiting, Waitlist) else Waitlist(waiting)
    lines = [line for line in waitlist.lines(gpu=False) if line.queue[0].ticket.line not in shut]
    starts = _on_slots(lines, capacity.slots - running, set(resident), capacity.home)
    if capacity.cards:
        starts += _Cards(capacity.cards, waitlist.lines(gpu=True), now, need).starts()
    return starts


def _on_slots(lines: Iterable[Line], room: int, warm: set[Kind], home: int | None) -> list[Start]:
    """CPU batches: the oldest video first, and within it a kind whose worker is warm (sticky stage).

    A batch takes tickets of one kind from any video, but never so many that a free slot stays empty.
    """
    rests = [_Rest(line) for line in lines]
    heads = [(*rest.urgency(warm), index) for index, rest in enumerate(rests)]
    heapify(heads)
    starts: list[Start] = []
    while heads and (free := room - len(starts)) > 0:
        index = heads[0][-1]
        first = rests[index]
        if home is not None and first.head.ticket.home:
            if home <= 0:
                heappop(heads)
                continue
            home -= 1
        share = -(-first.count // free)
        starts.append(Start(first.take(min(first.head.ticket.batch, share))))
        if first.count:
            heapreplace(heads, (*first.urgency(warm), index))
        else:
            heappop(heads)
    return starts


class _Rest:
    """What of a line this decision has not started yet."""

    __slots__ = ("_next", "count", "head", "kind", "line")

    def __init__(self, line: Line) -> None:
        self.line, self.kind = line, line.kind
        self.head, self.count = line.queue[0], len(line.queue)
        self._next = 0

    def urgency(self, warm: set[Kind]) -> tuple[int, bool, int]:
        """On the CPU, the least goes first."""
        return self.head.build, self.kind not in warm, self.head.place

    def take(self, most: int) -> tuple[Waiting, ...]:
        """The next so many tickets, or what there is. At the end `head` stays the last, and `count` is 0."""
        batch = tuple(self.line.queue[self._next : self._next + most])
        self._next += len(batch)
        self.count -= len(batch)
        if self.count:
            self.head = self.line.queue[self._next]
        return batch


class _Cards:
    """One decision over the cards."""

    def __init__(self, cards: Sequence[Card], lines: Iterable[Line], now: float, need: Need) -> None:
        self._desks = [Desk(card) for card in cards]
        self._rests = sorted(map(_Rest, lines), key=lambda rest: rest.head.rank)
        self._now, self._need = now, need
        self._starts: list[Start] = []

    def starts(self) -> list[Start]:
        self._hungry()
        for rest in self._rests:
            self._warm(rest)
        for rest in self._rests:
            if rest.count and not self._workers(rest) and not self._place(rest, self._desks):
                self._ask_to_yield(rest)
        for rest in self._rests:
            self._warm_further(rest)
        for beside in (False, True):
            for rest in self._rests:
                while self._another(rest, beside=beside):
                    pass
        for rest in self._rests:
            self._spread(rest)
        return self._starts

    def _hungry(self) -> None:
        """Kinds that had no turn for too long, longest first."""
        for rest in sorted(self._rests, key=lambda rest: rest.line.hungry):
            if self._now - rest.line.hungry < PATIENCE:
                return
            if not self._workers(rest) and not self._place(rest, self._desks, patient=True):
                self._claim(rest)

    def _claim(self, rest: _Rest) -> None:
        """Promise a card to a kind: the one that can have it soonest, as far as is known without durations.

        What a claimed card lacks only falls, and a claim moves only to a card that lacks less: it comes true.
        """
        desks = [desk for desk in self._desks if not desk.claimed and rest.kind not in desk.card.barred]
        found = [(desk, mib) for desk in desks if (mib := self._most(rest, desk.reach)) is not None]
        if found:
            desk, mib = min(found, key=lambda pair: (pair[0].lacks(pair[1]), pair[0].card.uuid))
            desk.claim(mib)

    def _ask_to_yield(self, rest: _Rest) -> None:
        """Keep further workers of other kinds from going on, on the card that then has room soonest."""
        mib = self._least(rest)
        desks = [desk for desk in self._desks if not desk.claimed and rest.kind not in desk.card.barred]
        if any(mib <= desk.free for desk in desks):  # once the load there has ended
            return
        lacking = [(desk.lacks_further(mib), desk.card.uuid, desk) for desk in desks]
        found = [(most, uuid, desk) for most, uuid, desk in lacking if most is not None]
        if found:
            min(found)[-1].yields = True

    def _warm(self, rest: _Rest) -> None:
        """Batches for idle workers of this kind, one on each card: shared out evenly over cards that have nothing else.

        On a card that has, a batch is full, or the kind has no other worker at work: two half ones would take longer.
        """
        least = self._least(rest)
        able = [desk for desk in self._desks if desk.warm(rest.kind, least) and not desk.working(rest.kind)]
        able.sort(key=lambda desk: len(desk.busy))
        unused = sum(not desk.busy for desk in able)
        for index, desk in enumerate(able):
            worker = desk.warm(rest.kind, self._least(rest)) if rest.count else None
            if worker is None:
                continue
            most = -(-rest.count // (unused - index)) if index < unused else rest.count
            if index >= unused and most < self._items(rest, worker.mib) and self._can_fill(rest):
                continue
            desk.begin(worker)
            self._begin(rest, desk, worker.mib, most, ())

    def _can_fill(self, rest: _Rest) -> bool:
        """Whether a batch that is not full may wait for more: not for long, and not where nobody else is at work."""
        return self._now - rest.line.hungry < REST and any(desk.working(rest.kind) for desk in self._desks)

    def _warm_further(self, rest: _Rest) -> None:
        """Batches for idle workers of this kind on cards where another one is busy, if they are full."""
        while rest.count:
            least = self._least(rest)
            found = [
                (desk.working(rest.kind), len(desk.busy), index, worker)
                for index, desk in enumerate(self._desks)
                if not desk.yields and (worker := desk.warm(rest.kind, least))
            ]
            working, _, index, worker = min(found, default=(0, 0, 0, None))
            if worker is None or working >= rest.head.ticket.parallel:
                return
            if rest.count < self._items(rest, worker.mib) and self._can_fill(rest):
                return
            self._desks[index].begin(worker)
            self._begin(rest, self._desks[index], worker.mib, rest.count, ())

    def _another(self, rest: _Rest, *, beside: bool) -> bool:
        """A new worker, where more waits than a batch for each that there is.

        On a card that has none of this kind, or `beside` one, if that takes nothing from a kind with work.
        """
        if not rest.count or all(desk.loading or desk.claimed for desk in self._desks):
            return False
        some = range(1, rest.head.ticket.parallel) if beside else range(1)
        if not some:
            return False
        least = self._least(rest)
        seats = [desk.seats(rest.kind, least) for desk in self._desks]
        if rest.count <= sum(seats) * rest.head.ticket.batch:
            return False
        desks = zip(seats, self._desks, strict=True)
        able = [desk for count, desk in desks if count in some and not (beside and desk.yields)]
        if not able:
            return False
        keep = {other.kind for other in self._rests if other.count} if beside else None
        return self._place(rest, able, keep=keep, full=beside)

    def _spread(self, rest: _Rest) -> None:
        """A new worker on a card without work, for a kind that had no turn for `EAGER`, nor in this decision."""
        if not rest.count or self._now < rest.line.hungry + EAGER:
            return
        if not (unused := [desk for desk in self._desks if not desk.busy]):
            return
        if any(start.batch[0].ticket.kind == rest.kind for start in self._starts):
            return
        least = self._least(rest)
        if any(desk.warm(rest.kind, least) for desk in self._desks):  # it waits for a full batch
            return
        if any(other.count and not self._workers(other) for other in self._rests):  # they wait for room
            return
        self._place(rest, unused, keep=())

    def _place(
        self,
        rest: _Rest,
        desks: Iterable[Desk],
        *,
        patient: bool = False,
        full: bool = False,
        keep: Container[Kind] | None = None,
    ) -> bool:
        """Start a new worker on the best card that has room now; `full`: only with room for full batches."""
        best: tuple[tuple[bool, int, int, int], Desk, int, tuple[Seated, ...]] | None = None
        least = self._least(rest)
        for desk in desks:
            if desk.loading or desk.claimed or rest.kind in desk.card.barred:
                continue
            for mib in self._sizes(rest, desk.reach if patient else desk.card.largest):
                evict = desk.evictions(rest.kind, mib, least, keep)
                if evict is not None:
                    key = (bool(evict), desk.card.largest, len(desk.busy), desk.free)
                    if best is None or key < best[0]:
                        best = key, desk, mib, evict
                    break
                if patient or full:
                    break
        if best is None:
            return False
        _, desk, mib, evict = best
        desk.load(Seated(rest.kind, mib), evict)
        self._begin(rest, desk, mib, rest.count, evict)
        return True

    def _begin(self, rest: _Rest, desk: Desk, mib: int, most: int, evict: tuple[Seated, ...]) -> None:
        size = max(1, min(most, self._items(rest, mib)))
        self._starts.append(Start(rest.take(size), desk.card.uuid, mib, evict))

    def _workers(self, rest: _Rest) -> int:
        """Workers of this kind that run, or could run its first ticket."""
        least = self._least(rest)
        return sum([desk.seats(rest.kind, least) for desk in self._desks])

    def _least(self, rest: _Rest) -> int:
        """MiB for one item."""
        return self._need(rest.head.ticket, 1)

    def _items(self, rest: _Rest, mib: int) -> int:
        """How many items a call may hold in a lease of `mib`; at least 1."""
        size = rest.head.ticket.batch
        while size > 1 and self._need(rest.head.ticket, size) > mib:
            size -= 1
        return size

    def _most(self, rest: _Rest, room: int) -> int | None:
        """The largest lease that is worth having and not above `room`; None where one item is too much."""
        return next(iter(self._sizes(rest, room)), None)

    def _sizes(self, rest: _Rest, room: int) -> Iterator[int]:
        """Leases that are worth having and not above `room`: for a full batch, half of it, ... one item."""
        items = rest.head.ticket.batch
        while items:
            if (mib := self._need(rest.head.ticket, items)) <= room:
                yield mib
            items //= 2
