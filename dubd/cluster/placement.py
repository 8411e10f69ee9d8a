"""On which machine a CPU batch runs: a pure choice. (Where a GPU batch runs is admission's, over the cards of all.)"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

BANDWIDTH = 110e6  # bytes/s that a machine is taken to get before any was measured: what a gigabit link carries
_EQUAL = 0.25  # s of transfer that make no difference: a batch takes seconds


class Place(NamedTuple):
    """A machine as the choice sees it.

    `free` and `slots`: CPU slots that it has left, and has. `resident`: a worker of the kind is idle there.
    `load`: bytes that would have to be sent there, at `bandwidth` (bytes/s). `same`: batches of the same video there.
    `wanted`: its slots are also wanted by what can run nowhere else.
    """

    name: str
    free: int
    slots: int
    resident: bool = False
    load: int = 0
    bandwidth: float = BANDWIDTH
    same: int = 0
    wanted: bool = False


def choose(places: Iterable[Place]) -> Place | None:
    """The best place for a batch; None where none has a free slot.

    None whose slots are wanted, if there is another. Then residency: a load takes seconds of a processor. Then the
    shortest transfer of its inputs, as far as it matters, then the machine with the smallest share of its slots at
    work on the same video, so that its segments are spread, then the one with the largest share of them free.
    """
    return min((place for place in places if place.free > 0), key=_rank, default=None)


def _rank(place: Place) -> tuple[bool, bool, int, float, float, str]:
    transfer, share = int(place.load / place.bandwidth / _EQUAL), place.same / place.slots
    return place.wanted, not place.resident, transfer, share, -place.free / place.slots, place.name
