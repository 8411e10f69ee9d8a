"""The programme clock: picture in frames at a constant rate, sound in samples at 48 kHz, and no drift between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Final

SAMPLE_RATE: Final = 48_000

Span = tuple[float, float]
"""(start, end) in seconds on the programme clock."""

BROADCAST_RATES: Final = tuple(
    Fraction(*pair)
    for pair in (
        (24_000, 1_001),
        (24, 1),
        (25, 1),
        (30_000, 1_001),
        (30, 1),
        (48, 1),
        (50, 1),
        (60_000, 1_001),
        (60, 1),
    )
)
"""Rates that cameras and encoders mean when their clocks say something near."""


@dataclass(frozen=True)
class Stretch:
    """A run of whole frames with the samples that belong to it."""

    first_frame: int
    frames: int
    first_sample: int
    samples: int


@dataclass(frozen=True)
class Clock:
    """Frames and samples of one programme; frame 0 and sample 0 are at 0 s."""

    rate: Fraction  # frames a second

    @classmethod
    def of(cls, rate: str) -> Clock:
        """The clock of a rate as plan.json has it, "30000/1001"."""
        return cls(Fraction(rate))

    def frame_at(self, seconds: float | Fraction) -> int:
        """The frame whose start is nearest."""
        return round(Fraction(seconds) * self.rate)

    def sample_at(self, frame: int) -> int:
        """The sample at which a frame starts: rounded on the programme clock, so that counts add up exactly."""
        return round(frame * SAMPLE_RATE / self.rate)

    def seconds(self, frame: int) -> Fraction:
        """When a frame starts."""
        return frame / self.rate

    def samples(self, frames: int, first_frame: int = 0) -> int:
        """How many samples belong to `frames` frames from `first_frame` on."""
        return self.sample_at(first_frame + frames) - self.sample_at(first_frame)

    def stretches(self, boundaries: Iterable[int]) -> Iterator[Stretch]:
        """The stretches between frame numbers in rising order, the first and the last boundary included."""
        for first, end in pairwise(boundaries):
            yield Stretch(first, end - first, self.sample_at(first), self.samples(end - first, first))


def union(spans: Iterable[Span]) -> list[Span]:
    """The union of spans, in order, those that touch joined."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def nearest_broadcast_rate(rate: Fraction) -> Fraction:
    """The broadcast rate with the smallest ratio to `rate`."""
    return min(BROADCAST_RATES, key=lambda known: max(known / rate, rate / known))


def milliseconds(seconds: float | Fraction) -> float:
    """Seconds as JSON carries them."""
    return round(float(seconds), 3)
