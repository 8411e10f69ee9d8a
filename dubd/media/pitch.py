"""How high a voice is: its fundamental frequency, frame by frame, and the median over a whole recording."""

from __future__ import annotations

from typing import Final

import numpy as np

RATE: Final = 16_000
"""Hz: the rate at which pitch is looked for."""

_LOW, _HIGH = 60.0, 400.0  # Hz: from a deep man's voice to a child's
_HOP: Final = 0.01  # s
_APERIODIC: Final = 0.15  # YIN's threshold, de Cheveigné and Kawahara 2002, section II.D
_QUIET: Final = 30.0  # dB under the loudest frames: breath and room, whatever their period


def fundamentals(samples: np.ndarray) -> np.ndarray:
    """f0 in Hz of the voiced frames, (n,) float64, in time order; mono float32 at 16 kHz.

    YIN (de Cheveigné and Kawahara 2002): the first dip of the cumulative mean normalised difference
    below .15, refined by a parabola. Frames without such a dip are unvoiced and left out.
    """
    longest, shortest = int(RATE / _LOW), int(RATE / _HIGH)
    window = 2 * longest
    hop = round(RATE * _HOP)
    if len(samples) < window + longest:
        return np.zeros(0)
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), window + longest)[::hop]
    parts = [_periods(part, window, shortest, longest) for part in np.array_split(frames, len(frames) // 500 + 1)]
    power = np.concatenate([level for level, _ in parts])
    period = np.concatenate([lag for _, lag in parts])
    loud = power > np.percentile(power, 95) * 10 ** (-_QUIET / 10)
    found: np.ndarray = RATE / period[loud & np.isfinite(period)]
    return found


def _periods(frames: np.ndarray, window: int, shortest: int, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean power and period in samples (NaN where unvoiced) of frames of `window + longest` samples."""
    size = 1 << int(np.ceil(np.log2(frames.shape[1])))
    head = np.fft.rfft(frames[:, :window], size)
    correlation = np.fft.irfft(np.conj(head) * np.fft.rfft(frames, size), size)[:, : longest + 1]
    energy = np.cumsum(np.pad(frames**2, ((0, 0), (1, 0))), axis=1)
    moved = energy[:, window : window + longest + 1] - energy[:, : longest + 1]
    difference = np.maximum(moved[:, :1] + moved - 2 * correlation, 0.0)
    mean = np.cumsum(difference[:, 1:], axis=1) / np.arange(1, longest + 1)
    normal = np.ones_like(difference)
    normal[:, 1:] = difference[:, 1:] / np.maximum(mean, 1e-12)
    inner = normal[:, 1:-1]
    dip = (inner < _APERIODIC) & (inner <= normal[:, :-2]) & (inner < normal[:, 2:])
    dip[:, : shortest - 1] = False
    at = dip.argmax(axis=1) + 1
    rows = np.arange(len(frames))
    before, here, after = (normal[rows, at + step] for step in (-1, 0, 1))
    bend = before - 2 * here + after
    period = at + np.where(bend > 0, (before - after) / (2 * np.where(bend > 0, bend, 1.0)), 0.0)
    return moved[:, 0] / window, np.where(dip.any(axis=1), period, np.nan)
