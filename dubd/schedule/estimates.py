"""How much memory a ticket is given, and what follows when that was too little.

The estimate is what the engine declares, corrected by what was measured, or what the rule gives. The ladder: a batch
that ran out is halved, in a fresh process; at one item the estimate grows by a quarter, up to the largest card; there
the task fails with both numbers (engine.md 3.3, rules 8 and 9). A lease that ran out is not tried again for as many
items, in no later process either. Both are taken back after `STEADY` good batches: what was too much for one input need
not be for the next thousand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from dubd.errors import DubdError
from dubd.schedule.peaks import SURE, Peaks
from dubd.schedule.ticket import Again, Kind, Ticket

GROWTH = 1.25
STEADY = 50  # full batches in a row: a step that is needed after all then costs a load in fifty batches

Cards = Sequence[tuple[str, int]]
"""The cards there are: a name and the largest lease, in MiB."""


class Estimates:
    """One for an executor. Sizes in MiB; nothing here takes time, and any thread may call it."""

    def __init__(self, peaks: Peaks) -> None:
        self.peaks = peaks
        self._limits: dict[Kind, int] = {}  # items a call, after a batch ran out of memory
        self._steady: dict[Kind, int] = {}  # full batches that went well since then

    def limit(self, ticket: Ticket) -> int:
        """The most items a call may hold now."""
        return min(ticket.batch, self._limits.get(ticket.kind, ticket.batch))

    def need(self, ticket: Ticket, batch: int, cards: Cards) -> int:
        """The lease for calls of `batch` items; never less for more items. 0 where the ticket needs no card."""
        if ticket.vram is None:
            return 0
        batch = min(batch, self.limit(ticket))
        largest = dict(sorted(cards)) or {"": 0}
        estimate = ticket.budget or max(self._likely(ticket, batch, name, most) for name, most in largest.items())
        return max(estimate, self._beyond(ticket, batch, largest))

    def items(self, ticket: Ticket, mib: int, cards: Cards) -> int:
        """How many items a call may hold in a lease of `mib`; at least 1."""
        sizes = range(self.limit(ticket), 1, -1)
        return next((size for size in sizes if self.need(ticket, size, cards) <= mib), 1)

    def learn(self, ticket: Ticket, card: str, batch: int, peak: int, *, full: bool, mib: int) -> None:
        """A worker for `batch` items a call ended one in a lease of `mib` and has taken `peak` at most so far."""
        if peak > 0:
            self.peaks.learn(card, ticket, batch, peak, full=full)
        if full and (ticket.kind in self._limits or self.peaks.any_short(ticket)):
            self.peaks.sufficed(card, ticket, batch, mib, peak)
            self._recover(ticket)

    def ran_out(
        self, ticket: Ticket, batch: int, lease: tuple[str, int] | None, said: str, cards: Cards
    ) -> Again | DubdError:
        """A card had no room for `ticket` in a lease of so many MiB (None: on the CPU) with `batch` items a call.

        A `batch` of 1 also stands for a load, which no smaller batch would help.
        """
        self._steady.pop(ticket.kind, None)
        if lease:
            self.peaks.fell_short(lease[0], ticket, batch, lease[1])
        if batch > 1:
            self._limits[ticket.kind] = min(self.limit(ticket), batch // 2)
            return Again(f"{said}; from now on {self.limit(ticket)} at a time")
        largest = max((most for _, most in cards), default=0)
        if lease and lease[1] < largest:
            return Again(f"{said}; {lease[1]} MiB were too little, it is given {self.need(ticket, 1, cards)} MiB")
        asked = ticket.budget or (ticket.vram.at(1) if ticket.vram else 0)
        reason, remedy = f"{ticket.engine} ran out of memory: {said}", "use a smaller model"
        if lease:
            reason = f"{ticket.engine} asks for {gib(asked)} and ran out of {gib(lease[1])}, the most of any GPU here"
            remedy = "use a smaller model or precision, or device: cpu"
        return DubdError(reason, file=ticket.task, stage=ticket.stage, remedy=remedy)

    def _recover(self, ticket: Ticket) -> None:
        self._steady[ticket.kind] = self._steady.get(ticket.kind, 0) + 1
        if self._steady[ticket.kind] < STEADY:
            return
        del self._steady[ticket.kind]
        limit = 2 * self._limits.pop(ticket.kind, ticket.batch)
        if limit < ticket.batch:
            self._limits[ticket.kind] = limit
        self.peaks.forget(ticket, limit)

    def _beyond(self, ticket: Ticket, batch: int, largest: Mapping[str, int]) -> int:
        """A quarter more than what ran out with as many items or fewer; for a single one no more than there is."""
        most, beyond = max(largest.values()), 0
        for name in largest:
            for size, mib in self.peaks.short(name, ticket).items():
                if size <= batch:
                    more = math.ceil(mib * GROWTH)
                    beyond = max(beyond, more if size > 1 else min(most, more))
        return beyond

    def _likely(self, ticket: Ticket, batch: int, card: str, largest: int) -> int:
        """Declared, but no more than larger batches took for sure, and no less than equal or smaller ones did.

        An engine without a cap may have taken more than the card's `largest` lease (0: none is known). It worked, so
        that much is enough.
        """
        assert ticket.vram is not None
        measured = self.peaks.of(card, ticket)
        most = min([peak.mib for size, peak in measured.items() if size >= batch and peak.full >= SURE], default=None)
        least = max([peak.mib for size, peak in measured.items() if size <= batch], default=0)
        declared = ticket.vram.at(batch)
        return max(min(least, largest or least), declared if most is None else min(declared, most))


def gib(mib: int) -> str:
    """MiB as people write it."""
    return f"{mib / 1024:.1f} GiB"


def apart(need: int, largest: int) -> tuple[str, str]:
    """Two amounts of MiB in words, in GiB unless they would read the same."""
    if f"{need / 1024:.1f}" == f"{largest / 1024:.1f}":
        return f"{need} MiB", f"{largest} MiB"
    return f"{need / 1024:.1f} GiB", f"{largest / 1024:.1f}"
