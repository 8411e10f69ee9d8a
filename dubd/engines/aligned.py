"""Lay a face on the template that face restorers were trained on (512 px, FFHQ), and bring changes back to its frame.

Everything stays in the video's own planes until the network needs RGB: pixels that the network leaves as they are come
back as they were. An `Affine` (2, 3) takes luma pixels of the frame to pixels of the template; a chroma sample lies in
the middle of its four.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from scipy.signal import savgol_filter

from dubd.engines.tracks import Flags
from dubd.media.patches import Pixels, Planes

Affine = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

SIDE = 512
# Centres of the eyes, tip of the nose, corners of the mouth, as the published alignment has them.
TEMPLATE = np.array(
    [
        (192.98138, 239.94708),
        (318.90277, 240.1936),
        (256.63416, 314.01935),
        (201.26117, 371.41043),
        (313.08905, 371.15118),
    ]
)
_BEYOND = np.array([135.0, 133.0, 132.0])  # BGR beyond the picture's edge, as in training
_SPAN, _DEGREE = 7, 2  # frames and degree of the Savitzky-Golay filter
_HEM = 25  # px of the template in which a change fades towards its edge: as wide as the published paste's
_CHROMA = np.array([[2.0, 0.0, 0.5], [0.0, 2.0, 0.5], [0.0, 0.0, 1.0]])  # of chroma samples to luma pixels


def five(points: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """The template's five points out of 68 (..., 68, 2) in the order of the 300-W set."""
    eyes = (points[..., 36:42, :].mean(-2), points[..., 42:48, :].mean(-2))
    return np.stack([*eyes, points[..., 30, :], points[..., 48, :], points[..., 54, :]], -2).astype(np.float64)


def smoothed(points: npt.NDArray[np.float64], seen: Flags) -> npt.NDArray[np.float64]:
    """Points (N, ...) of a track smoothed over time, each stretch of `seen` (N,) by itself; NaN stays elsewhere."""
    made = points.copy()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], seen, [False]]).astype(int)))
    for first, end in edges.reshape(-1, 2):
        span = min(_SPAN, (end - first - 1) // 2 * 2 + 1)  # odd
        if span > _DEGREE:
            made[first:end] = savgol_filter(points[first:end], span, _DEGREE, axis=0)
    return made


def to_template(points: npt.NDArray[np.float64]) -> Affine | None:
    """Turn, scale and shift that bring five points (5, 2) nearest to the template; None where none does.

    Least squares in closed form (as complex numbers, template = k * point + shift). The published alignment takes
    the least median instead: most frames come out the same, but now and then it drops a point, and the face jumps.
    """
    given, wanted = ((each - each.mean(0)) @ [1, 1j] for each in (points, TEMPLATE))
    size = float((np.abs(given) ** 2).sum())
    if not size > 1e-6:  # also where a point is not a number
        return None
    k = (given.conj() * wanted).sum() / size
    if abs(k) < 1e-6:
        return None
    turn = np.array([[k.real, -k.imag], [k.imag, k.real]])
    return np.column_stack([turn, TEMPLATE.mean(0) - turn @ points.mean(0)])


def covered(affine: Affine) -> tuple[float, float, float, float]:
    """x0 y0 x1 y1 in the frame around the template's square, with what smoothing looks at beyond it."""
    back = np.linalg.inv(_square(affine))
    corners = np.array([[0, 0, 1], [SIDE, 0, 1], [0, SIDE, 1], [SIDE, SIDE, 1]]) @ back.T
    (x0, y0), (x1, y1) = corners[:, :2].min(0), corners[:, :2].max(0)
    wide = 4 + 2 * back[0, 0]
    return float(x0 - wide), float(y0 - wide), float(x1 + wide), float(y1 + wide)


def aligned(frame: Planes, affine: Affine, codes: Floats) -> Floats:
    """The face as Y, Cb and Cr (512, 512, 3) in codes; `codes` is the video's `patches.matrix`."""
    back = np.linalg.inv(_square(affine))
    halved = np.linalg.inv(_CHROMA) @ back
    edge = codes[:, :3] @ _BEYOND + codes[:, 3]
    ways = zip(frame, (back, halved, halved), edge, strict=True)
    return np.dstack([_warp(plane, way, (SIDE, SIDE), float(beyond)) for plane, way, beyond in ways])


def bgr_of(planes: Floats, codes: Floats) -> Floats:
    """Y, Cb, Cr (h, w, 3) in codes as BGR in 0..255."""
    back = np.linalg.inv(codes[:, :3].astype(np.float64))
    return np.asarray(np.clip((planes - codes[:, 3]) @ back.T.astype(np.float32), 0, 255), np.float32)


def returned(change: Floats, affine: Affine, x: int, y: int, width: int, height: int) -> tuple[Floats, Floats, Floats]:
    """A change of Y, Cb, Cr (512, 512, 3) as it falls on the planes of the rectangle; nothing beyond the template."""
    there = _square(affine) @ np.array([[1.0, 0, x], [0, 1.0, y], [0, 0, 1.0]])
    half = (width // 2, height // 2)
    luma, cb, cr = cv2.split(change * _fade()[..., None])
    return (
        _warp(luma, there, (width, height), 0),
        _warp(cb, there @ _CHROMA, half, 0),
        _warp(cr, there @ _CHROMA, half, 0),
    )


def mask(alpha: Pixels, affine: Affine, x: int, y: int, side: int) -> Floats:
    """The mask in 0..1 of a patch at (x, y), seen in the template at a size of `side` px."""
    there = np.array([[1.0, 0, -x], [0, 1.0, -y], [0, 0, 1.0]]) @ np.linalg.inv(_square(affine))
    return _warp(alpha, there @ np.diag([SIDE / side, SIDE / side, 1.0]), (side, side), 0) / np.float32(255)


def _fade() -> Floats:
    """1 inside, to 0 at the template's edge."""
    near = np.minimum(np.arange(SIDE), np.arange(SIDE)[::-1])
    ramp = np.clip(near / _HEM, 0, 1).astype(np.float32)
    return np.minimum.outer(ramp, ramp)


def _square(affine: Affine) -> Affine:
    return np.vstack([affine, [0.0, 0.0, 1.0]])


def _warp(plane: npt.NDArray[np.generic], source: Affine, size: tuple[int, int], beyond: float) -> Floats:
    """Look up each pixel of `size` (width, height) where `source` (3, 3) says; softened first where it shrinks."""
    ratio = float(np.sqrt(abs(np.linalg.det(source[:2, :2]))))
    soft = np.asarray(plane, np.float32)
    if ratio > 1.05:
        soft = np.asarray(cv2.GaussianBlur(soft, (0, 0), 0.5 * float(np.sqrt(ratio**2 - 1))), np.float32)
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    made = cv2.warpAffine(soft, source[:2], size, flags=how, borderMode=cv2.BORDER_CONSTANT, borderValue=beyond)
    return np.asarray(made, np.float32)
