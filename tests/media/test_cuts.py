"""Cuts fall in silence, at lengths that were asked for, and are fixed only where nobody pauses."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubd.media.cuts import Cut, Lengths, cuts


def scene(length: float, *pauses: tuple[float, float]) -> tuple[np.ndarray, np.ndarray, float]:
    """A speech map with pauses (start, end), its levels, and the length."""
    spoken = np.ones(round(length * 100), bool)
    for start, end in pauses:
        spoken[round(start * 100) : round(end * 100)] = False
    return spoken, np.where(spoken, -20.0, -60.0).astype(np.float32), length


def ends(found: list[Cut]) -> list[float]:
    return [round(cut.at, 2) for cut in found]


class TestCuts:
    def test_short_programme_is_one_segment(self) -> None:
        assert cuts(*scene(0.4), Lengths()) == [Cut(0.4, "end")]
        assert cuts(*scene(27.0, (5, 6), (13, 14)), Lengths()) == [Cut(27.0, "end")]

    def test_fall_in_the_middle_of_pauses_near_the_target(self) -> None:
        found = cuts(*scene(60.0, (9.0, 9.5), (19.0, 19.6), (27, 27.5), (41.0, 41.8), (50, 50.4)), Lengths())
        assert ends(found) == [19.3, 41.4, 60.0]
        assert [cut.kind for cut in found] == ["silence", "silence", "end"]

    def test_looks_ahead_rather_than_cut_a_word_later(self) -> None:
        """20 s is nearest to the target, but from there no pause is in reach: from 25 s one is."""
        found = cuts(*scene(70.0, (19.8, 20.2), (24.8, 25.2), (53.8, 54.2)), Lengths())
        assert ends(found) == [25.0, 54.0, 70.0]

    def test_without_a_pause_the_cuts_are_fixed_at_the_target(self) -> None:
        found = cuts(*scene(60.0), Lengths())
        assert found == [Cut(20.0, "fixed"), Cut(40.0, "fixed"), Cut(60.0, "end")]

    def test_a_stretch_without_pauses_is_fixed_and_the_rest_is_not(self) -> None:
        found = cuts(*scene(100.0, (18, 18.5), (79.8, 80.2)), Lengths())
        assert [cut.kind for cut in found] == ["silence", "fixed", "fixed", "silence", "end"]
        assert ends(found) == pytest.approx([18.25, 38.83, 59.42, 80.0, 100.0], abs=0.01)

    def test_a_fixed_cut_takes_the_quieter_moment(self) -> None:
        spoken, level, length = scene(40.0)
        level[1870:1880] = -35
        assert cuts(spoken, level, length, Lengths())[0].at == pytest.approx(18.75, abs=0.04)

    def test_long_pause_is_used_where_it_suits(self) -> None:
        assert ends(cuts(*scene(40.0, (12, 33)), Lengths(20, 8, 23)))[0] == pytest.approx(20, abs=0.6)

    def test_a_longer_pause_beats_a_shorter_one(self) -> None:
        found = cuts(*scene(40.0, (19.9, 20.08), (20.8, 21.3)), Lengths())
        assert ends(found) == [21.05, 40.0]

    def test_a_shot_change_in_the_pause_draws_the_cut(self) -> None:
        pauses = (19.0, 20.8)
        assert ends(cuts(*scene(40.0, pauses), Lengths()))[0] == pytest.approx(19.9)
        assert ends(cuts(*scene(40.0, pauses), Lengths(), shots=[3.0, 20.6, 31.0]))[0] == pytest.approx(20.6)
        assert ends(cuts(*scene(40.0, pauses), Lengths(), shots=[3.0, 22.6]))[0] == pytest.approx(19.9)

    def test_minimum_gives_way_where_it_must(self) -> None:
        found = cuts(*scene(35.0, (17, 18)), Lengths(25, 20, 30))
        assert len(found) == 2
        assert max(b - a for a, b in pairwise([0.0, *ends(found)])) <= 30

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(st.tuples(st.floats(0, 200), st.floats(0.05, 4)), max_size=40),
        st.floats(0.3, 200),
        st.sampled_from([Lengths(), Lengths(5, 2, 9), Lengths(20, 8, 21), Lengths(1.0, 0.5, 1.5)]),
    )
    def test_lengths_hold_and_silence_cuts_are_silent(
        self, pauses: list[tuple[float, float]], length: float, wanted: Lengths
    ) -> None:
        spoken, level, _ = scene(length, *((start, start + long) for start, long in pauses))
        found = cuts(spoken, level, length, wanted)
        times = [0.0, *(cut.at for cut in found)]
        assert times[-1] == length
        assert all(0 < b - a <= wanted.max + 1e-6 for a, b in pairwise(times))
        for cut in found:
            if cut.kind == "silence":
                assert not spoken[min(len(spoken) - 1, int(cut.at * 100))]
