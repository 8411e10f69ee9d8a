"""Loudness is measured as EBU R 128 says, and met after the encoder with peaks under the ceiling."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from dubd.errors import DubdError
from dubd.media import mastering
from dubd.media.ffmpeg import probe
from dubd.media.mix import RATE, Samples


def tone(decibels: float, seconds: float = 6.0, channels: int = 2) -> Samples:
    clock = np.arange(round(seconds * RATE)) / RATE
    wave = 10 ** (decibels / 20) * np.sin(2 * np.pi * 1000 * clock)
    return np.repeat(wave[:, None], channels, 1).astype(np.float32)


def blocks(sound: Samples) -> Iterator[Samples]:
    for start in range(0, len(sound), RATE):
        yield sound[start : start + RATE]


def test_the_meter_agrees_with_ebu_tech_3341() -> None:
    # Case 1: a stereo sine of 1 kHz with peaks at -23 dBFS reads -23.0 +-0.1 LUFS.
    assert mastering.loudness(blocks(tone(-23.0)), 2) == pytest.approx(-23.0, abs=0.1)


def test_the_peak_of_a_file_is_its_true_peak(tmp_path: Path) -> None:
    # Case 16 of EBU Tech 3341: a quarter of the rate at 45 degrees hides 3 dB between its samples.
    clock = np.arange(2 * RATE)
    wave = 0.5 * np.hanning(2 * RATE) * np.sin(np.pi * clock / 2 + np.pi / 4)
    soundfile.write(tmp_path / "a.wav", wave, RATE, subtype="FLOAT")
    assert mastering.measure(tmp_path / "a.wav").peak == pytest.approx(-6.0, abs=0.4)


def test_silence_is_minus_infinity_and_stays_silence(tmp_path: Path) -> None:
    silence = np.zeros((2 * RATE, 1), np.float32)
    level = mastering.master(
        lambda: blocks(silence), tmp_path / "a.m4a", channels=1, samples=len(silence), target=-16.0
    )
    assert level.loudness == -math.inf
    assert level.peak < -90


@pytest.mark.parametrize("target", [-16.0, -23.0])
def test_peaky_sound_meets_loudness_and_ceiling(tmp_path: Path, target: float) -> None:
    rng = np.random.default_rng(7)
    sound = tone(-30.0, 8.0) * (1 + 2 * (np.sin(np.arange(8 * RATE) / 9000) > 0.5)[:, None])
    sound[rng.integers(0, len(sound), 60)] = 0.9
    sound = sound.astype(np.float32)
    out = tmp_path / "loud.m4a"
    told = mastering.master(lambda: blocks(sound), out, channels=2, samples=len(sound), target=target)
    level = mastering.measure(out)
    assert level == told
    assert abs(level.loudness - target) <= 0.5
    assert level.peak <= mastering.PEAK


def test_a_limited_sound_is_encoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = np.arange(8 * RATE) / RATE
    phase = np.random.default_rng(1).uniform(0, 2 * np.pi, 30)
    voice = sum(np.cos(2 * np.pi * 120 * k * clock + phase[k]) / k**1.2 for k in range(1, 30))
    sound = (0.03 * voice * np.sin(2 * np.pi * clock) ** 4)[:, None]
    encode, made = mastering.encode, list[str]()

    def counted(*given: Any, **named: Any) -> None:
        made.append(named["filters"])
        encode(*given, **named)

    monkeypatch.setattr(mastering, "encode", counted)
    level = mastering.master(
        lambda: blocks(sound.astype(np.float32)), tmp_path / "a.m4a", channels=1, samples=len(sound), target=-14.0
    )
    assert abs(level.loudness + 14.0) <= 0.5 and level.peak <= mastering.PEAK
    assert len(made) == 1


def test_the_limiter_keeps_time(tmp_path: Path) -> None:
    sound = tone(-40.0, 3.0)
    sound[70_000] = 0.9
    out = tmp_path / "click.m4a"
    mastering.master(lambda: blocks(sound), out, channels=2, samples=len(sound), target=-30.0)
    raw = subprocess.check_output(["ffmpeg", "-v", "error", "-i", str(out), "-f", "f32le", "-"])
    heard = np.frombuffer(raw, np.float32).reshape(-1, 2)[:, 0]
    assert abs(int(np.argmax(np.abs(heard))) - 70_000) <= 1


@pytest.mark.parametrize("samples", [1, 1024, 48_001])
def test_a_track_is_as_long_as_its_samples(tmp_path: Path, samples: int) -> None:
    out = tmp_path / "a.m4a"
    mastering.encode(blocks(tone(-20.0)[:samples]), out, channels=2, samples=samples)
    (stream,) = probe(out)["streams"]
    assert (stream["start_pts"], stream["duration_ts"], stream["sample_rate"]) == (0, samples, "48000")


def test_a_full_disk_is_told_as_such() -> None:
    with pytest.raises(DubdError, match="no space left"):
        mastering.encode(blocks(tone(-20.0)), Path("/dev/full"), channels=2, samples=6 * RATE)
