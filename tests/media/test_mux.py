"""The clock of a joined picture."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubd.media.mux import timescale


@pytest.mark.parametrize(("rate", "ticks"), [("30000/1001", (30000, 1001)), ("25/1", (10000, 400))])
def test_known_rates(rate: str, ticks: tuple[int, int]) -> None:
    assert timescale(Fraction(rate)) == ticks


@given(st.fractions(min_value=1, max_value=240, max_denominator=10_000))
def test_every_frame_is_a_whole_number_of_fine_ticks(rate: Fraction) -> None:
    second, frame = timescale(rate)
    assert Fraction(second, frame) == rate
    assert second >= 10_000
