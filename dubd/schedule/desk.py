"""A card as admission sees it, and in the course of one decision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from dubd.schedule.ticket import Kind

# s: after so long without work a warm worker goes for a further one of another kind (a load takes up to 15), and a
# batch that is not full waits no longer for more.
REST = 30.0


class Seated(NamedTuple):
    """A worker on a card: what it can run, and its lease in MiB. Two that are equal are as good as each other."""

    kind: Kind
    mib: int


@dataclass(frozen=True)
class Card:
    """One GPU as admission sees it, in MiB.

    `largest`: what one lease could have if nobody else were there. `free`: what can be leased now. `loading`: some
    process of this machine loads a model there. `idle`: our warm workers without work, longest idle first, of which
    the first `rested` have had none for `REST`. `busy`: those that load or run a batch. `barred`: kinds that the
    machine of this card cannot run.
    """

    uuid: str
    largest: int
    free: int
    loading: bool = False
    idle: tuple[Seated, ...] = ()
    busy: tuple[Seated, ...] = ()
    rested: int = 0
    barred: frozenset[Kind] = frozenset()


class Desk:
    """One card in the course of a decision."""

    def __init__(self, card: Card) -> None:
        self.card = card
        self.free, self.loading = card.free, card.loading
        self.idle, self.busy = list(card.idle), list(card.busy)
        self._working: dict[Kind, int] = {}
        for worker in card.busy:
            self._working[worker.kind] = self._working.get(worker.kind, 0) + 1
        self._resting = {worker.kind for worker in card.idle}  # kinds that began the decision with an idle worker
        # MiB that there are for us once everything of ours has ended here.
        self.reach = self.free + sum(worker.mib for worker in (*card.idle, *card.busy))
        self.claimed = False  # promised to a kind that waited too long
        self.yields = False  # its further workers of a kind stand back for a kind that has none
        self._stays: Counter[Seated] = Counter()  # where it is claimed: the workers for which there is room beside that

    def working(self, kind: Kind) -> int:
        """How many workers of a kind are busy here."""
        return self._working.get(kind, 0)

    def warm(self, kind: Kind, least: int) -> Seated | None:
        """The latest idle worker of a kind that has a lease of at least so much and may go on."""
        if kind not in self._resting:
            return None
        for worker in reversed(self.idle):
            if worker.kind == kind and worker.mib >= least and (not self.claimed or self._may_go_on(worker)):
                return worker
        return None

    def seats(self, kind: Kind, least: int) -> int:
        """How many workers of a kind are busy here, or could be."""
        working = self._working.get(kind, 0)
        if kind not in self._resting or self.warm(kind, least) is None:
            return working
        return working + sum(worker.kind == kind and worker.mib >= least for worker in self.idle)

    def begin(self, worker: Seated) -> None:
        """An idle worker gets a batch."""
        at = max(index for index, one in enumerate(self.idle) if one == worker)
        self.busy.append(self.idle.pop(at))
        self._working[worker.kind] = self.working(worker.kind) + 1

    def load(self, worker: Seated, evict: Iterable[Seated]) -> None:
        """A new worker comes, once others have ended."""
        for one in evict:
            self.idle.remove(one)
            self.free += one.mib
        self.free -= worker.mib
        self.busy.append(worker)
        self._working[worker.kind] = self.working(worker.kind) + 1
        self.loading = True

    def claim(self, mib: int) -> None:
        """Promise `mib` to a kind: only what there is room for beside that may go on."""
        self.claimed, self._stays = True, self._beside(mib)

    def lacks(self, mib: int) -> int:
        """MiB that busy workers must still give back for a lease of `mib`."""
        busy, idle = Counter(self.busy), Counter(self.idle)
        stay = self._beside(mib)
        ends = sum(worker.mib * (count - max(0, stay[worker] - busy[worker])) for worker, count in idle.items())
        return mib - self.free - ends

    def lacks_further(self, mib: int) -> int | None:
        """MiB still lacking for `mib` once all idle workers have ended; None where more than further workers hold it.

        A further worker is one of a kind that has another one here.
        """
        further = sum(worker.mib for worker in self.busy) - sum(
            {worker.kind: worker.mib for worker in self.busy}.values()
        )
        lacking = mib - self.free - sum(worker.mib for worker in self.idle)
        return lacking if lacking <= further else None

    def evictions(
        self, kind: Kind, mib: int, least: int, keep: Container[Kind] | None = None
    ) -> tuple[Seated, ...] | None:
        """The idle workers to end for a lease of `mib`, no more than needed; None where all of them are too few.

        Its own with less than `least` are of no use and always go. Of the others those of a kind that has another
        worker here go first, and then the longest idle; with `keep` none of a kind that is in it, and only those that
        have a like or rested.
        """
        chosen = [one for one in self.idle if one.kind == kind and one.mib < least]
        own = len(chosen)
        short = mib - self.free - sum(one.mib for one in chosen)
        if short > 0:
            for one in self._dispensable(kind, keep):
                chosen.append(one)
                short -= one.mib
                if short <= 0:
                    break
        if short > 0:
            return None
        for one in chosen[own:]:
            if one.mib <= -short:
                chosen.remove(one)
                short += one.mib
        return tuple(chosen)

    def _dispensable(self, kind: Kind, keep: Container[Kind] | None) -> list[Seated]:
        there = Counter(worker.kind for worker in (*self.busy, *self.idle))
        further, sole = list[Seated](), list[Seated]()
        for one in self.idle:
            if one.kind != kind:
                (further if there[one.kind] > 1 else sole).append(one)
                there[one.kind] -= 1
        if keep is None:
            return further + sole
        rested = self.card.idle[: self.card.rested]
        return [one for one in (*further, *(one for one in sole if one in rested)) if one.kind not in keep]

    def _beside(self, mib: int) -> Counter[Seated]:
        """The workers that may go on while `mib` is drained: the same ones from one decision to the next."""
        spare, stay = self.reach - mib, Counter[Seated]()
        number = Counter[Kind]()
        ranked = []
        for worker in sorted((*self.idle, *self.busy)):
            ranked.append((number[worker.kind], worker.mib, worker.kind))
            number[worker.kind] += 1
        for _, held, kind in sorted(ranked):
            if held <= spare:
                spare -= held
                stay[Seated(kind, held)] += 1
        return stay

    def _may_go_on(self, worker: Seated) -> bool:
        return self.busy.count(worker) < self._stays[worker]
