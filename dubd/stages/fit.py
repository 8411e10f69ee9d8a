"""Fit translated lines to the time in which the source was said: tempo, place, pauses. Pure decisions, no sound.

A line uses room in this order: nothing within 8 %; tempo to 1.20; the silence after it; the silence before
it; tempo to 1.35; running on to the next speech. What is longer still is marked as overrun, and the speaker's
next line waits. A shorter line is slowed to .90 at most. Where the source pauses and the dub has a break
near, the break is lengthened, so that both are silent at once. Words are never said faster than 1.35.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

Span = tuple[float, float]

UNTOUCHED: Final = (0.92, 1.08)  # natural / slot within which no change is needed
SLOWEST: Final = 0.90
QUICK: Final = 1.20  # still sounds unhurried
QUICKEST: Final = 1.35
PAUSED: Final = 1.15  # tempo that is worth a pause of the source
JUMP: Final = 0.14  # |ln| between the tempos of neighbours in one run
RUN_GAP: Final = 1.0  # s, the longest silence within a run
LEAD: Final = 0.12  # s before the source's start, at most half of the silence there
SPILL: Final = 0.5  # s after the source's end while the mouth is seen
SPILL_SHARE: Final = 0.8  # of the silence there
KEEP: Final = 0.12  # s left free before another speaker's line
KEEP_SAME: Final = 0.06  # s left free before the speaker's own next line
EARLY: Final = 1.0  # s by which a line may start early when the stretch's end would cut words off
FADE_CUT: Final = 0.08  # s that a fade may take from the end of a line
NEAR: Final = 0.35  # of the speech: a break farther from the source's pause than this is not its counterpart
_LEAST_SLOT: Final = 0.01  # s


@dataclass(frozen=True)
class Utterance:
    """One line: when the source said it, and how long the dub takes to say it. Seconds on one clock.

    `breaks` are the silences (start, end) inside the natural speech, counted from its start; `pauses`
    are those of the source inside the slot, on the clock.
    """

    speaker: str
    start: float
    end: float
    natural: float
    breaks: tuple[Span, ...] = ()
    pauses: tuple[Span, ...] = ()

    @property
    def slot(self) -> float:
        return max(_LEAST_SLOT, self.end - self.start)


@dataclass(frozen=True)
class Room:
    """Silence that a line may use: `lead` before it, `spill` after it; past `limit` it meets other speech."""

    lead: float
    spill: float
    limit: float


@dataclass(frozen=True)
class Piece:
    """A part of a line between two breaks: from and to, as fractions of its speech, and when it starts."""

    first: float
    last: float
    start: float


@dataclass(frozen=True)
class Placed:
    """How a line is said: `spoken` seconds of speech in `pieces` from `start` to `end`.

    `overrun` is how far it passes its limit, `cut` how much of its end is lost in a fade (both in s).
    """

    start: float
    end: float
    tempo: float
    spoken: float
    overrun: float
    cut: float
    pieces: tuple[Piece, ...]


def fit(lines: Sequence[Utterance], begin: float, finish: float) -> list[Placed]:
    """Place lines, given in the order of their starts, into the stretch from `begin` to `finish`.

    A line of one speaker never overlaps that speaker's line before it, and nothing leaves the stretch.
    """
    space = rooms(lines, begin, finish)
    tempos = smooth(lines, [tempo(line, room) for line, room in zip(lines, space, strict=True)])
    free: dict[str, float] = {}
    placed = []
    for line, room, speed in zip(lines, space, tempos, strict=True):
        one = place(line, room, speed, max(begin, free.get(line.speaker, begin)), finish)
        free[line.speaker] = one.end + KEEP_SAME
        placed.append(one)
    return placed


def rooms(lines: Sequence[Utterance], begin: float, finish: float) -> list[Room]:
    """The room of each line, whoever speaks before and after it."""
    found = []
    before = begin
    for index, line in enumerate(lines):
        lead = max(0.0, min(LEAD, (line.start - before) / 2))
        before = max(before, line.end)
        if index + 1 < len(lines):
            after = lines[index + 1]
            keep = KEEP_SAME if after.speaker == line.speaker else KEEP
            limit = max(line.end, after.start - KEEP_SAME)
            gap = after.start - line.end
        else:
            keep, limit, gap = 0.0, finish, finish - line.end
        spill = max(0.0, min(SPILL_SHARE * gap, SPILL, gap - keep))
        found.append(Room(lead, spill, min(limit, finish)))
    return found


def tempo(line: Utterance, room: Room) -> float:
    """By how much to speed the line up (> 1) or slow it down (< 1), looked at on its own."""
    full = line.natural / line.slot
    if full > QUICK:
        widest = line.slot + room.spill + room.lead
        return min(QUICKEST, max(QUICK, line.natural / widest))
    fast = full if full > UNTOUCHED[1] or line.start + line.natural > room.limit else 1.0
    kept = line.natural / max(_LEAST_SLOT, line.slot - _silence(line))
    if kept > UNTOUCHED[1]:
        return max(1.0, fast, min(PAUSED, kept))
    if kept < UNTOUCHED[0]:
        return max(SLOWEST, kept)
    return max(1.0, fast)


def smooth(lines: Sequence[Utterance], tempos: Sequence[float]) -> list[float]:
    """Raise tempos until no two neighbours in a speaker's run differ by more than `JUMP`; none is lowered."""
    smoothed = list(tempos)
    for speaker in {line.speaker for line in lines}:
        own = [index for index, line in enumerate(lines) if line.speaker == speaker]
        pairs = [(a, b) for a, b in pairwise(own) if lines[b].start - lines[a].end < RUN_GAP]
        for one, other in [*pairs, *((b, a) for a, b in reversed(pairs))]:
            smoothed[other] = max(smoothed[other], smoothed[one] * math.exp(-JUMP))
    return smoothed


def place(line: Utterance, room: Room, speed: float, free: float, finish: float) -> Placed:
    """Where the line goes at tempo `speed`, not before `free` and not beyond `finish`."""
    spoken = line.natural / speed
    wanted = line.start
    if speed >= QUICK:
        wanted -= max(0.0, min(room.lead, spoken - line.slot - room.spill))
    latest = finish - spoken
    if latest < wanted:
        wanted = max(latest, line.start - EARLY)
    start = min(max(wanted, free), finish)
    pieces, silence = _pieces(line, start, spoken)
    end = start + spoken + silence
    cut = max(0.0, end - finish)
    overrun = max(0.0, end - room.limit)
    if overrun <= min(FADE_CUT, spoken / 2):  # of a very short line a fade would leave nothing
        cut, overrun = max(cut, overrun), 0.0
    return Placed(start, end - cut, speed, spoken, overrun, cut, pieces)


def _pieces(line: Utterance, start: float, spoken: float) -> tuple[tuple[Piece, ...], float]:
    """The line cut at the breaks that are lengthened, and the silence put in."""
    left = line.start + line.slot - start - spoken
    pieces, added, first = [], 0.0, 0.0
    for gap, pause in counterparts(line):
        at = (gap[0] + gap[1]) / 2 / line.natural
        more = min(pause[1] - (start + gap[1] / line.natural * spoken + added), pause[1] - pause[0], left - added)
        if more > 0:
            pieces.append(Piece(first, at, start + first * spoken + added))
            added, first = added + more, at
    pieces.append(Piece(first, 1.0, start + first * spoken + added))
    return tuple(pieces), added


def _silence(line: Utterance) -> float:
    """Seconds to be put into the line's breaks for them to be as long as the source's pauses."""
    return sum(max(0.0, (pause[1] - pause[0]) - (gap[1] - gap[0])) for gap, pause in counterparts(line))


def counterparts(line: Utterance) -> list[tuple[Span, Span]]:
    """Which break of the dub stands for which pause of the source, both in order; nearest in their share of speech."""
    breaks, pauses = line.breaks, line.pauses
    silent = sum(end - start for start, end in pauses)
    where = [(start + end) / 2 / line.natural for start, end in breaks]
    speech = max(_LEAST_SLOT, line.slot - silent)
    whither, before = [], 0.0
    for start, end in pauses:
        whither.append((start - line.start - before) / speech)
        before += end - start
    # An alignment by dynamic programming: leaving a pause without a break costs NEAR.
    best: list[list[tuple[float, tuple[tuple[int, int], ...]]]] = [[(0.0, ())] * (len(breaks) + 1)]
    for i, target in enumerate(whither):
        row = [(best[i][0][0] + NEAR, best[i][0][1])]
        for j, at in enumerate(where):
            cost, pairs = best[i][j]
            choices = [
                (cost + abs(at - target), (*pairs, (j, i))),
                (best[i][j + 1][0] + NEAR, best[i][j + 1][1]),
                row[j],
            ]
            row.append(min(choices))
        best.append(row)
    return [(breaks[j], pauses[i]) for j, i in best[-1][-1][1]]
