"""Move lips apart or together: how far each pixel about a mouth is displaced."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dubd.engines.mouths_shape import BASE, CHIN, MouthShape

Array = npt.NDArray[np.float64]
Area = tuple[int, int, int, int]

# Inner lips from corner to corner.
UPPER, LOWER = [60, 61, 62, 63, 64], [60, 67, 66, 65, 64]
UP, DOWN = 0.3, 0.7  # shares of the upper and the lower lip in an opening: the jaw moves, not the nose
TO_CHIN = 0.6  # of the opening that reaches the chin
BELOW = 0.67  # eye distances under the chin in which the movement fades out


def area(shape: MouthShape, to: int, face: Array, where: Area, *, chin: bool) -> Area:
    """The part of `where` (picture pixels) that an opening moves: nose base to chin, or under it."""
    left, right = face[60, 0], face[64, 0]
    reach = 1.0 if chin else 0.35
    side = reach * (right - left)
    bottom = face[CHIN, 1] + (BELOW if chin else 0.0)
    corners = np.array([[x, y] for x in (left - side, right + side) for y in (face[BASE, 1], bottom)])
    at = shape.to_picture(to, corners)
    low, high = np.floor(at.min(0)).astype(int), np.ceil(at.max(0)).astype(int)
    x0, y0 = max(where[0], int(low[0])), max(where[1], int(low[1]))
    return x0, y0, max(x0, min(where[2], int(high[0]))), max(y0, min(where[3], int(high[1])))


def displace(shape: MouthShape, to: int, face: Array, part: Area, opening: float, *, chin: bool) -> tuple[Array, Array]:
    """For each pixel of `part`: how far down the face to look for it, and how deep in the new gap it is.

    `face` (68, 2) says where the lips are, `opening` by how much the gap grows (or shrinks, below 0).
    All in eye distances. The second array counts from the nearer lip's edge, below 0 outside the mouth.
    """
    x, y = np.meshgrid(np.arange(part[0], part[2]), np.arange(part[1], part[3]))
    at = shape.scale[to] * (x + 1j * y) + shape.shift[to]
    across, down = at.real, at.imag
    upper = np.interp(across, face[UPPER, 0], face[UPPER, 1])
    lower = np.maximum(upper, np.interp(across, face[LOWER, 0], face[LOWER, 1]))
    middle, half = (face[60, 0] + face[64, 0]) / 2, (face[64, 0] - face[60, 0]) / 2
    lips = _bump((across - middle) / (1.25 * half))
    jaw = _bump((across - middle) / (3.0 * half)) * TO_CHIN * opening if chin else np.zeros_like(across)
    top, bottom = face[BASE, 1], face[CHIN, 1]
    end = bottom + (BELOW if chin else 0.0)
    new_upper, new_lower = upper - UP * opening * lips, lower + DOWN * opening * lips
    new_lower = np.maximum(new_upper + 1e-3, new_lower)
    new_bottom = bottom + jaw
    old = [np.full_like(down, top), upper, lower, np.full_like(down, bottom), np.full_like(down, end + 1e-6)]
    new = [old[0], new_upper, new_lower, new_bottom, old[4]]
    source = down.copy()
    for first, last, start, stop in zip(new[:-1], new[1:], old[:-1], old[1:], strict=True):
        inside = (down >= first) & (down < last)
        share = (down - first) / np.maximum(last - first, 1e-6)
        source = np.where(inside, start + share * (stop - start), source)
    return source - down, np.minimum(down - new_upper, new_lower - down)


def _bump(t: Array) -> Array:
    """1 at 0, 0 from -1 and 1 on, smooth in between."""
    return np.clip(1 - t * t, 0, None) ** 2
