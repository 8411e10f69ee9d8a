"""A take is trimmed, stretched and cut to the sample, and its phonemes stay on its sounds."""

from __future__ import annotations

import numpy as np
import pytest

from dubd.media.take import Take

RATE = 48_000


def tone(seconds: float, level: float = 0.3, rate: int = RATE) -> np.ndarray:
    clock = np.arange(round(seconds * rate)) / rate
    return np.asarray(level * np.sin(2 * np.pi * 200 * clock), np.float32)


def quiet(seconds: float, rate: int = RATE) -> np.ndarray:
    return np.zeros(round(seconds * rate), np.float32)


def test_silence_around_the_speech_is_trimmed_and_the_phonemes_follow() -> None:
    raw = np.concatenate([quiet(0.5, 22_050), tone(1.0, rate=22_050), quiet(0.7, 22_050)])
    take = Take.of(raw, 22_050, [(0.5, "a"), (1.2, "b"), (2.1, "_")])
    assert take.seconds == pytest.approx(1.06, abs=0.015)
    assert [name for _, name in take.phonemes] == ["a", "b"]
    assert take.phonemes[0][0] == pytest.approx(0.02, abs=0.01)


@pytest.mark.parametrize("sound", [quiet(1.0), np.zeros(0, np.float32)])
def test_nothing_to_hear_is_nothing(sound: np.ndarray) -> None:
    take = Take.of(sound, 22_050, [(0.0, "_")])
    assert take.seconds == 0
    assert take.phonemes == ()
    assert take.breaks() == []


def test_breaks_are_silences_inside_longer_than_a_stop() -> None:
    take = Take(np.concatenate([tone(0.5), quiet(0.2), tone(0.4), quiet(0.05), tone(0.4)]))
    ((start, end),) = take.breaks()
    assert (start, end) == pytest.approx((0.5, 0.7), abs=0.01)


@pytest.mark.parametrize("seconds", [0.9, 1.0, 1.0049, 1.111, 1.234567])
def test_a_stretched_take_lasts_to_the_sample_at_the_same_pitch(seconds: float) -> None:
    take = Take(tone(1.0), ((0.25, "a"), (0.75, "b"))).lasting(seconds)
    assert len(take.samples) == round(seconds * RATE)
    crossings = np.flatnonzero(np.diff(np.signbit(take.samples[4800:-4800]).astype(int)))
    assert len(crossings) / ((len(take.samples) - 9600) / RATE) == pytest.approx(400, rel=0.03)
    assert take.phonemes[1][0] == pytest.approx(0.75 * seconds, abs=0.006)


def test_parts_fade_and_keep_their_phonemes() -> None:
    part = Take(tone(1.0), ((0.1, "a"), (0.6, "b"))).part(RATE // 2, RATE)
    ((at, name),) = part.phonemes
    assert name == "b"
    assert at == pytest.approx(0.1)
    assert np.abs(part.samples[:20]).max() < 0.02
    assert np.abs(part.samples[-20:]).max() < 0.02
    assert np.abs(np.diff(part.samples)).max() < 0.05


def test_a_cut_moves_into_the_silence_near_it() -> None:
    take = Take(np.concatenate([tone(0.5), quiet(0.1), tone(0.4)]))
    assert 0.5 * RATE <= take.quietest(0.48) <= 0.6 * RATE
