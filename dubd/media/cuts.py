"""Where to cut a programme into segments: in silence, near shot changes, and elsewhere only where nobody pauses."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.ndimage import uniform_filter1d

from dubd.media.sound import HOP, silences

_PAUSE: Final = 0.15  # s: a shorter gap may lie inside a word
_LONG_PAUSE: Final = 0.3  # s: from here on a silence is as good as any
_STEP: Final = 1.0  # s between the places tried in a long silence, and for a fixed cut
_SHORT_COST: Final = 0.5  # for a pause of `_PAUSE`, against 1 for a segment at its longest
_FIXED_COST: Final = 25.0  # more than any length of segments between silences can cost
_NEARBY: Final = 2.0  # s by which a fixed cut may move to a quieter moment
_QUIETER: Final = 6.0  # dB that are worth moving for
_SHOT_GAIN: Final = 0.3  # a shot change inside the silence
_TOO_SHORT_COST: Final = 100.0  # only where no other way is left, for instance 35 s at 20 to 30 s


@dataclass(frozen=True)
class Lengths:
    """What a rule wants of its segments, in seconds; `max` is kept always, `min` wherever it can be."""

    target: float = 20.0
    min: float = 8.0
    max: float = 30.0


@dataclass(frozen=True)
class Cut:
    """An end of a segment: seconds on the programme clock, and why there: `silence`, `fixed` or `end`."""

    at: float
    kind: str


@dataclass(frozen=True)
class _Place:
    at: float
    kind: str
    cost: float


def cuts(
    spoken: np.ndarray, level: np.ndarray, length: float, wanted: Lengths, shots: Sequence[float] = ()
) -> list[Cut]:
    """The ends of all segments of a programme of `length` seconds, in order; the last is its end.

    `spoken` and `level` are one value each 10 ms (`sound.speech`, `sound.levels`), `shots` the times of
    shot changes in seconds. The cheapest way through all places is found by dynamic programming, so the
    answer is the best for the whole programme, and depends on nothing but the arguments.
    """
    places = [_Place(0.0, "start", 0.0), *_places(spoken, length, wanted, shots), _Place(length, "end", 0.0)]
    times = [place.at for place in places]
    best, before = [0.0] + [float("inf")] * (len(places) - 1), [0] * len(places)
    for here in range(1, len(places)):
        for there in range(bisect_left(times, times[here] - wanted.max - 1e-9), here):
            cost = best[there] + places[here].cost + _length_cost(times[here] - times[there], wanted)
            if cost < best[here] - 1e-12:
                best[here], before[here] = cost, there
    chosen, here = [], len(places) - 1
    while here:
        chosen.append(Cut(places[here].at, places[here].kind))
        here = before[here]
    return _respaced(chosen[::-1], level, wanted)


def _respaced(found: list[Cut], level: np.ndarray, wanted: Lengths) -> list[Cut]:
    """Fixed cuts in a row spread evenly at about the target, each at the quietest moment nearby.

    The search counts each fixed cut as a harm, so it leaves the longest segments that are allowed.
    """
    spread: list[Cut] = []
    start, fixed = 0.0, False
    for cut in found:
        if cut.kind == "fixed":
            fixed = True
            continue
        parts = max(math.ceil((cut.at - start) / wanted.max), round((cut.at - start) / wanted.target)) if fixed else 1
        previous = start
        for part in range(1, parts):
            even = start + (cut.at - start) * part / parts
            earliest = max(previous + wanted.min, cut.at - (parts - part) * wanted.max, even - _NEARBY)
            latest = min(previous + wanted.max, cut.at - (parts - part) * wanted.min, even + _NEARBY)
            previous = _quietest(level, min(max(even, earliest), max(earliest, latest)), earliest, latest)
            spread.append(Cut(previous, "fixed"))
        spread.append(cut)
        start, fixed = cut.at, False
    return spread


def _quietest(level: np.ndarray, even: float, earliest: float, latest: float) -> float:
    """The quietest 50 ms between two times where it is quieter by far than at `even`, else `even`."""
    first, end = math.ceil(earliest / HOP), min(len(level), math.floor(latest / HOP))
    if not first < round(even / HOP) < end:
        return even
    smooth = uniform_filter1d(level[first:end].astype(np.float64), 5)
    at = int(smooth.argmin())
    return (first + at) * HOP if smooth[at] < smooth[round(even / HOP) - first] - _QUIETER else even


def _length_cost(length: float, wanted: Lengths) -> float:
    """0 at the target, 1 at `min` and `max`, quadratic between; far more for less than `min`."""
    if length < wanted.min - 1e-9:
        return _TOO_SHORT_COST * (1 + (wanted.min - length) / wanted.min)
    reach = (wanted.max - wanted.target) if length > wanted.target else (wanted.target - wanted.min)
    return ((length - wanted.target) / max(reach, 1e-3)) ** 2


def _places(spoken: np.ndarray, length: float, wanted: Lengths, shots: Sequence[float]) -> list[_Place]:
    """Everywhere a cut may fall, in order: the silences, and a grid of fixed cuts to fall back on."""
    found = []
    changes = sorted(shots)
    for start, end in silences(spoken, _PAUSE):
        weak = _SHORT_COST * max(0.0, 1 - (end - start - _PAUSE) / (_LONG_PAUSE - _PAUSE))
        count = max(1, int((end - start) // _STEP))
        inside = [start + (end - start) * (k + 0.5) / count for k in range(count)]
        found += [_Place(float(at), "silence", weak) for at in inside]
        found += [
            _Place(float(at), "silence", weak - _SHOT_GAIN)
            for at in changes[bisect_left(changes, start) : bisect_left(changes, end)]
        ]
    step = min(_STEP, wanted.min / 2)
    found += [_Place(k * step, "fixed", _FIXED_COST) for k in range(1, int(length / step) + 1)]
    return sorted((place for place in found if 0 < place.at < length), key=lambda place: (place.at, place.cost))
