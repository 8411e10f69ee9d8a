"""The mel front end is librosa's with Wav2Lip's figures, and every frame has its piece of sound."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from dubd.engines import mel


def chirp(seconds: float) -> np.ndarray:
    """A swelling sweep with noise under it, after a second of silence."""
    at = np.arange(int(seconds * 16000)) / 16000
    noise = np.random.default_rng(0).normal(0, 0.02, len(at))
    made = 0.5 * np.sin(2 * np.pi * (100 + 900 * at) * at) * np.sin(3 * at) ** 2 + noise
    return np.where(at < 1, 0.0, made).astype(np.float32)


def test_it_equals_librosas() -> None:
    librosa = pytest.importorskip("librosa")
    samples = chirp(4.0)
    emphasised = np.append(samples[0], samples[1:] - np.float32(0.97) * samples[:-1])
    magnitude = np.abs(librosa.stft(emphasised, n_fft=800, hop_length=200, win_length=800))
    basis = librosa.filters.mel(sr=16000, n_fft=800, n_mels=80, fmin=55, fmax=7600)
    decibel = 20 * np.log10(np.maximum(1e-5, basis @ magnitude)) - 20
    wanted = np.clip(8 * (decibel + 100) / 100 - 4, -4, 4)

    made = mel.mel(samples)

    assert made.shape == wanted.shape == (80, 1 + len(samples) // 200)
    assert wanted.max() > 0 and np.abs(made - wanted).max() < 1e-4


def test_digital_silence_is_its_lowest_value() -> None:
    assert np.array_equal(mel.mel(np.zeros(16000, np.float32)), np.full((80, 81), -4, np.float32))


def test_blocks_leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = mel.mel(chirp(2.0))
    monkeypatch.setattr(mel, "BLOCK", 7)

    assert np.array_equal(mel.mel(chirp(2.0)), whole)


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(50)])
@pytest.mark.parametrize("frames", [1, 7, 273])
@pytest.mark.parametrize("shift", [-0.04, 0.0, -0.5, 0.3])
def test_there_is_a_piece_for_exactly_every_frame(rate: Fraction, frames: int, shift: float) -> None:
    samples = chirp(float(frames / rate))

    heard = mel.heard(samples, frames, rate, shift)

    assert len(heard.starts) == frames
    assert all(heard.chunk(frame).shape == (80, 16) for frame in range(frames))
    places = heard.starts - heard.starts[0]
    assert np.abs(places - np.arange(frames) * 80 / float(rate)).max() <= 1, "drift"


def test_a_piece_starts_where_training_had_it() -> None:
    """At 25 frames a second frame i was trained with the 16 columns from int(80 (i - 1) / 25) on."""
    samples = chirp(4.0)
    whole = mel.mel(samples)

    heard = mel.heard(samples, 100, Fraction(25), -0.04)

    for frame in (1, 2, 30, 60, 90):
        start = int(80 * (frame - 1) / 25)
        assert np.allclose(heard.chunk(frame), whole[:, start : start + 16], atol=1e-5)
    assert np.array_equal(heard.chunk(0)[:, 0], np.full(80, -4, np.float32)), "before the sound is silence"


def test_without_a_shift_it_starts_with_the_frame() -> None:
    samples = chirp(4.0)

    heard = mel.heard(samples, 100, Fraction(25), 0.0)

    assert np.allclose(heard.chunk(30), mel.mel(samples)[:, 96:112], atol=1e-5)


def test_sound_comes_down_to_16_khz_in_place() -> None:
    click = np.zeros(48000, np.float32)
    click[24000] = 1

    made = mel.resampled(click)

    assert len(made) == 16000 and int(np.abs(made).argmax()) == 8000
