"""Speech and silence are told apart in quiet, in noise, and in a file without a pause."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from dubd.media import ffmpeg
from dubd.media.sound import levels, silences, speech

RATE = 16_000
RNG = np.random.default_rng(3)


def voiced(seconds: float, pitch: float = 120.0) -> np.ndarray:
    """Something like a vowel: harmonics of a pitch under two formants, with syllables at 4 Hz."""
    t = np.arange(round(seconds * RATE)) / RATE
    wave = sum(
        np.sin(2 * np.pi * k * pitch * t) / (1 + ((k * pitch - 700) / 400) ** 2) for k in range(1, int(4000 / pitch))
    )
    return (0.1 * wave * (0.7 + 0.3 * np.sin(2 * np.pi * 4 * t))).astype(np.float32)


def talk(*lengths: float, noise: float = 0.0) -> np.ndarray:
    """Speech and silence in turn, speech first, over white noise of an RMS of `noise`."""
    parts = [voiced(s) if k % 2 == 0 else np.zeros(round(s * RATE), np.float32) for k, s in enumerate(lengths)]
    whole = np.concatenate(parts)
    return whole + (noise * RNG.standard_normal(len(whole))).astype(np.float32)


def found(samples: np.ndarray, least: float = 0.3) -> np.ndarray:
    return silences(speech(levels([samples], RATE)), least)


class TestLevels:
    def test_are_the_same_in_any_blocks(self) -> None:
        whole = talk(1.0, 0.5, 1.003)
        cuts = [0, 1, 777, 16_000, 16_001, 30_000, len(whole)]
        parts: Iterator[np.ndarray] = (whole[a:b, None] for a, b in pairwise(cuts))
        assert levels(parts, RATE) == pytest.approx(levels([whole], RATE), abs=1e-3)

    def test_tell_decibels_of_the_speech_band_only(self) -> None:
        t = np.arange(RATE) / RATE
        in_band, hum = 0.1 * np.sin(2 * np.pi * 1000 * t), 0.1 * np.sin(2 * np.pi * 50 * t)
        assert np.median(levels([in_band], RATE)) == pytest.approx(-23, abs=0.5)
        assert np.median(levels([hum], RATE)) < -45

    def test_nothing_gives_nothing(self) -> None:
        assert levels([], RATE).shape == (0,)
        assert found(np.zeros(0, np.float32)).shape == (0, 2)


class TestSilences:
    @pytest.mark.parametrize("noise", [0.0, 0.001, 0.005], ids=["digital", "quiet", "noisy"])
    def test_are_where_they_are(self, noise: float) -> None:
        gaps = found(talk(2.0, 0.6, 3.0, 1.2, 2.5, noise=noise))
        assert gaps == pytest.approx(np.array([[2.0, 2.6], [5.6, 6.8]]), abs=0.08)

    def test_follow_a_noise_that_rises(self) -> None:
        """A fan is switched on at 30 s: pauses before and after are found by the same rule."""
        lengths = [1.6, 0.6] * 27
        whole = talk(*lengths)
        noise = (0.006 * RNG.standard_normal(len(whole))).astype(np.float32)
        noise[: 30 * RATE] *= 0.05
        gaps = found(whole + noise)
        middles = np.cumsum(lengths)[1::2] - 0.3
        hit = [bool(((gaps[:, 0] < at) & (at < gaps[:, 1])).any()) for at in middles]
        assert np.mean(hit) > 0.85
        assert np.mean(hit[-8:]) == 1

    def test_a_closure_is_none(self) -> None:
        assert len(found(talk(2.0, 0.08, 2.0), least=0.05)) == 0

    def test_a_minute_of_quiet_is_one(self) -> None:
        gaps = found(talk(3.0, 60.0, 3.0, noise=0.0005))
        assert gaps == pytest.approx(np.array([[3.0, 63.0]]), abs=0.1)

    def test_steady_noise_and_unbroken_speech_have_none(self) -> None:
        assert len(found((0.05 * RNG.standard_normal(20 * RATE)).astype(np.float32))) == 0
        assert len(found(talk(25.0, noise=0.002))) == 0

    def test_silence_throughout_is_one(self) -> None:
        assert found(np.zeros(3 * RATE, np.float32)) == pytest.approx(np.array([[0.0, 3.0]]), abs=0.02)


class TestRealSpeech:
    def test_pauses_between_the_lines_of_a_webcam(self, media: Callable[[str], Path]) -> None:
        gaps = found(ffmpeg.read_audio(media("en_webcam_glasses_30fps.mp4"), RATE))
        for pause in (0.6, 4.6, 7.1, 9.3):
            assert ((gaps[:, 0] < pause) & (pause < gaps[:, 1])).any()
        for word in (1.6, 3.3, 6.0, 8.2):
            assert not ((gaps[:, 0] < word) & (word < gaps[:, 1])).any()

    def test_telephone_against_its_reference_turns(self, media: Callable[[str], Path]) -> None:
        spoken = speech(levels([ffmpeg.read_audio(media("en_2spk_phone_30s.wav"), RATE)], RATE))
        turns = np.zeros_like(spoken)
        for line in media("en_2spk_phone_30s.rttm").read_text().splitlines():
            start, length = (float(field) for field in line.split()[3:5])
            turns[round(start * 100) : round((start + length) * 100)] = True
        assert (turns & spoken).sum() / (turns | spoken).sum() > 0.85
        assert (spoken & ~turns).sum() < 30  # 10 ms each: what is taken for silence is never a turn's start
