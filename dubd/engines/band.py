"""Keep a band of frequencies without moving anything in time, and smooth along time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Track = npt.NDArray[np.complex128]

RING = 12.0  # over the band's width (Hz): seconds after which a second-order edge rings 1e-6 of what hit it


def band_pass(values: npt.NDArray[np.floating[Any]], band: tuple[float, float], rate: float, order: int) -> Array:
    """A Butterworth band-pass of `order` run forwards and backwards over (n,) samples at `rate` Hz.

    The gain is that of the bilinear transform (Oppenheim and Schafer, Discrete-Time Signal Processing, 7.1.2),
    squared and laid over the spectrum, which takes no phase. The ends go on as they are mirrored through
    their own points, as long as the filter rings, and fade into silence by the zeros that fill the length up.
    """
    count = len(values)
    reach = min(count - 1, int(np.ceil(RING / (band[1] - band[0]) * rate)))
    first, last = 2 * values[0] - values[reach:0:-1], 2 * values[-1] - values[-2 : -reach - 2 : -1]
    length = 1 << (count + 3 * reach).bit_length()
    spectrum = np.fft.rfft(np.concatenate([first, values, last]).astype(np.float64), length)
    low, high = np.tan(np.pi * np.array(band) / rate)
    at = np.tan(np.pi * np.minimum(np.arange(len(spectrum)) / length, 0.4999))
    # (w^2 - low high) / (w (high - low)) takes the band's edges to -1 and 1; 0 Hz is out of it.
    off = (at**2 - low * high) / np.maximum(at * (high - low), 1e-12)
    spectrum /= 1 + off ** (2 * order)
    return np.asarray(np.fft.irfft(spectrum, length)[reach : reach + count])


def blur(values: Array, sigma: float) -> Array:
    """A Gaussian of `sigma` samples, cut at 4 sigma, over (n,) values whose ends go on."""
    import cv2

    size = 2 * int(4 * sigma + 0.5) + 1
    row = np.ascontiguousarray(values, np.float64)[None]
    return np.asarray(cv2.GaussianBlur(row, (size, 1), sigma, borderType=cv2.BORDER_REPLICATE)[0], np.float64)


def fit(values: Track, window: int) -> Track:
    """Each of (n,) values on the parabola that fits the `window` (odd, at most n) about it best (Savitzky and Golay).

    Within half a window of an end, the parabola is that of the window at the end.
    """
    half = window // 2
    basis = np.vander(np.arange(-half, half + 1), 3).astype(np.float64)
    onto = basis @ np.linalg.pinv(basis)
    middle = np.convolve(values, onto[half, ::-1], "valid")
    ends: Sequence[Track] = (onto[:half] @ values[:window], middle, onto[half + 1 :] @ values[-window:])
    return np.concatenate(ends)
