"""Lay a mouth from one frame over another: jaw warp, feathered mask, colour match, one interpolation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dubd.engines import colours, mouths_lips
from dubd.engines.mouths_shape import BASE, CHIN, JAW, MouthShape

Array = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]
Area = tuple[int, int, int, int]

BELOW = 0.67  # eye distances under the chin in which a moved jaw fades out
SHRINK = 0.86  # of the jaw line about the mouth, so that the mask stays inside the face
LIPS = np.arange(48, 60)
MARGIN, ROOM = 0.05, 0.1  # eye distances around the lips that are replaced whole, and for the feather around that
MAX_JAW = 0.23  # eye distances that a jaw may be moved
MAX_SHIFT = 20.0  # levels that a mouth's colour may be moved
COARSE = 4  # smooth fields are computed at a quarter of the size


@dataclass(frozen=True)
class Mouth:
    """A library mouth: the lower face cut out of its frame, and where it lay."""

    pixels: Pixels  # (h, w, 3) BGR
    corner: tuple[int, int]  # x, y of its top-left pixel


def area(shape: MouthShape, index: int, width: int, height: int) -> Area:
    """x0, y0, x1, y1 (even corner, inside the picture) around all that a patch on this frame may touch."""
    face = shape.points[index]
    half = 0.62 * (face[14, 0] - face[2, 0])
    left, right = face[CHIN, 0] - half, face[CHIN, 0] + half
    top, bottom = face[BASE, 1] - 0.12, face[CHIN, 1] + MAX_JAW + BELOW
    corners = np.array([[left, top], [right, top], [left, bottom], [right, bottom]])
    at = shape.to_picture(index, corners)
    x0, y0 = np.floor(at.min(0)).astype(int)
    x1, y1 = np.ceil(at.max(0)).astype(int)
    x0, y0 = max(0, x0) // 2 * 2, max(0, y0) // 2 * 2
    return int(x0), int(y0), max(int(x0), min(width, int(x1))), max(int(y0), min(height, int(y1)))


def cut(frame: Pixels, where: Area) -> Mouth:
    """A copy of that part of a frame."""
    x0, y0, x1, y1 = where
    return Mouth(frame[y0:y1, x0:x1].copy(), (x0, y0))


def lay(
    base: Pixels, where: Area, shape: MouthShape, to: int, of: int, mouth: Mouth, jaw: float, bend: float
) -> Pixels:
    """The patch (h, w, 4) BGRA for the area `where` of a frame, of which `base` (h, w, 3) are the pixels.

    `to` and `of` index the shape's frames: the one that is changed and the one `mouth` comes from;
    `jaw` says how far down the chin must move, `bend` how much further the laid lips must open, in eye distances.
    """
    import cv2

    outline, lips = _outlines(shape, to, of)
    box = _around(shape.to_picture(to, outline), where)
    at = np.s_[box[1] - where[1] : box[3] - where[1], box[0] - where[0] : box[2] - where[0]]
    mask = _mask(shape.to_picture(to, outline), shape.to_picture(to, lips), box)
    moved: Plane | None = None
    if abs(jaw) > 1e-3:
        base, moved = _drop(base, where, shape, to, jaw)
    sigma = max(where[2] - where[0], where[3] - where[1]) / colours.SMALL / 5
    laid = colours.match(_laid(box, shape, to, of, mouth, bend), base[at], mask, sigma, MAX_SHIFT)
    patch = cv2.cvtColor(base, cv2.COLOR_BGR2BGRA)
    alpha = np.zeros(base.shape[:2], np.float32) if moved is None else moved
    rest = (1 - mask) * alpha[at]
    if moved is not None:
        laid = np.asarray(cv2.blendLinear(laid, base[at], mask + np.float32(1e-6), rest), np.uint8)
    alpha[at] = mask + rest
    patch[at] = cv2.cvtColor(laid, cv2.COLOR_BGR2BGRA)
    cv2.insertChannel(cv2.convertScaleAbs(alpha, alpha=255), patch, 3)
    return np.asarray(patch, np.uint8)


def _around(points: Array, where: Area) -> Area:
    """The part of `where` that the points span, with room for a feather; its corner is as even as that of `where`."""
    low = (np.floor(points.min(0)).astype(int) - 4) // 2 * 2
    high = np.ceil(points.max(0)).astype(int) + 4
    x0, y0 = (max(where[axis], min(int(low[axis]), where[axis + 2] - 2)) for axis in (0, 1))
    return x0, y0, min(where[2], max(x0 + 2, int(high[0]))), min(where[3], max(y0 + 2, int(high[1])))


def _laid(where: Area, shape: MouthShape, to: int, of: int, mouth: Mouth, bend: float) -> Pixels:
    """The mouth as it falls on `where`, its lips bent, in one interpolation."""
    import cv2

    x0, y0, x1, y1 = where
    matrix = shape.between(to, of)
    matrix[:, 2] += matrix[:, :2] @ np.array([x0, y0]) - np.array(mouth.corner)
    if abs(bend) < 1e-3:
        inverse = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
        size = (x1 - x0, y1 - y0)
        return np.asarray(
            cv2.warpAffine(mouth.pixels, matrix, size, flags=inverse, borderMode=cv2.BORDER_REPLICATE), np.uint8
        )
    x, y = np.arange(x1 - x0, dtype=np.float32), np.arange(y1 - y0, dtype=np.float32)[:, None]
    row = matrix.astype(np.float32)
    look_x, look_y = (row[axis, 0] * x + (row[axis, 1] * y + row[axis, 2]) for axis in (0, 1))
    part = mouths_lips.area(shape, to, shape.points[of], where, chin=False)
    down, _ = mouths_lips.displace(shape, to, shape.points[of], part, bend, chin=False)
    move = 1j / shape.scale[of]
    inside = np.s_[part[1] - y0 : part[3] - y0, part[0] - x0 : part[2] - x0]
    look_x[inside] += np.float32(move.real) * down
    look_y[inside] += np.float32(move.imag) * down
    return np.asarray(
        cv2.remap(mouth.pixels, look_x, look_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def _outlines(shape: MouthShape, to: int, of: int) -> tuple[Array, Array]:
    """Points in face coordinates: around all that is laid, and around the lips that must be replaced whole."""
    face, own = shape.points[of], shape.points[to]
    centre = face[LIPS].mean(0)
    lips = np.concatenate([_wider(points[LIPS], MARGIN) for points in (face, own)])
    outline = np.concatenate([centre + (face[JAW[2:15]] - centre) * SHRINK, _wider(lips, ROOM)])
    outline[:, 1] = np.maximum(outline[:, 1], min(face[BASE, 1], own[BASE, 1]))
    return outline, lips


def _mask(outline: Array, lips: Array, where: Area) -> Plane:
    """Weight of the laid mouth: 1 over its lips and those it replaces, 0 at the jaw and under the nose, smooth between.

    A lip that shows through half is what gives a laid mouth away, so the feather begins outside both.
    The outlines are in pixels of the picture.
    """
    import cv2

    height, width = where[3] - where[1], where[2] - where[0]

    def filled(points: Array, inside: int) -> Pixels:
        plane = np.full((height // 2 + 1, width // 2 + 1), 255 - inside, np.uint8)
        at = (points - np.array(where[:2])) / 2
        cv2.fillConvexPoly(plane, cv2.convexHull((at * 16).round().astype(np.int32)), inside, shift=4)
        return plane

    inside = filled(outline, 255)
    inside[0] = inside[-1] = inside[:, 0] = inside[:, -1] = 0
    to_edge = np.maximum(cv2.distanceTransform(inside, cv2.DIST_L2, 3) - 1, 0)
    to_lips = cv2.distanceTransform(filled(lips, 0), cv2.DIST_L2, 3)
    rise = to_edge / (to_edge + to_lips + np.float32(1e-3))
    half = rise * rise * (3 - 2 * rise)
    return np.asarray(cv2.resize(half, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _wider(points: Array, by: float) -> Array:
    """The points moved away from their middle by `by` eye distances."""
    away = points - points.mean(0)
    return np.asarray(points + by * away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-6))


def _drop(base: Pixels, where: Area, shape: MouthShape, to: int, jaw: float) -> tuple[Pixels, Plane]:
    """The base with its chin moved by `jaw`, and the weight with which it stands for the picture."""
    import cv2

    height, width = base.shape[:2]
    cells = (-(-width // COARSE), -(-height // COARSE))
    # A coarse cell stands for its centre, as cv2.resize has it.
    x, y = ((np.arange(n) + 0.5) * COARSE - 0.5 + low for n, low in zip(cells, where, strict=False))
    across, below = shape.grid(to, x, y)
    face = shape.points[to]
    chin = np.float32(face[CHIN, 1] + jaw)
    rise = np.clip((below - np.float32(face[BASE, 1])) / max(np.float32(0.1), chin - np.float32(face[BASE, 1])), 0, 1)
    fall = np.clip(1 - (below - chin) / np.float32(BELOW), 0, 1)
    down = np.where(below > chin, fall, rise)
    reach = np.float32(0.6 * (face[14, 0] - face[2, 0]))
    side = np.clip(1 - np.abs(across - np.float32(face[CHIN, 0])) / reach, 0, 1)
    weight = down * down * (3 - 2 * down) * side * side * (3 - 2 * side)
    full = (cells[0] * COARSE, cells[1] * COARSE)
    weight = np.asarray(cv2.resize(weight, full, interpolation=cv2.INTER_LINEAR), np.float32)[:height, :width]
    move = jaw * 1j / shape.scale[to]  # down in the face is this way in the picture
    look_x = np.arange(width, dtype=np.float32) - np.float32(move.real) * weight
    look_y = np.arange(height, dtype=np.float32)[:, None] - np.float32(move.imag) * weight
    moved = cv2.remap(base, look_x, look_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    amount = np.minimum(np.float32(abs(move)) * weight, np.float32(1))
    amount[0] = amount[-1] = 0
    amount[:, 0] = amount[:, -1] = 0
    return np.asarray(moved, np.uint8), amount
