"""The programme clock: counts add up exactly, whatever the rate."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubd.media.timeline import BROADCAST_RATES, Clock, nearest_broadcast_rate, union

RATES = st.one_of(
    st.sampled_from(BROADCAST_RATES),
    st.fractions(min_value=5, max_value=120, max_denominator=1001),
)


class TestClock:
    @given(RATES, st.lists(st.integers(1, 200_000), min_size=2, max_size=30, unique=True))
    def test_stretches_add_up_to_the_whole(self, rate: Fraction, ends: list[int]) -> None:
        clock, boundaries = Clock(rate), [0, *sorted(ends)]
        parts = list(clock.stretches(boundaries))
        assert sum(part.samples for part in parts) == clock.sample_at(boundaries[-1])
        assert sum(part.frames for part in parts) == boundaries[-1]
        assert all(one.first_sample + one.samples == other.first_sample for one, other in pairwise(parts))

    @given(RATES, st.integers(0, 500_000))
    def test_a_frame_survives_the_way_through_seconds_and_json(self, rate: Fraction, frame: int) -> None:
        clock = Clock(rate)
        assert clock.frame_at(clock.seconds(frame)) == frame
        assert clock.frame_at(round(float(clock.seconds(frame)), 3)) == frame

    def test_an_hour_of_ntsc_is_exact(self) -> None:
        clock = Clock.of("30000/1001")
        assert clock.sample_at(30_000) == 1001 * 48_000
        assert clock.sample_at(1) == 1602  # 1601.6, rounded
        assert clock.samples(2, first_frame=1) == 3203

    def test_rates_that_were_meant(self) -> None:
        assert nearest_broadcast_rate(Fraction(2997, 100)) == Fraction(30_000, 1001)
        assert nearest_broadcast_rate(Fraction(23_98, 100)) == Fraction(24_000, 1001)
        assert nearest_broadcast_rate(Fraction(61)) == 60

    def test_a_rate_of_nothing_is_refused(self) -> None:
        with pytest.raises((ValueError, ZeroDivisionError)):
            Clock.of("0/0")


def test_spans_that_meet_are_one() -> None:
    assert union([(3, 4), (0, 1), (0.5, 2), (2, 2.5)]) == [(0, 2.5), (3, 4)]
