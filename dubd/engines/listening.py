"""What an autoregressive voice does wrong, heard in its sound: nothing, noise, too much, too little, the same again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

_SILENT: Final = -50.0  # dBFS of the loudest 20 ms
_FULL: Final = 0.999  # of full scale
_CLIPPED: Final = 0.01  # of the samples there: heard as crackle
_LIMIT_SECONDS: Final = 17.0  # what a text of as many characters as the model's limit takes: 250 at 14.7 a second
_BOUNDS: Final = (0.4, 2.2)  # of the expected length, generous: voices and texts differ by as much
_GRACE: Final = (0.4, 1.5)  # s more or less on top of that, for short texts
_HOP: Final = 0.02  # s
_LAGS: Final = (0.24, 2.5)  # s from one turn of a loop to the next
_TURNS: Final = 3  # the sound must agree with itself over so many
_ALIKE: Final = 0.9  # correlation of spectra from which they are the same sounds
_MOVING: Final = 0.3  # of the whole sound's variance that a stretch must have to say anything
_SAME_TOKENS: Final = 3  # repetitions of a phrase of tokens, exact to the token
_HELD: Final = 24  # of one token: a second


def expected(characters: int, limit: int) -> float:
    """Seconds that a text takes to say; `limit` is the model's most characters in the language.

    XTTS's limits are in proportion to how long a language's characters take, since all stand for one most length.
    """
    return _LIMIT_SECONDS * characters / limit


def doubts(samples: np.ndarray, rate: int, characters: int, limit: int) -> list[str]:
    """What is wrong with a spoken text of so many characters, in words; `samples` is mono at `rate` Hz."""
    if not len(samples) or not np.isfinite(samples).all():
        return ["no sound" if not len(samples) else "not a sound: infinite samples"]
    hop = round(_HOP * rate)
    frames = samples[: len(samples) // hop * hop].reshape(-1, hop).astype(np.float64)
    loudest = 10 * np.log10(float((frames**2).mean(axis=1).max(initial=0.0)) + 1e-12)
    if loudest < _SILENT:
        return ["silence"]
    found = []
    if float(np.mean(np.abs(samples) >= _FULL)) > _CLIPPED:
        found.append("clipped")
    seconds, wanted = len(samples) / rate, expected(characters, limit)
    if seconds < _BOUNDS[0] * wanted - _GRACE[0]:
        found.append(f"too short: {seconds:.1f} s for {characters} characters")
    if seconds > _BOUNDS[1] * wanted + _GRACE[1]:
        found.append(f"too long: {seconds:.1f} s for {characters} characters")
    if (lag := loop(samples, rate)) is not None:
        found.append(f"the same {lag:.1f} s again and again")
    return found


def loop(samples: np.ndarray, rate: int) -> float | None:
    """The period in s of a sound that says the same thing three times on end, None where there is none.

    Spectra every 20 ms in 24 bands of equal width on a logarithmic scale; a loop of period L is where they correlate
    with those L later for as long as two more turns take.
    """
    hop = round(_HOP * rate)
    count = len(samples) // hop - 1
    if count < 2 * _TURNS:
        return None
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), 2 * hop)[::hop][:count]
    power = np.abs(np.fft.rfft(frames * np.hanning(2 * hop), axis=1)) ** 2
    edges = np.unique(np.geomspace(4, power.shape[1] - 1, 25).astype(int))
    bands = np.log(np.add.reduceat(power, edges[:-1], axis=1) + 1e-7)
    spectra = bands - bands.mean(axis=0)
    varies = float((spectra**2).sum(axis=1).mean())
    for lag in range(round(_LAGS[0] / _HOP), min(round(_LAGS[1] / _HOP), count // _TURNS) + 1):
        window = (_TURNS - 1) * lag
        now, later = spectra[:-lag], spectra[lag:]
        mean = _sums(now, window), _sums(later, window)
        across = _sums(now * later, window).sum(axis=1) - (mean[0] * mean[1]).sum(axis=1) / window
        own = [
            _sums(one**2, window).sum(axis=1) - (m**2).sum(axis=1) / window
            for one, m in zip((now, later), mean, strict=True)
        ]
        moving = own[0] > _MOVING * window * varies  # a pause and a held vowel are alike to themselves
        alike = np.where(moving, across / np.sqrt(np.maximum(own[0] * own[1], 1e-9)), 0.0)
        if len(alike) and float(alike.max()) > _ALIKE:
            return float(lag * _HOP)
    return None


def stuck(tokens: Sequence[int]) -> bool:
    """Whether a model's own tokens go round: one held for a second, or a phrase of them three times on end."""
    row = np.asarray(tokens)
    for period in range(1, len(row) // _SAME_TOKENS + 1):
        needed = _HELD if period == 1 else (_SAME_TOKENS - 1) * max(period, 4)
        same = np.concatenate([[0], (row[period:] == row[:-period]).astype(int), [0]])
        edges = np.flatnonzero(np.diff(same))
        if len(edges) and int((edges[1::2] - edges[::2]).max()) >= needed:
            return True
    return False


def _sums(values: np.ndarray, window: int) -> np.ndarray:
    """Sums over every stretch of `window` rows."""
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    made: np.ndarray = total[window:] - total[:-window]
    return made
