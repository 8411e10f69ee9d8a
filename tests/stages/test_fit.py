"""Whatever the lines are, their timing keeps the rules that a listener would notice being broken."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubd.stages.fit import (
    EARLY,
    FADE_CUT,
    JUMP,
    KEEP_SAME,
    LEAD,
    QUICKEST,
    RUN_GAP,
    SLOWEST,
    Placed,
    Utterance,
    counterparts,
    fit,
    rooms,
)

MARGIN = 1e-6
FINISH = 30.0


@st.composite
def dialogues(draw: st.DrawFn) -> list[Utterance]:
    """Lines of up to three speakers that may touch, overlap between speakers, pause inside, and run long or short."""
    clock, lines = draw(st.floats(0, 2)), []
    for _ in range(draw(st.integers(1, 8))):
        start = clock + draw(st.sampled_from([0.0, 0.05, 0.3, 1.0, 2.5]))
        end = start + draw(st.floats(0.2, 5))
        if end > FINISH:
            break
        natural = (end - start) * draw(st.floats(0.2, 2.5))
        middle, half = draw(st.floats(0.2, 0.8)), draw(st.floats(0.02, 0.1))
        breaks = ((natural * (middle - half), natural * (middle + half)),) if draw(st.booleans()) else ()
        where, length = draw(st.floats(0.2, 0.5)), draw(st.floats(0.1, 0.4))
        pause = (start + where * (end - start), start + (where + length) * (end - start))
        pauses = (pause,) if draw(st.booleans()) else ()
        speaker = draw(st.sampled_from(["S1", "S1", "S2", "S3"]))
        lines.append(Utterance(speaker, start, end, natural, breaks, pauses))
        clock = end if draw(st.booleans()) else draw(st.floats(start, end))
    seen: dict[str, float] = {}
    kept = []
    for line in sorted(lines, key=lambda one: one.start):
        if line.start >= seen.get(line.speaker, 0.0):
            kept.append(line)
            seen[line.speaker] = line.end
    return kept


def placed(lines: list[Utterance]) -> list[tuple[Utterance, Placed]]:
    return list(zip(lines, fit(lines, 0.0, FINISH), strict=True))


@given(dialogues())
def test_no_line_is_rushed_or_dragged(lines: list[Utterance]) -> None:
    for line, one in placed(lines):
        assert SLOWEST - MARGIN <= one.tempo <= QUICKEST + MARGIN
        assert one.spoken == pytest.approx(line.natural / one.tempo)


@given(dialogues())
def test_no_speaker_talks_over_themselves(lines: list[Utterance]) -> None:
    free: dict[str, float] = {}
    for line, one in placed(lines):
        assert one.start >= min(free.get(line.speaker, 0.0), FINISH) - MARGIN
        free[line.speaker] = one.end + KEEP_SAME


@given(dialogues())
def test_a_line_starts_early_only_by_its_lead_or_to_save_its_last_words(lines: list[Utterance]) -> None:
    for line, one in placed(lines):
        early = line.start - one.start
        assert early <= LEAD + MARGIN or (early <= EARLY + MARGIN and one.start + one.spoken >= FINISH - MARGIN)


@given(dialogues())
def test_everything_stays_inside_the_stretch(lines: list[Utterance]) -> None:
    for _, one in placed(lines):
        assert 0 <= one.start <= one.end + MARGIN
        assert one.end <= FINISH + MARGIN


def test_a_line_that_was_pushed_past_its_limit_is_late_and_not_faded_away() -> None:
    lines = [Utterance("S1", 1.05, 4.08125, 4.546875), Utterance("S1", 4.08125, 4.33125, 0.0625)]
    late = fit([*lines, Utterance("S1", 4.39375, 5.39375, 1.0)], 0.0, FINISH)[1]
    assert late.cut == 0.0
    assert late.overrun > 0
    assert late.end - late.start == pytest.approx(late.spoken)


@given(dialogues())
def test_the_pieces_are_the_whole_line_in_order(lines: list[Utterance]) -> None:
    for _, one in placed(lines):
        assert (one.pieces[0].first, one.pieces[-1].last) == (0.0, 1.0)
        assert one.pieces[0].start == one.start
        for before, after in pairwise(one.pieces):
            assert after.first == before.last
            assert after.start >= before.start + (before.last - before.first) * one.spoken - MARGIN
        last = one.pieces[-1]
        assert last.start + (last.last - last.first) * one.spoken == pytest.approx(one.end + one.cut)


@given(dialogues())
def test_what_is_lost_or_late_is_never_silent(lines: list[Utterance]) -> None:
    for (_, one), room in zip(placed(lines), rooms(lines, 0.0, FINISH), strict=True):
        assert one.cut <= FADE_CUT + MARGIN or one.overrun >= one.cut - MARGIN
        assert one.overrun > 0 or one.end <= room.limit + MARGIN


@given(dialogues())
def test_the_tempo_does_not_jump_within_a_run(lines: list[Utterance]) -> None:
    pairs = placed(lines)
    for speaker in ("S1", "S2", "S3"):
        own = [pair for pair in pairs if pair[0].speaker == speaker]
        for (before, one), (after, other) in pairwise(own):
            if after.start - before.end < RUN_GAP:
                assert abs(math.log(one.tempo / other.tempo)) <= JUMP + MARGIN


def one(natural: float, *, end: float = 12.0, finish: float = 20.0, **more: tuple[tuple[float, float], ...]) -> Placed:
    return fit([Utterance("S1", 10.0, end, natural, **more)], 0.0, finish)[0]


@pytest.mark.parametrize(
    ("natural", "tempo", "start", "end"),
    [
        (1.85, 1.0, 10.0, 11.85),  # within 8 %: as it is
        (2.15, 1.0, 10.0, 12.15),
        (2.3, 1.15, 10.0, 12.0),  # quicker, in its slot
        (2.7, 1.2, 10.0, 12.25),  # then into the silence after it
        (3.1, 1.2, 9.917, 12.5),  # then into the silence before it
        (3.4, 3.4 / 2.62, 9.88, 12.5),  # then quicker
        (4.05, 1.35, 9.88, 12.88),  # then on
        (1.4, 0.9, 10.0, 11.556),  # short: slower, and silence
    ],
)
def test_room_is_used_in_the_order_in_which_it_is_least_heard(
    natural: float, tempo: float, start: float, end: float
) -> None:
    found = one(natural)
    assert (found.tempo, found.start, found.end) == pytest.approx((tempo, start, end), abs=1e-3)
    assert found.overrun == 0


def test_words_that_would_be_cut_by_the_end_are_said_early() -> None:
    found = one(3.6, finish=12.0)
    assert found.start == pytest.approx(12.0 - 3.6 / 1.35)
    assert (found.overrun, found.cut) == (0, 0)


def test_an_overrun_is_marked_and_the_next_line_waits() -> None:
    lines = [Utterance("S1", 1.0, 2.0, 2.0), Utterance("S1", 2.1, 4.0, 1.9)]
    long, late = fit(lines, 0.0, 10.0)
    assert long.tempo == QUICKEST
    assert long.overrun == pytest.approx(long.end - 2.04)
    assert late.start == pytest.approx(long.end + KEEP_SAME)


def test_a_pause_of_the_source_is_a_pause_of_the_dub() -> None:
    found = one(1.5, breaks=((0.5, 0.6),), pauses=((10.8, 11.3),))
    first, second = found.pieces
    silence = second.start - (first.start + first.last * found.spoken)
    assert silence == pytest.approx(0.5)  # as long as the source's, and as late as the slot allows
    assert found.end == pytest.approx(12.0)


def test_pauses_find_the_breaks_nearest_in_the_speech() -> None:
    line = Utterance("S1", 0.0, 6.0, 4.0, breaks=((0.9, 1.1), (2.0, 2.1), (2.9, 3.1)), pauses=((1.2, 1.8), (3.9, 4.6)))
    assert counterparts(line) == [((0.9, 1.1), (1.2, 1.8)), ((2.9, 3.1), (3.9, 4.6))]
