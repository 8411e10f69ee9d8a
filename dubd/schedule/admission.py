"""What may start now, and where: a pure decision over ready tickets, CPU slots, cards and the clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from dubd.schedule.ticket import Ticket

Kind = tuple[str, ...]
Need = Callable[[Ticket, int], int]  # MiB that a worker needs for a ticket and so many items at once


@dataclass(frozen=True)
class Waiting:
    """A ready ticket with its place in the queue: builds in order of age, tickets in order of readiness.

    `since` is when it became ready, in seconds of `time.monotonic()`.
    """

    build: int
    place: int
    ticket: Ticket
    since: float


@dataclass(frozen=True)
class Card:
    """One GPU as admission sees it, in MiB.

    `largest` could be had if nobody else were there; `free` can be leased now. `loading`: some process of this
    machine loads a model there. `idle` are our warm workers without work, longest idle first; `busy` those that
    run a batch or load.
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
    """A batch to start: on a CPU slot (`card` None), or on a card after `evict` idle workers have ended there.

    `mib` is the worker's lease: that of a warm one, or the one to take for a new one.
    """

    batch: tuple[Waiting, ...]
    card: str | None = None
    mib: int = 0
    evict: tuple[Kind, ...] = ()


def admit(
    waiting: Sequence[Waiting],
    running: int,
    capacity: Capacity,
    resident: Iterable[Kind],
    now: float,  # noqa: ARG001
    need: Need,  # noqa: ARG001
) -> list[Start]:
    """The batches to start now: a pure decision. `running` counts the CPU batches that run.

    The oldest video goes first; within it a kind whose worker is warm goes before one that must be
    loaded (sticky stage). A batch takes tickets of one kind from any build, but never so
    many that a free slot stays empty.
    """
    room = capacity.slots - running
    warm = set(resident)
    queued = sorted(waiting, key=lambda w: (w.build, w.ticket.kind not in warm, w.place))
    batches: list[list[Waiting]] = []
    while queued and len(batches) < room:
        first = queued[0]
        same = [w for w in queued if w.ticket.kind == first.ticket.kind]
        share = -(-len(same) // max(1, room - len(batches)))
        batch = same[: max(1, min(first.ticket.batch, share))]
        taken = {id(w) for w in batch}
        queued = [w for w in queued if id(w) not in taken]
        batches.append(batch)
    return [Start(tuple(batch)) for batch in batches]
