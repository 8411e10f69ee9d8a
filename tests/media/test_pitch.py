"""The fundamental is found whatever the overtones, and silence and noise have none."""

from __future__ import annotations

import numpy as np
import pytest

from dubd.media import pitch


def tone(hertz: float, seconds: float = 1.0) -> np.ndarray:
    """A buzz whose second harmonic is its strongest."""
    clock = np.arange(round(seconds * pitch.RATE)) / pitch.RATE
    harmonics = [a * np.sin(2 * np.pi * n * hertz * clock) for n, a in ((1, 0.1), (2, 0.3), (3, 0.1))]
    return np.asarray(np.sum(harmonics, axis=0), np.float32)


@pytest.mark.parametrize("hertz", [72.0, 118.5, 210.0, 330.0])
def test_a_voiced_sound_has_its_fundamental(hertz: float) -> None:
    found = pitch.fundamentals(tone(hertz))
    assert len(found) > 80
    assert float(np.median(found)) == pytest.approx(hertz, rel=0.005)


def test_noise_and_silence_have_none() -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, pitch.RATE).astype(np.float32)
    assert len(pitch.fundamentals(noise)) <= 2
    assert len(pitch.fundamentals(np.zeros(pitch.RATE, np.float32))) == 0
    assert len(pitch.fundamentals(np.zeros(10, np.float32))) == 0


def test_a_quiet_hum_behind_the_voice_does_not_count() -> None:
    sound = np.concatenate([tone(200.0), tone(70.0) * 0.01])
    assert pitch.fundamentals(sound).min() > 150
