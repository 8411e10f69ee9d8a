"""What may start now, and where: a pure decision over ready tickets, CPU slots, cards and the clock.

On the cards, in this order:
1. A kind that has had no turn for `PATIENCE` is placed before all others, and may have warm workers ended for it.
   Where that does not help, it claims the card that lacks least for it: no new worker starts there, and warm
   ones go on only where there is room for them beside it.
2. Warm workers go on with their kind: a model is drained before it is switched.
3. Kinds without a worker get one, oldest video first: on the smallest card with room, among those the least busy;
   where none has room, idle workers are ended, longest idle first. Kinds whose workers have more to do than a
   batch each get another worker on another card.

At most one worker per kind and card, and at most one load at a time per card.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace

from dubd.schedule.ticket import Kind, Ticket
from dubd.schedule.waitlist import Line, Waiting, Waitlist

__all__ = ["PATIENCE", "Capacity", "Card", "Kind", "Need", "Start", "Waiting", "Waitlist", "admit"]

PATIENCE = 600.0  # seconds without a turn, after which a kind goes before the others (design: ten minutes)

Need = Callable[[Ticket, int], int]  # MiB that a worker needs for a ticket and so many items at once


@dataclass(frozen=True)
class Card:
    """One GPU as admission sees it, in MiB.

    `largest`: what one lease could have if nobody else were there. `free`: what can be leased now. `loading`: some
    process of this machine loads a model there. `idle`: our warm workers without work and their leases, longest
    idle first. `busy`: those that load or run a batch, and theirs.
    """

    uuid: str
    largest: int
    free: int
    loading: bool = False
    idle: Mapping[Kind, int] = field(default_factory=dict)
    busy: Mapping[Kind, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Capacity:
    """What may run at once: CPU slots, and the cards."""

    slots: int
    cards: tuple[Card, ...] = ()


@dataclass(frozen=True)
class Start:
    """A batch to start: on a CPU slot (`card` None), or on a card once the idle workers `evict` have ended there.

    `mib` is the lease of its worker: the one that a warm worker has, or the one to take for a new worker.
    """

    batch: tuple[Waiting, ...]
    card: str | None = None
    mib: int = 0
    evict: tuple[Kind, ...] = ()


def admit(
    waiting: Waitlist | Sequence[Waiting],
    running: int,
    capacity: Capacity,
    resident: Iterable[Kind],
    now: float,
    need: Need,
) -> list[Start]:
    """The batches to start now, of which every one can be started as it stands; changes nothing.

    `running` counts the CPU batches that run, `resident` are the kinds with an idle worker on the CPU, `now` is in
    seconds of `time.monotonic()`. `need` must not fall as items are added. A ticket that asks for more than any
    card has is left where it is: rules are refused for that when they are read.
    """
    waitlist = waiting if isinstance(waiting, Waitlist) else Waitlist(waiting)
    starts = _on_slots(waitlist.lines(gpu=False), capacity.slots - running, set(resident))
    if capacity.cards:
        starts += _Cards(capacity.cards, waitlist.lines(gpu=True), now, need).starts()
    return starts


def _on_slots(lines: Iterable[Line], room: int, warm: set[Kind]) -> list[Start]:
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


class _Desk:
    """One card in the course of a decision."""

    def __init__(self, card: Card) -> None:
        self.card = card
        self.free, self.loading = card.free, card.loading
        self.idle, self.busy = dict(card.idle), dict(card.busy)
        self.claim: int | None = None  # MiB that a kind which waited too long has been promised here
        self.stays: frozenset[Kind] = frozenset()  # with a claim: the kinds for which there is room beside it

    @property
    def reach(self) -> int:
        """MiB that there are for us once everything of ours has ended here."""
        return self.free + sum(self.idle.values()) + sum(self.busy.values())

    def beside(self, mib: int) -> frozenset[Kind]:
        """The kinds that may go on while `mib` is drained: the same ones from one decision to the next."""
        spare, stay = self.reach - mib, set()
        for kind, held in sorted((self.idle | self.busy).items(), key=lambda item: (item[1], item[0])):
            if held <= spare:
                spare -= held
                stay.add(kind)
        return frozenset(stay)

    def lacks(self, mib: int) -> int:
        """MiB that busy workers must still give back for a lease of `mib`."""
        stay = self.beside(mib)
        return mib - self.free - sum(held for kind, held in self.idle.items() if kind not in stay)

    def evictions(self, kind: Kind, mib: int) -> tuple[Kind, ...] | None:
        """The idle workers to end for a lease of `mib`, no more than needed; None where all of them are too few."""
        short = mib - self.free
        chosen = [kind] if kind in self.idle else []  # its own, with too small a lease
        short -= sum(self.idle[one] for one in chosen)
        for one in self.idle:
            if short > 0 and one != kind:
                chosen.append(one)
                short -= self.idle[one]
        if short > 0:
            return None
        for one in [one for one in chosen if one != kind]:
            if self.idle[one] <= -short:
                chosen.remove(one)
                short += self.idle[one]
        return tuple(chosen)


class _Cards:
    """One decision over the cards."""

    def __init__(self, cards: Sequence[Card], lines: Iterable[Line], now: float, need: Need) -> None:
        self._desks = [_Desk(card) for card in cards]
        self._rests = sorted(map(_Rest, lines), key=lambda rest: rest.head.rank)
        self._now, self._need = now, need
        self._starts: list[Start] = []

    def starts(self) -> list[Start]:
        self._hungry()
        for rest in self._rests:
            self._warm(rest)
        for rest in self._rests:
            while rest.count and self._cold(rest):
                pass
        return self._starts

    def _hungry(self) -> None:
        """Kinds that had no turn for too long, longest first."""
        for rest in sorted(self._rests, key=lambda rest: rest.line.hungry):
            if self._now - rest.line.hungry < PATIENCE:
                return
            if not self._workers(rest) and not self._place(rest, patient=True):
                self._claim(rest)

    def _claim(self, rest: _Rest) -> None:
        """Promise a card to a kind: the one that can have it soonest, as far as is known without durations.

        What a claimed card lacks only falls, and a claim moves only to a card that lacks less: it comes true.
        """
        found = [(d, m) for d in self._desks if d.claim is None and (m := self._most(rest, d.reach)) is not None]
        if found:
            desk, mib = min(found, key=lambda pair: (pair[0].lacks(pair[1]), pair[0].card.uuid))
            desk.stays, desk.claim = desk.beside(mib), mib

    def _warm(self, rest: _Rest) -> None:
        """Batches for idle workers of this kind, shared out evenly."""
        able = [desk for desk in self._desks if self._fits(rest, desk)]
        able.sort(key=lambda desk: len(desk.busy))
        for index, desk in enumerate(able):
            if rest.count and self._fits(rest, desk):
                mib = desk.idle.pop(rest.kind)
                desk.busy[rest.kind] = mib
                share = -(-rest.count // (len(able) - index))
                self._begin(rest, desk, mib, share, ())

    def _fits(self, rest: _Rest, desk: _Desk) -> bool:
        if rest.kind not in desk.idle or (desk.claim is not None and rest.kind not in desk.stays):
            return False
        return self._need(rest.head.ticket, 1) <= desk.idle[rest.kind]

    def _cold(self, rest: _Rest) -> bool:
        """A new worker, where the kind has none or those that it has are not enough."""
        workers = self._workers(rest)
        return rest.count > workers * rest.head.ticket.batch and self._place(rest, patient=False)

    def _place(self, rest: _Rest, *, patient: bool) -> bool:
        """Start a new worker on the best card that has room now."""
        best: tuple[tuple[bool, int, int, int], _Desk, int, tuple[Kind, ...]] | None = None
        for desk in self._desks:
            if desk.loading or desk.claim is not None or rest.kind in desk.busy:
                continue
            for mib in self._sizes(rest, desk.reach if patient else desk.card.largest):
                evict = desk.evictions(rest.kind, mib)
                if evict is not None:
                    key = (bool(evict), desk.card.largest, len(desk.busy), desk.free)
                    if best is None or key < best[0]:
                        best = key, desk, mib, evict
                    break
                if patient:
                    break
        if best is None:
            return False
        _, desk, mib, evict = best
        desk.free += sum(desk.idle.pop(kind) for kind in evict) - mib
        desk.busy[rest.kind] = mib
        desk.loading = True
        self._begin(rest, desk, mib, rest.count, evict)
        return True

    def _begin(self, rest: _Rest, desk: _Desk, mib: int, most: int, evict: tuple[Kind, ...]) -> None:
        size = max(1, min(most, rest.head.ticket.batch))
        while size > 1 and self._need(rest.head.ticket, size) > mib:
            size -= 1
        self._starts.append(Start(rest.take(size), desk.card.uuid, mib, evict))

    def _workers(self, rest: _Rest) -> int:
        """Workers of this kind that run, or could run its first ticket."""
        return sum(rest.kind in desk.busy or self._fits(rest, desk) for desk in self._desks)

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
