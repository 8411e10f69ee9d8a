"""Who has the word, and the frames in which that face's mouth is changed."""

from __future__ import annotations

import numpy as np
import pytest

from dubd.engines import turns as module
from dubd.engines.talking import closed, runs, talking
from dubd.engines.tracks import Tracks
from dubd.engines.turns import Turn, turns
from tests.engines.faces_drawn import points, speaker

SECONDS = 6
LINE = {"slot": [2.0, 3.0], "start": 2.0, "end": 3.0}


def speech(rate: float, *spans: tuple[float, float]) -> np.ndarray:
    at = np.arange(round(SECONDS * rate)) / rate
    return spoken(at, spans)


def spoken(at: np.ndarray, spans: tuple[tuple[float, float], ...]) -> np.ndarray:
    return np.any([np.zeros(len(at), bool), *((start <= at) & (at < end) for start, end in spans)], axis=0)


def sound(*spans: tuple[float, float]) -> np.ndarray:
    """Noise in the speech band at the given seconds, silence elsewhere; mono at 48 kHz."""
    at = np.arange(SECONDS * 48000) / 48000
    noise = np.random.default_rng(0).standard_normal(len(at)).astype(np.float32) * np.float32(0.1)
    return noise * spoken(at, spans)


def seen(gaps: np.ndarray, *xs: float, size: float = 100.0) -> Tracks:
    """One face for each x, its eyes `size` px apart, whose mouths all open by `gaps`."""
    made = np.stack([[points(float(gap), x=x, size=size) for gap in gaps] for x in xs]).astype(np.float32)
    boxes = np.concatenate([made.min(2), made.max(2)], axis=2)
    return Tracks(boxes, made, np.ones(made.shape[:2], bool), np.zeros(0, np.int32))


def chatter(rate: float, start: float = 2.0, end: float = 3.0) -> np.ndarray:
    """A mouth at rest that opens and shuts from `start` to `end`."""
    at = np.arange(round(SECONDS * rate)) / rate
    return np.where((start <= at) & (at < end), 0.15 + 0.15 * np.sin(at * 25), 0.02)


@pytest.mark.parametrize("rate", [24.0, 25.0, 29.97, 50.0, 60.0])
def test_a_mouth_is_changed_where_the_dub_speaks_and_a_moment_around_it_at_any_rate(rate: float) -> None:
    tracks = seen(chatter(rate), 160.0)
    (turn,) = turns(tracks, speech(rate, (2.0, 3.0)), sound(), [LINE], rate, 60)
    first, last = np.flatnonzero(turn.active)[[0, -1]] / rate
    assert first == pytest.approx(2.0 - module.HANG, abs=1.5 / rate)
    assert last == pytest.approx(3.0 + module.HANG, abs=1.5 / rate)


def test_where_only_the_source_speaks_the_mouth_is_changed_too() -> None:
    tracks = seen(chatter(25.0), 160.0)
    (turn,) = turns(tracks, speech(25.0), sound((2.0, 3.0)), [LINE], 25.0, 60)
    assert turn.active[50:75].all()


def test_a_silent_face_has_no_turn() -> None:
    assert turns(seen(chatter(25.0), 160.0), speech(25.0), sound(), [], 25.0, 60) == []


def test_a_small_face_is_left_alone() -> None:
    tracks = seen(chatter(25.0), 160.0, size=40.0)  # 52 px from ear to ear
    assert len(turns(tracks, speech(25.0, (2, 3)), sound((2, 3)), [LINE], 25.0, 50)) == 1
    assert turns(tracks, speech(25.0, (2, 3)), sound((2, 3)), [LINE], 25.0, 60) == []


@pytest.mark.parametrize("rate", [25.0, 60.0])
def test_a_change_reaches_out_to_where_the_own_mouth_is_shut_but_not_without_end(rate: float) -> None:
    gaps = chatter(rate, 2.5, 3.0)
    gaps[round(1.4 * rate) : round(2.5 * rate)] = 0.2  # it opens well before its first sound
    line = {"slot": [2.5, 3.0], "start": 2.5, "end": 3.0}
    (turn,) = turns(seen(gaps, 160.0), speech(rate, (2.5, 3)), sound((2.5, 3)), [line], rate, 60)
    assert turn.active[round(1.4 * rate) : round(2.5 * rate)].all()
    assert not turn.active[: round(1.3 * rate)].any()
    gaps[: round(1.4 * rate)] = 0.2
    (turn,) = turns(seen(gaps, 160.0), speech(rate, (2.5, 3)), sound((2.5, 3)), [line], rate, 60)
    first = np.flatnonzero(turn.active)[0] / rate
    assert first == pytest.approx(2.5 - module.HANG - module.REST, abs=2.5 / rate)


@pytest.mark.parametrize("rate", [25.0, 60.0])
def test_a_short_quiet_is_not_left_to_the_sources_mouth_and_a_long_one_is(rate: float) -> None:
    tracks = seen(chatter(rate), 160.0)
    lines = [{"slot": [1.0, 5.0], "start": 1.0, "end": 5.0}]
    (turn,) = turns(tracks, speech(rate, (1, 2), (2.4, 3), (4.2, 5)), sound(), lines, rate, 60)
    assert turn.active[round(rate) : round(3 * rate)].all()
    assert not turn.active[round(3.4 * rate) : round(4 * rate)].any()


def test_no_frame_is_in_the_turns_of_two_faces() -> None:
    tracks = seen(chatter(25.0), 160.0, 500.0)
    made = turns(tracks, speech(25.0, (2, 3)), sound((2, 3)), [LINE], 25.0, 60)
    assert np.sum([turn.active for turn in made], axis=0).max() == 1


def test_a_change_fades_where_the_face_goes_on_and_not_at_the_edge_of_a_shot() -> None:
    shape = speaker(np.full(20, 0.1))
    active = np.zeros(20, bool)
    active[10:] = True
    turn = Turn(shape, active)
    (run,) = turn.runs()
    weight = turn.fade(run, 4)
    assert np.allclose(weight[:5], [0.2, 0.4, 0.6, 0.8, 1.0])
    assert (weight[5:] == 1).all()


def test_a_face_may_be_changed_where_it_is_seen_and_no_other_speaks() -> None:
    tracks = seen(chatter(25.0), 160.0, 500.0)
    tracks.seen[1, 100:] = False
    found = talking(tracks, sound((2, 3)), [LINE], 25.0, min_face=60)
    spoke = found.who >= 0
    assert spoke[50:75].all()
    talks = int(found.who[60])
    assert not found.free(1 - talks)[spoke].any()
    assert not found.free(1)[100:].any()


def test_holes_up_to_a_length_are_filled_and_the_ends_are_not() -> None:
    flags = np.array([0, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0], bool)
    assert closed(flags, 2).astype(int).tolist() == [0, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0]
    assert [run.tolist() for run in runs(flags)] == [[2], [5], [9]]
    assert runs(np.zeros(3, bool)) == []
