"""Lay a drawn face over its frame through a feathered mask of the lower face: nothing outside the jaw is touched."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dubd.engines import colours
from dubd.engines.mouths_shape import BASE, JAW, MouthShape
from dubd.engines.wav2lip_crop import Crops

Array = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
Area = tuple[int, int, int, int]

LIPS = np.arange(48, 60)
SHRINK = 0.86  # of the jaw line about the mouth, so that the mask stays inside the face
ERODE = 0.02  # of the face's width
FEATHER = 0.10  # of the face's width: over which the mask falls from .9 to .1
SPAN = 2.56  # sigmas of a Gaussian between those
REACH = 3  # sigmas from its edge at which the mask is under half a code of 8 bits
MAX_SHIFT = 18.0  # levels that a drawn face's colour may be moved


def area(crops: Crops, index: int, width: int, height: int) -> Area:
    """x0, y0, x1, y1 (even corner, inside the picture) around all that a patch on this frame may touch.

    Where a mouth lies beyond the picture's edge, as that of a face half out of it may, two pixels of the edge are left.
    """
    shape = crops.shape
    outline, corners = shape.to_picture(index, _outline(shape, index)), crops.corners(index)
    reach = REACH * _sigma(shape, index)
    low = np.floor(np.maximum(outline.min(0) - reach, corners.min(0))).astype(int)
    high = np.ceil(np.minimum(outline.max(0) + reach, corners.max(0))).astype(int)
    x0, y0 = (min(max(0, int(low[axis])), most - 2) // 2 * 2 for axis, most in ((0, width), (1, height)))
    return x0, y0, max(x0 + 2, min(width, int(high[0]))), max(y0 + 2, min(height, int(high[1])))


def lay(base: Pixels, where: Area, crops: Crops, index: int, drawn: Floats, weight: float) -> Pixels:
    """The patch (h, w, 4) BGRA for the area `where` of a frame, of which `base` (h, w, 3) are the pixels.

    `drawn` (96, 96, 3) is the face's crop as the network draws it, 0..255; `weight` fades all of it.
    """
    import cv2

    size = (where[2] - where[0], where[3] - where[1])
    matrix = crops.matrix(index, where[:2])
    inverse = cv2.WARP_INVERSE_MAP | cv2.INTER_CUBIC
    laid = cv2.warpAffine(drawn, matrix, size, flags=inverse, borderMode=cv2.BORDER_REPLICATE)
    mask = _mask(crops, index, where)
    matched = colours.match(
        np.asarray(cv2.convertScaleAbs(np.maximum(laid, 0)), np.uint8),
        base,
        mask,
        max(size) / colours.SMALL / 5,
        MAX_SHIFT,
    )
    patch = cv2.cvtColor(matched, cv2.COLOR_BGR2BGRA)
    cv2.insertChannel(cv2.convertScaleAbs(mask, alpha=255 * weight), patch, 3)
    return np.asarray(patch, np.uint8)


def _outline(shape: MouthShape, index: int) -> Array:
    """The jaw line, drawn in about the mouth, and cut off at the nose's base; in face coordinates."""
    face = shape.points[index]
    centre = face[LIPS].mean(0)
    outline = centre + (face[JAW] - centre) * SHRINK
    outline[:, 1] = np.maximum(outline[:, 1], face[BASE, 1])
    return np.asarray(outline)


def _wide(shape: MouthShape, index: int) -> float:
    """The face's width in px."""
    face = shape.points[index]
    return float(np.ptp(face[JAW, 0]) * shape.eyes[index])


def _sigma(shape: MouthShape, index: int) -> float:
    return FEATHER * _wide(shape, index) / SPAN


def _mask(crops: Crops, index: int, where: Area) -> Floats:
    """Weight of the drawn face (h, w), 0..1: computed at half the size, since it is smooth."""
    import cv2

    shape = crops.shape
    sigma, eroded = _sigma(shape, index), ERODE * _wide(shape, index)
    height, width = where[3] - where[1], where[2] - where[0]

    def filled(points: Array) -> Pixels:
        plane = np.zeros((height // 2 + 1, width // 2 + 1), np.uint8)
        at = (points - np.array(where[:2])) / 2
        cv2.fillConvexPoly(plane, cv2.convexHull((at * 16).round().astype(np.int32)), 255, shift=4)
        return plane

    # What reaches out of the crop has nothing drawn under it.
    corners = crops.corners(index)
    centre = corners.mean(0)
    away = np.linalg.norm(corners[0] - corners[1]), np.linalg.norm(corners[1] - corners[2])
    inset = 1 - 2 * REACH * sigma / min(away)
    inside = cv2.bitwise_and(
        filled(shape.to_picture(index, _outline(shape, index))), filled(centre + (corners - centre) * inset)
    )
    side = 2 * round(eroded / 2) + 1
    inside = cv2.erode(inside, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    inside[0] = inside[-1] = inside[:, 0] = inside[:, -1] = 0
    soft = cv2.GaussianBlur(inside, (0, 0), max(0.5, sigma / 2))
    whole = cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(whole, np.float32) * np.float32(1 / 255)
