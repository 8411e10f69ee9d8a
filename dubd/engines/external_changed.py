"""Reduce whole frames of another program to the region of the face that it changed, and lay that as patches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from dubd.engines.external_exchange import Returned, Unusable
from dubd.engines.external_pieces import Piece
from dubd.engines.mouths_patch import Area
from dubd.errors import DubdError
from dubd.media.ffmpeg import frames_bgr

if TYPE_CHECKING:
    from dubd.media.patches import PatchWriter

Pixels = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]

# The map of a face, in face coordinates: from LOW to HIGH, CELLS to an eye distance.
LOW: Final = np.array([-1.6, -1.6])
HIGH: Final = np.array([1.6, 2.2])
CELLS: Final = 24
SIZE: Final = (round(float(HIGH[0] - LOW[0]) * CELLS), round(float(HIGH[1] - LOW[1]) * CELLS))
HEAD: Final = ((0.0, 0.3), (1.35, 1.7))  # centre and half axes of what may count as changed; the rest tells the noise
LIPS: Final = ((-0.4, 0.45), (0.4, 1.3))  # what is changed must reach in here
NOISE: Final = 2.5  # times the difference outside the head
FEATHER: Final = 4  # cells: a sixth of an eye distance
RAMP: Final = 2  # frames over which a piece fades in and out where the face is seen on


@dataclass(frozen=True)
class Region:
    """What of a face a piece changed: `weight` 0..1 on the map of the face, and the corners of what is over 0."""

    weight: Plane
    corners: npt.NDArray[np.float64]  # (4, 2) face coordinates


def region(video: Path, size: tuple[int, int], piece: Piece, made: Returned, threshold: float) -> Region:
    """Where the program's pictures differ from the video's, in face coordinates, over the whole piece.

    The root mean square over time of a smoothed difference: one region for all frames, so that its edge does not
    flicker. `threshold` is in levels (0..255); compression, seen around the head, raises it.
    Errors: Unusable where its video does not decode, or the lips are as they were.
    """
    import cv2

    total, count = np.zeros(SIZE[::-1], np.float32), np.zeros(SIZE[::-1], np.float32)
    for step, own, theirs in _pairs(video, size, piece, made):
        if made.shows[step] != step:
            continue  # another moment: the head has moved on
        index = _index(piece, step)
        difference = cv2.absdiff(own, theirs).max(2).astype(np.float32)
        sigma = float(piece.shape.eyes[index]) / CELLS / 2
        difference = cv2.GaussianBlur(difference, (0, 0), max(0.8, sigma))
        look = _matrix(piece, index)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        there = cv2.warpAffine(np.ones_like(difference), look, SIZE, flags=flags)
        total += cv2.warpAffine(difference, look, SIZE, flags=flags) ** 2
        count += there
    change = np.sqrt(total / np.maximum(count, 1))
    head = _ellipse()
    around = change[~head & (count > 0)]
    noise = float(np.median(around)) if len(around) else 0.0
    changed = (change > max(threshold, NOISE * noise)) & head & (count > 0)
    return _region(changed)


def _region(changed: npt.NDArray[np.bool_]) -> Region:
    """The connected parts that reach the lips, without holes, with a feather around them."""
    import cv2
    from scipy.ndimage import binary_closing, binary_fill_holes, binary_opening, label

    whole = binary_closing(np.pad(binary_opening(changed, np.ones((2, 2), np.bool_)), 4), np.ones((7, 7), np.bool_))[
        4:-4, 4:-4
    ]
    parts, _ = label(binary_fill_holes(whole))
    (x0, y0), (x1, y1) = (np.rint((np.array(at) - LOW) * CELLS).astype(int) for at in LIPS)
    there = set(np.unique(parts[y0:y1, x0:x1]).tolist()) - {0}
    kept = np.isin(parts, list(there)).astype(np.uint8)
    if not kept.any():
        raise Unusable("left the lips as they were")
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * FEATHER + 1, 2 * FEATHER + 1))
    kept = np.asarray(cv2.dilate(kept, brush), np.uint8)
    kept[0] = kept[-1] = kept[:, 0] = kept[:, -1] = 0
    rise = np.clip(cv2.distanceTransform(kept, cv2.DIST_L2, 3) / FEATHER, 0, 1)
    weight = np.asarray(rise * rise * (3 - 2 * rise), np.float32)
    rows, columns = np.nonzero(weight)
    low = np.array([columns.min() - 1, rows.min() - 1]) / CELLS + LOW
    high = np.array([columns.max() + 1, rows.max() + 1]) / CELLS + LOW
    return Region(weight, np.array([low, [high[0], low[1]], [low[0], high[1]], high]))


def areas(piece: Piece, found: Region) -> list[Area]:
    """x0, y0, x1, y1 in the picture (even corners) of each frame's patch; of no size where the region lies outside."""
    x, y, width, height = piece.part
    made = []
    for step in range(piece.frames):
        at = piece.shape.to_picture(_index(piece, step), found.corners)
        low = np.maximum((x, y), np.floor(at.min(0)).astype(int) // 2 * 2)
        high = np.minimum((x + width, y + height), np.ceil(at.max(0)).astype(int) + 1)
        made.append((int(low[0]), int(low[1]), int(max(low[0], high[0])), int(max(low[1], high[1]))))
    return made


def lay(
    video: Path, size: tuple[int, int], piece: Piece, made: Returned, found: Region
) -> Iterator[tuple[int, Pixels]]:
    """Each frame's number in the segment and its patch (h, w, 4) BGRA, to lie at the corner that `areas` tells.

    A frame that the program did not make for this moment is moved to where the face is now.
    """
    import cv2

    where = areas(piece, found)
    for step, _, theirs in _pairs(video, size, piece, made, own=False):
        x0, y0, x1, y1 = where[step]
        if x1 - x0 < 2 or y1 - y0 < 2:
            continue
        index = _index(piece, step)
        box = (x1 - x0, y1 - y0)
        to_box = np.array([[1.0, 0.0, x0], [0.0, 1.0, y0]])
        x, y = piece.part[:2]
        if made.shows[step] == step:
            pixels = theirs[y0 - y : y1 - y, x0 - x : x1 - x]
        else:
            look = piece.shape.between(index, _index(piece, int(made.shows[step])))
            look[:, 2] += look[:, :2] @ to_box[:, 2] - (x, y)
            inverse = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            moved = cv2.warpAffine(theirs, look, box, flags=inverse, borderMode=cv2.BORDER_REPLICATE)
            pixels = np.asarray(moved, np.uint8)
        look = np.asarray(cv2.invertAffineTransform(_matrix(piece, index, (x0, y0))), np.float64)
        weight = cv2.warpAffine(found.weight, look, box, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        patch = np.empty((box[1], box[0], 4), np.uint8)
        patch[..., :3] = pixels
        patch[..., 3] = np.rint(weight * (255 * _fade(piece, step)))
        yield piece.first + step, patch


def _fade(piece: Piece, step: int) -> float:
    before = (step + 1) / (RAMP + 1) if piece.fades[0] else 1.0
    after = (piece.frames - step) / (RAMP + 1) if piece.fades[1] else 1.0
    return min(1.0, before, after)


def _index(piece: Piece, step: int) -> int:
    """The piece's frame as an index of its face's shape."""
    return int(np.searchsorted(piece.shape.frames, piece.first + step))


def _matrix(piece: Piece, index: int, corner: tuple[int, int] | None = None) -> npt.NDArray[np.float64]:
    """2x3 matrix from a cell of the face's map to a pixel, counted from the piece's own corner or the given one."""
    corners = piece.shape.to_picture(index, LOW + np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    across, down = (corners[1] - corners[0]) / CELLS, (corners[2] - corners[0]) / CELLS
    return np.column_stack([across, down, corners[0] - (piece.part[:2] if corner is None else corner)])


def _ellipse() -> npt.NDArray[np.bool_]:
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    (x, y), (wide, high) = HEAD
    across, down = columns / CELLS + LOW[0] - x, rows / CELLS + LOW[1] - y
    return np.asarray((across / wide) ** 2 + (down / high) ** 2 <= 1)


def _pairs(
    video: Path, size: tuple[int, int], piece: Piece, made: Returned, *, own: bool = True
) -> Iterator[tuple[int, Pixels, Pixels]]:
    """Step, the video's picture (only with `own`) and the program's, each as large as the piece's part."""
    theirs = frames_bgr(made.path, *piece.part[2:])
    ours = frames_bgr(video, *size, piece.part) if own else None
    at, picture = -1, np.empty(0, np.uint8)
    try:
        if ours:
            for _ in range(piece.first):
                next(ours)
        for step in range(piece.frames):
            mine = next(ours) if ours else picture
            while at < made.of[step]:
                picture, at = _decoded(theirs), at + 1
            yield step, mine, picture
    finally:
        theirs.close()  # type: ignore[attr-defined]  # ends its ffmpeg
        if ours:
            ours.close()  # type: ignore[attr-defined]


def _decoded(frames: Iterator[Pixels]) -> Pixels:
    try:
        return next(frames)
    except (StopIteration, DubdError) as error:
        raise Unusable("wrote a video that does not decode to its end") from error


def add(out: PatchWriter, frame: int, area: Area, patch: Pixels) -> None:
    """Store a patch; one that is all transparent is left out."""
    if patch[..., 3].any():
        out.add_bgra(frame, area[0], area[1], patch)
