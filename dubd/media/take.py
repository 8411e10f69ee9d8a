"""One line as a voice said it: 48 kHz mono, trimmed to the speech, with its phonemes; stretched and cut exactly."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Final

import numpy as np
from scipy.signal import resample_poly

from dubd.media.ffmpeg import audio_blocks, write_sound
from dubd.media.timeline import SAMPLE_RATE

FADE_IN: Final = 0.008  # s
FADE_OUT: Final = 0.025  # s
_EDGE: Final = -45.0  # dB under the peak: quieter is before or after the speech
_BEFORE, _AFTER = 0.02, 0.04  # s kept of what is quieter
_BREAK: Final = 0.08  # s: longer than the closure of a stop
_HOP: Final = SAMPLE_RATE // 200  # 5 ms
_PADDED: Final = 0.01  # s, a difference in length that is padded or trimmed, not stretched
_SNAP: Final = 0.1  # s around a cut in which the quietest spot is taken


@dataclass(frozen=True)
class Take:
    """`samples` are float32 (n,); `phonemes` are (start in s from the first sample, IPA), in order."""

    samples: np.ndarray
    phonemes: tuple[tuple[float, str], ...] = ()

    @classmethod
    def of(cls, samples: np.ndarray, rate: int, phonemes: Sequence[tuple[float, str]] = ()) -> Take:
        """Mono float32 at any rate, brought to 48 kHz and trimmed; empty where there is nothing to hear."""
        common = gcd(SAMPLE_RATE, rate)
        whole = resample_poly(samples.astype(np.float64), SAMPLE_RATE // common, rate // common).astype(np.float32)
        loud = np.flatnonzero(_level(whole) > _EDGE)
        if not len(loud):
            return cls(np.zeros(0, np.float32))
        first = max(0, int(loud[0]) * _HOP - round(_BEFORE * SAMPLE_RATE))
        last = min(len(whole), (int(loud[-1]) + 1) * _HOP + round(_AFTER * SAMPLE_RATE))
        shift, length = first / SAMPLE_RATE, (last - first) / SAMPLE_RATE
        return cls(whole[first:last], tuple((max(0.0, t - shift), p) for t, p in phonemes if t - shift < length))

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE

    def breaks(self) -> list[tuple[float, float]]:
        """The silences inside, (start, end) in s."""
        quiet = np.r_[False, _level(self.samples) <= _EDGE, False]
        edges = np.flatnonzero(np.diff(quiet.astype(np.int8))).reshape(-1, 2)
        inner = edges[(edges[:, 0] > 0) & (edges[:, 1] < len(quiet) - 2)] * (_HOP / SAMPLE_RATE)
        return [(float(start), float(end)) for start, end in inner if end - start >= _BREAK]

    def lasting(self, seconds: float) -> Take:
        """The same said in `seconds`, to the sample: WSOLA (ffmpeg's atempo), trimmed or padded by what it misses."""
        wanted = round(seconds * SAMPLE_RATE)
        if wanted <= 0 or not len(self.samples):
            return Take(np.zeros(max(0, wanted), np.float32))
        ratio = wanted / len(self.samples)
        if abs(wanted - len(self.samples)) <= _PADDED * SAMPLE_RATE:
            return Take(_exactly(self.samples, wanted), self.phonemes)
        return Take(_exactly(_atempo(self.samples, 1 / ratio), wanted), tuple((t * ratio, p) for t, p in self.phonemes))

    def quietest(self, fraction: float) -> int:
        """The sample near `fraction` of the take at which a cut is least heard."""
        level = _level(self.samples)
        middle, reach = round(fraction * len(level)), round(_SNAP * SAMPLE_RATE / _HOP)
        first = max(0, middle - reach)
        near = level[first : middle + reach + 1]
        if not len(near):
            return round(fraction * len(self.samples))
        quiet = np.flatnonzero(near <= near.min() + 3.0)
        best = quiet[np.abs(quiet + first - middle).argmin()]
        return (first + int(best)) * _HOP + _HOP // 2

    def part(self, first: int, last: int) -> Take:
        """The samples from `first` to `last` with faded ends, and the phonemes that start in them."""
        samples = self.samples[first:last].copy()
        rise, fall = (min(round(s * SAMPLE_RATE), len(samples) // 2) for s in (FADE_IN, FADE_OUT))
        samples[:rise] *= np.sin(np.linspace(0, np.pi / 2, rise, endpoint=False)).astype(np.float32)
        samples[len(samples) - fall :] *= np.cos(np.linspace(0, np.pi / 2, fall)).astype(np.float32)
        shift = first / SAMPLE_RATE
        return Take(samples, tuple((t - shift, p) for t, p in self.phonemes if first <= t * SAMPLE_RATE < last))


def _level(samples: np.ndarray) -> np.ndarray:
    """RMS in dB under the loudest 5 ms, one value for each 5 ms."""
    count = -(-len(samples) // _HOP)
    power = (_exactly(samples, count * _HOP).reshape(count, _HOP).astype(np.float64) ** 2).mean(axis=1)
    if not count or power.max() <= 1e-9:
        return np.full(count, -np.inf)
    level: np.ndarray = 10 * np.log10(power / power.max() + 1e-12)
    return level


def _exactly(samples: np.ndarray, count: int) -> np.ndarray:
    return np.pad(samples[:count], (0, max(0, count - len(samples))))


def _atempo(samples: np.ndarray, tempo: float) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "take.wav"
        write_sound(path, samples, SAMPLE_RATE, "FLOAT")
        blocks = list(audio_blocks(path, SAMPLE_RATE, filters=f"atempo={tempo:.6f}"))
    return np.concatenate(blocks)[:, 0] if blocks else np.zeros(0, np.float32)
