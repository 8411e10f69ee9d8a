"""Open or close a mouth that has no other frames to draw on: bend its lips, drop its jaw, paint what opens."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dubd.engines import mouths_lips
from dubd.engines.mouths_shape import MouthShape

Array = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]
Area = tuple[int, int, int, int]

OUTER = [48, 50, 52, 54, 56, 58]
# The inside of a mouth, as shares of the lips' blue, green and red: a dark red-brown at a fifth of their light.
INSIDE = (0.18, 0.17, 0.26)
SHADE = (0.7, 1.3)  # from under the upper lip to over the lower one
SOFT = 0.02  # eye distances over which paint meets lip
WIDEST = 0.45  # of the mouth's width: more would tear the face


def bend(base: Pixels, where: Area, shape: MouthShape, to: int, opening: float) -> Pixels:
    """The (h, w, 4) BGRA for the area `where`, whose pixels `base` are: the mouth `opening` eye distances wider."""
    import cv2

    x0, y0, x1, y1 = where
    patch = np.zeros((y1 - y0, x1 - x0, 4), np.uint8)
    face = shape.points[to]
    limit = WIDEST * float(face[64, 0] - face[60, 0])
    opening = float(np.clip(opening, -shape.gap[to], max(0.0, limit - shape.gap[to])))
    part = mouths_lips.area(shape, to, face, where, chin=True)
    down, depth = mouths_lips.displace(shape, to, face, part, opening, chin=True)
    if not down.size or abs(opening) < 1e-3:
        return patch
    move = 1j / shape.scale[to]  # down in the face is this way in the picture
    look = (
        np.arange(part[0] - x0, part[2] - x0, dtype=np.float32) + np.float32(move.real) * down,
        np.arange(part[1] - y0, part[3] - y0, dtype=np.float32)[:, None] + np.float32(move.imag) * down,
    )
    moved = cv2.remap(base, *look, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    alpha = np.clip(np.float32(abs(move)) * np.abs(down), 0, 1)
    if opening > 0:
        ink = np.clip(depth / SOFT, 0, 1) * min(1.0, opening / (2 * SOFT))
        paint = _inside(base, shape.to_picture(to, face[OUTER]) - [x0, y0], depth)
        moved = moved * (1 - ink[..., None]) + paint * ink[..., None]
        alpha = np.maximum(alpha, ink)
    inside = np.s_[part[1] - y0 : part[3] - y0, part[0] - x0 : part[2] - x0]
    patch[inside][..., :3] = np.rint(moved)
    patch[inside][..., 3] = np.rint(alpha * 255)
    patch[0, :, 3] = patch[-1, :, 3] = patch[:, 0, 3] = patch[:, -1, 3] = 0
    return patch


def _inside(base: Pixels, lips: Array, depth: npt.NDArray[np.floating[Any]]) -> Array:
    """Colour of the inner mouth (h, w, 3): by the lips' own light, lighter towards the lower lip."""
    import cv2

    mask = np.zeros(base.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, lips.round().astype(np.int32), 255)
    colour = np.array(cv2.mean(base, mask)[:3]) * INSIDE
    rows = np.flatnonzero((depth > 0).any(1))
    shade = np.ones(depth.shape[0])
    if len(rows):
        shade = np.interp(np.arange(depth.shape[0]), [rows[0], rows[-1] + 1], SHADE)
    return np.asarray(shade[:, None, None] * colour * np.ones((*depth.shape, 1)))
