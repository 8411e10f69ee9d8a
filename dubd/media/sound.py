"""Where somebody speaks: levels in the speech band, and the silences between, as a stream over any length."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter1d, percentile_filter
from scipy.signal import butter, sosfilt, sosfilt_zi

HOP: Final = 0.01
"""Seconds between two levels."""

_BAND: Final = (250.0, 5500.0)  # Hz: voiced speech without hum and rumble, and enough of an s to know it
_SILENT: Final = -75.0  # dBFS: below it nothing is heard, whatever the contrast
_SPAN: Final = 21  # s, over which floor and peak adapt
_REACH: Final = 34.0  # dB under the loudest speech of the file: quieter is background
_CONTRAST: Final = 9.0  # dB between floor and peak, below which a stretch has no pauses to be seen
_SHARE: Final = 0.40  # of the way from floor to peak (in dB) where speech begins
_ONSET: Final = 6.0  # dB over the floor at least
_CLOSE: Final = 12  # hops: the closure of a stop is no silence
_ISLAND: Final = 6  # hops: a click is no speech
_EDGE: Final = 5  # hops of a weak onset or a decay that belong to a word


def levels(blocks: Iterable[np.ndarray], rate: int) -> np.ndarray:
    """RMS level of the speech band in dBFS, float32, one value every 10 ms.

    `blocks` are mono float32 of shape (n,) or (n, 1) in -1..1. Memory grows by 400 bytes a second only.
    """
    hop = round(rate * HOP)
    band = butter(2, [_BAND[0], min(_BAND[1], 0.45 * rate)], "bandpass", fs=rate, output="sos")
    state = np.zeros_like(sosfilt_zi(band))
    left, parts = np.zeros(0), [np.zeros(0, np.float32)]
    for block in blocks:
        if not block.size:
            continue
        heard, state = sosfilt(band, block.reshape(-1), zi=state)
        heard = np.concatenate([left, heard])
        whole = len(heard) // hop * hop
        left = heard[whole:]
        power = (heard[:whole].reshape(whole // hop, hop) ** 2).mean(axis=1)
        parts.append((10 * np.log10(power + 1e-12)).astype(np.float32))
    return np.concatenate(parts)


def speech(level: np.ndarray) -> np.ndarray:
    """Where somebody speaks, as bool of the same shape; `level` as of `levels`.

    Floor and peak are percentiles over 21 s, so that the threshold follows a noise that comes and goes.
    A stretch without contrast counts as speech where it is as loud as speech elsewhere.
    """
    if not len(level):
        return np.zeros(0, bool)
    smooth = gaussian_filter1d(level.astype(np.float64), 1.5)
    low, high = _adapted(smooth, 10, 20), _adapted(smooth, 95, 80)
    loudest = float(np.percentile(smooth, 97))
    contrast = high - low
    threshold = np.maximum(low + np.maximum(_SHARE * contrast, _ONSET), loudest - _REACH)
    threshold = np.where(contrast < _CONTRAST, loudest - _CONTRAST - _ONSET, threshold)
    found = smooth > np.maximum(threshold, _SILENT)
    found = _without_runs(found, False, _CLOSE)
    return _without_runs(found, True, _ISLAND)


def silences(spoken: np.ndarray, least: float) -> np.ndarray:
    """Pauses of at least `least` seconds as (n, 2) float64 seconds, start and end, clear of the words beside them."""
    spans = _runs(spoken, False) + np.array([_EDGE, -_EDGE])
    spans[spans[:, 0] == _EDGE, 0] = 0
    spans[spans[:, 1] == len(spoken) - _EDGE, 1] = len(spoken)
    found: np.ndarray = spans[spans[:, 1] - spans[:, 0] >= round(least / HOP)] * HOP
    return found


def _adapted(level: np.ndarray, within: float, across: float) -> np.ndarray:
    """A percentile of each second, then a percentile of those over `_SPAN` seconds, back at every hop."""
    second = round(1 / HOP)
    seconds = max(1, len(level) // second)
    blocks = [np.percentile(part, within) for part in np.array_split(level, seconds)]
    around = percentile_filter(np.array(blocks), across, size=_SPAN, mode="nearest")
    at = (np.arange(seconds) + 0.5) * len(level) / seconds
    return np.interp(np.arange(len(level)), at, around)


def _runs(mask: np.ndarray, value: bool) -> np.ndarray:
    """Runs of `value` as (n, 2): first index, and the index after the last."""
    edges = np.flatnonzero(np.diff(np.r_[False, mask == value, False].astype(np.int8)))
    return edges.reshape(-1, 2)


def _without_runs(mask: np.ndarray, value: bool, least: int) -> np.ndarray:
    """The mask with runs of `value` shorter than `least` turned over, but those at the ends."""
    kept = mask.copy()
    for first, end in _runs(mask, value):
        if end - first < least and first > 0 and end < len(mask):
            kept[first:end] = not value
    return kept
