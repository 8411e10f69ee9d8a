"""Bring a laid mouth's colours to those of the picture around it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]

SMALL = 8  # colours are matched at an eighth of the size


def match(laid: Pixels, base: Pixels, mask: Plane, sigma: float, most: float) -> Pixels:
    """Shift the colours of what is laid (h, w, 3) to those of the picture under the feather of its mask (h, w).

    Smoothly (`sigma`, in cells of SMALL px), by at most `most` levels; as it is where there is no feather to compare.
    """
    import cv2

    small = (max(1, laid.shape[1] // SMALL), max(1, laid.shape[0] // SMALL))
    difference = cv2.subtract(
        cv2.resize(base, small, interpolation=cv2.INTER_AREA).astype(np.float32),
        cv2.resize(laid, small, interpolation=cv2.INTER_AREA).astype(np.float32),
    )
    weight = cv2.resize(mask, small, interpolation=cv2.INTER_AREA)
    ring = np.where((weight > 0.02) & (weight < 0.6), np.float32(1), np.float32(0))
    if ring.sum() < 4:
        return laid
    reach = (0, 0)
    total = cv2.GaussianBlur(ring, reach, sigma) + np.float32(1e-3)
    shift = cv2.GaussianBlur(difference * ring[..., None], reach, sigma) / total[..., None]
    shift = np.clip(shift, -most, most)
    large = cv2.resize(shift, (laid.shape[1], laid.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.add(laid, large, dtype=cv2.CV_8U), np.uint8)
