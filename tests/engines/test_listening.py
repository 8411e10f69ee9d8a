"""listening: what a voice that lost its way sounds like, and that people who speak do not sound so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dubd.engines import listening
from dubd.media import ffmpeg

RATE = 24_000


@pytest.fixture(scope="module")
def speech(talking_head: Path) -> np.ndarray:
    """9.7 s of a real voice."""
    return ffmpeg.read_audio(talking_head, RATE)


def test_a_real_voice_gives_no_reason_for_doubt(speech: np.ndarray) -> None:
    assert listening.loop(speech, RATE) is None
    assert listening.doubts(speech, RATE, 130, 250) == []


@pytest.mark.parametrize("period", [0.3, 0.8, 1.5])
def test_a_stretch_that_comes_again_and_again_is_heard(speech: np.ndarray, period: float) -> None:
    turn = speech[2 * RATE : 2 * RATE + round(period * RATE)]
    noise = np.random.default_rng(1).normal(0, 1e-4, 4 * len(turn))
    looped = np.concatenate([speech[: 2 * RATE], np.tile(turn, 4) + noise, speech[5 * RATE : 6 * RATE]])
    assert listening.loop(looped, RATE) == pytest.approx(period, abs=0.05)
    assert "again and again" in listening.doubts(looped, RATE, 80, 250)[0]


def test_a_held_vowel_and_a_pause_are_no_loop(speech: np.ndarray) -> None:
    clock = np.arange(RATE) / RATE
    vowel = sum(0.1 / n * np.sin(2 * np.pi * 140 * n * clock) for n in range(1, 12))
    assert listening.loop(np.concatenate([speech[:RATE], vowel, np.zeros(RATE), speech[RATE : 2 * RATE]]), RATE) is None


def test_too_long_and_too_short_for_the_text_are_told(speech: np.ndarray) -> None:
    assert listening.doubts(speech, RATE, 20, 250)[0].startswith("too long")
    assert listening.doubts(speech[:RATE], RATE, 130, 250)[0].startswith("too short")


def test_silence_nothing_and_broken_samples_are_told() -> None:
    assert listening.doubts(np.zeros(RATE), RATE, 15, 250) == ["silence"]
    assert listening.doubts(np.zeros(0), RATE, 15, 250) == ["no sound"]
    assert listening.doubts(np.full(RATE, np.nan), RATE, 15, 250)[0].startswith("not a sound")


def test_clipped_speech_is_told(speech: np.ndarray) -> None:
    assert "clipped" in listening.doubts(np.clip(40 * speech, -1, 1), RATE, 130, 250)


def test_a_language_of_dense_letters_takes_longer_for_each() -> None:
    assert listening.expected(82, 82) == listening.expected(250, 250)


def test_tokens_that_go_round_are_seen() -> None:
    drawn = np.random.default_rng(0).integers(0, 1000, 300).tolist()
    assert not listening.stuck(drawn)
    assert listening.stuck([*drawn, *drawn[-12:], *drawn[-12:]])
    assert listening.stuck([7] * 40)
    assert not listening.stuck([1, 2, 3] * 2)
    assert not listening.stuck([])
