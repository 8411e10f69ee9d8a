"""The mix: who gives way to whom, when, and by how much; exact to the sample."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dubd.errors import DubdError
from dubd.media import mix
from dubd.media.mix import ATTACK, DEPTH, MARGIN, RATE, RELEASE, Background, Piece

LOW = 10 ** (-DEPTH / 20)


def pieces(folder: Path, lengths: tuple[int, ...], channels: int = 2) -> list[Piece]:
    """Original: a different constant on each channel. Speech: 0.5."""
    made, first = [], 0
    for number, samples in enumerate(lengths):
        audio, speech = folder / f"{number}.wav", folder / f"{number}-speech.wav"
        soundfile.write(audio, np.full((samples, channels), [0.1, 0.2][:channels]), RATE, subtype="FLOAT")
        soundfile.write(speech, np.full(samples, 0.5), RATE, subtype="FLOAT")
        made.append(Piece(audio, speech, first, samples))
        first += samples
    return made


def whole(folder: Path, background: Background, spans: list[mix.Span], *lengths: int) -> np.ndarray:
    return np.concatenate(list(mix.programme(pieces(folder, lengths), spans, background)))


def test_the_original_gives_way_within_the_span_and_comes_back_after_it() -> None:
    gain = mix.ducking([(1.0, 2.0)], 0, 4 * RATE)
    at = lambda second: gain[round(second * RATE)]  # noqa: E731
    assert at(1.0 - MARGIN - ATTACK - 0.001) == 1
    assert at(1.0 - MARGIN - ATTACK / 2) == pytest.approx(10 ** (-DEPTH / 40), rel=0.01)
    assert at(1.0) == at(1.5) == at(2.0) == pytest.approx(LOW)
    assert at(2.0 + MARGIN + RELEASE / 2) == pytest.approx(10 ** (-DEPTH / 40), rel=0.01)
    assert at(2.0 + MARGIN + RELEASE + 0.001) == 1


def test_a_short_pause_never_lets_the_gain_jump() -> None:
    gain = mix.ducking([(1.0, 1.5), (1.9, 2.5)], 0, 4 * RATE)
    steepest = 1.0001 * 10 ** (DEPTH / 20 / (ATTACK * RATE))
    ratio = gain[1:] / gain[:-1]
    assert ratio.max() < steepest and ratio.min() > 1 / steepest
    assert LOW < gain[round(1.75 * RATE)] < 1


def test_segments_join_in_the_ramp_as_one_stretch() -> None:
    spans = [(0.2, 0.9), (1.3, 1.4)]
    cut = round(1.1 * RATE)
    joined = np.concatenate([mix.ducking(spans, 0, cut), mix.ducking(spans, cut, 2 * RATE - cut)])
    assert np.array_equal(joined, mix.ducking(spans, 0, 2 * RATE))


@pytest.mark.parametrize(
    ("background", "within", "outside"), [("duck", LOW, 1.0), ("keep", 1.0, 1.0), ("none", 0.0, 0.0)]
)
def test_what_stays_of_the_original(tmp_path: Path, background: Background, within: float, outside: float) -> None:
    mixed = whole(tmp_path, background, [(2.0, 3.0)], 2 * RATE + 7, 3 * RATE)
    assert mixed.shape == (5 * RATE + 7, 2)
    for second, share in ((2.5, within), (0.5, outside), (4.5, outside)):
        assert mixed[round(second * RATE)] == pytest.approx([0.5 + 0.1 * share, 0.5 + 0.2 * share], abs=1e-4)


def test_long_segments_come_in_small_blocks(tmp_path: Path) -> None:
    blocks = list(mix.programme(pieces(tmp_path, (13 * RATE,)), [], "keep"))
    assert len(blocks) > 2
    assert sum(len(block) for block in blocks) == 13 * RATE


def test_how_a_programme_is_cut_does_not_change_its_sound(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    spans = [(0.5, 2.9), (3.0, 5.5)]
    cut = whole(tmp_path / "a", "duck", spans, RATE, 2 * RATE + 1, 3 * RATE - 1)
    assert np.array_equal(cut, whole(tmp_path / "b", "duck", spans, 6 * RATE))


def test_the_original_track_is_the_original(tmp_path: Path) -> None:
    found = np.concatenate(list(mix.original(pieces(tmp_path, (10, 20)))))
    assert found == pytest.approx(np.tile([0.1, 0.2], (30, 1)))


def test_wrong_length_rate_or_channels_are_named(tmp_path: Path) -> None:
    (good,) = pieces(tmp_path, (100,))
    with pytest.raises(DubdError, match="has 100 samples"):
        list(mix.original([Piece(good.audio, good.speech, 0, 99)]))
    soundfile.write(tmp_path / "mono.wav", np.zeros(100), RATE)
    with pytest.raises(DubdError, match="differ in their channels"):
        mix.count_channels([good, Piece(tmp_path / "mono.wav", good.speech, 100, 100)])


def test_no_clicks_at_the_joins(tmp_path: Path) -> None:
    mixed = whole(tmp_path, "duck", [(0.9, 1.6)], RATE, RATE, RATE)
    steps = [abs(after - before) for before, after in pairwise(mixed[:, 1].tolist())]
    assert max(steps) < 0.001


def test_a_lone_click_in_the_original_is_softened_and_all_else_is_left() -> None:
    noise = np.random.default_rng(1).normal(0, 0.001, (RATE, 2)).astype(np.float32)
    clicked = noise.copy()
    clicked[RATE // 2 : RATE // 2 + 20] += np.float32(0.05)
    softer = mix.softened(clicked)
    near = np.s_[RATE // 2 - 300 : RATE // 2 + 320]
    assert np.abs(softer[near]).max() < 0.4 * np.abs(clicked[near]).max()
    far = np.r_[0 : RATE // 2 - 300, RATE // 2 + 320 : RATE]
    assert np.array_equal(softer[far], clicked[far])
    assert mix.softened(noise) is noise
