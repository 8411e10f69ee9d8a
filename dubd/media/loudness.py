"""How loud a voice is, by ITU-R BS.1770-4, over stretches that are added one by one; and a limiter for its peaks."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from scipy.ndimage import minimum_filter1d, uniform_filter1d
from scipy.signal import sosfilt

RATE: Final = 48_000
"""Hz: the rate for which the standard gives its filters."""

# BS.1770-4, tables 1 and 2: the head's shelf, then the RLB high-pass.
_WEIGHTING: Final = np.array(
    [
        [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585],
        [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621],
    ]
)
_HOP: Final = RATE // 10
_BLOCK: Final = 4  # hops: 400 ms, overlapping by three quarters
_ABSOLUTE: Final = -70.0  # LUFS
_LOOK: Final = RATE // 50 + 1  # samples of the limiter's window
_RELATIVE: Final = -10.0  # LU under what the absolute gate left


class Meter:
    """Integrated loudness of everything added; a stretch shorter than 400 ms counts as one block of its own."""

    def __init__(self) -> None:
        self._powers: list[np.ndarray] = []

    def add(self, samples: np.ndarray) -> None:
        """One stretch: mono float32 (n,) at 48 kHz, in -1..1."""
        if not len(samples):
            return
        weighted = sosfilt(_WEIGHTING, samples.astype(np.float64)) ** 2
        hops = len(weighted) // _HOP
        if hops < _BLOCK:
            self._powers.append(weighted.mean(keepdims=True))
            return
        power = weighted[: hops * _HOP].reshape(hops, _HOP).mean(axis=1)
        self._powers.append(np.convolve(power, np.full(_BLOCK, 1 / _BLOCK), "valid"))

    def integrated(self) -> float:
        """LUFS after both gates; minus infinity for silence."""
        power = np.concatenate(self._powers) if self._powers else np.zeros(0)
        for gate in (_ABSOLUTE, None):
            floor = _lufs(power) + _RELATIVE if gate is None else gate
            power = power[power > 10 ** ((floor + 0.691) / 10)]
            if not len(power):
                return -math.inf
        return _lufs(power)


def limited(samples: np.ndarray, peak: float) -> np.ndarray:
    """The same (n,) samples at 48 kHz, none beyond `peak`: the gain dips around a peak, 10 ms before and after it."""
    gain = np.minimum(1.0, peak / np.maximum(np.abs(samples.astype(np.float64)), 1e-9))
    if not len(samples) or gain.min() == 1.0:
        return samples
    # The mean of what the minimum left is never above the gain that a sample needs.
    smooth = uniform_filter1d(minimum_filter1d(gain, _LOOK, mode="nearest"), _LOOK, mode="nearest")
    made: np.ndarray = np.clip(samples * smooth, -peak, peak).astype(np.float32)
    return made


def _lufs(power: np.ndarray) -> float:
    return -0.691 + 10 * math.log10(float(power.mean()))
