"""Loudness is what the standard's reference meter says."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from dubd.media.ffmpeg import write_wav
from dubd.media.loudness import RATE, Meter, limited
from dubd.media.mastering import measure


def reading(*stretches: np.ndarray) -> float:
    meter = Meter()
    for stretch in stretches:
        meter.add(stretch)
    return meter.integrated()


def voice(seconds: float, level: float) -> np.ndarray:
    clock = np.arange(round(seconds * RATE)) / RATE
    buzz = np.sin(2 * np.pi * 150 * clock) + 0.5 * np.sin(2 * np.pi * 2500 * clock)
    return (level * buzz * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * clock))).astype(np.float32)


def test_the_standards_sine() -> None:
    """997 Hz at 0 dBFS on one channel reads -3.01 LKFS (BS.1770-4, annex 1)."""
    sine = np.sin(2 * np.pi * 997 * np.arange(3 * RATE) / RATE).astype(np.float32)
    assert reading(sine) == pytest.approx(-3.01, abs=0.02)


def test_it_reads_as_ffmpeg_does(tmp_path: Path) -> None:
    quiet_too = np.concatenate([voice(2, 0.2), np.zeros(RATE, np.float32), voice(2, 0.02), voice(1, 0.1)])
    write_wav(tmp_path / "voice.wav", quiet_too, RATE)
    assert reading(quiet_too) == pytest.approx(measure(tmp_path / "voice.wav").loudness, abs=0.15)


def test_silence_between_stretches_does_not_count() -> None:
    alone = reading(voice(2, 0.2))
    assert reading(voice(2, 0.2), np.zeros(5 * RATE, np.float32)) == pytest.approx(alone, abs=0.3)
    assert reading(np.zeros(RATE, np.float32)) == reading() == -math.inf


def test_a_word_shorter_than_a_block_is_heard() -> None:
    assert reading(voice(0.2, 0.2)) == pytest.approx(reading(voice(2, 0.2)), abs=1.5)


def test_a_limited_voice_stays_under_the_peak_and_is_untouched_away_from_it() -> None:
    sound = np.concatenate([voice(0.5, 0.2), voice(0.5, 1.2), voice(0.5, 0.2)])
    made = limited(sound, 0.9)
    assert np.abs(made).max() <= 0.9
    assert np.array_equal(made[: RATE // 3], sound[: RATE // 3])
    ratio = made[RATE // 2 : RATE] / np.where(np.abs(sound[RATE // 2 : RATE]) > 0.01, sound[RATE // 2 : RATE], np.nan)
    assert np.nanmax(np.abs(np.diff(ratio))) < 0.01  # the gain glides: no click
