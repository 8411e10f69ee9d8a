"""What a restorer changes, kept steady over time; and how much a face flickers before and after it."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_GRID = 16  # cells along each side: those of the restorer's codes, so that a code that flips moves one of them


class Steady:
    """A moving average of what is coarse in the changes of one face; what is fine goes through as it is.

    The fine part belongs to the mouth of its frame; the coarse one is light and colour, which should not jump.
    """

    def __init__(self, share: float) -> None:
        """`share` 0..1: how much of the average each new change makes up; at 1 nothing is averaged."""
        self._share = np.float32(share)
        self._mean: Floats | None = None

    def __call__(self, change: Floats) -> Floats:
        """The next frame's change (h, w, c), steadied."""
        coarse = np.asarray(cv2.resize(change, (_GRID, _GRID), interpolation=cv2.INTER_AREA), np.float32)
        mean = coarse if self._mean is None else self._mean + self._share * (coarse - self._mean)
        self._mean = mean
        size = change.shape[1], change.shape[0]
        return np.asarray(change + cv2.resize(mean - coarse, size, interpolation=cv2.INTER_LINEAR), np.float32)


class Flicker:
    """Mean absolute second difference over time, in levels, of pictures that lie on one another.

    The second difference of a picture that stands still or changes evenly is 0; of one that goes to and fro by d it
    is 2 d.
    """

    def __init__(self) -> None:
        self._total: Floats | None = None
        self._weight = 0.0

    def stretch(self) -> Stretch:
        """A row of frames without a gap."""
        return Stretch(self)

    def count(self, difference: Floats, weight: Floats) -> None:
        """Take in second differences (k, h, w), weighted by (h, w)."""
        sums = (np.abs(difference) * weight).sum((1, 2))
        self._total = sums if self._total is None else self._total + sums
        self._weight += float(weight.sum())

    def means(self) -> list[float] | None:
        """For each of the k kinds of pictures; None before three frames of a stretch were seen."""
        return None if self._total is None else [float(each) / max(self._weight, 1e-6) for each in self._total]


class Stretch:
    """The last two frames of a row of them."""

    def __init__(self, flicker: Flicker) -> None:
        self._flicker = flicker
        self._last: deque[Floats] = deque(maxlen=2)

    def add(self, pictures: Floats, weight: Floats) -> None:
        """The next frame: k kinds of pictures (k, h, w), and what counts of them (h, w)."""
        if len(self._last) == 2:
            self._flicker.count(self._last[0] - 2 * self._last[1] + pictures, weight)
        self._last.append(pictures)
