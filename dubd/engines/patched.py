"""The faces that patches lie on: whose they are, how they lie on the template, and what they look like with the patch.

Who and where is known from the tracks before any picture is read; the pictures then stream by, frame after frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dubd.engines.aligned import Affine, Floats, aligned, covered, five, smoothed, to_template
from dubd.engines.contract import Shot
from dubd.engines.sharpen_match import measure, pairs
from dubd.engines.tracks import Tracks
from dubd.errors import DubdError
from dubd.media.ffmpeg import Part, frames_yuv
from dubd.media.patches import Patch, PatchReader, composite, planes

_SAMPLE = 5  # every how many patches of a face its sharpness is measured


@dataclass(frozen=True)
class Seat:
    """The face under a patch. `run` numbers rows of frames that follow on one another with the same face patched."""

    track: int
    run: int
    affine: Affine


@dataclass
class Patched:
    """One patch on its way: where it belongs, and its face on the template (None: it goes on unchanged)."""

    frame: int
    x: int
    y: int
    patch: Patch
    seat: Seat | None = None
    planes: Floats | None = None  # Y, Cb, Cr (512, 512, 3)


def seats(tracks: Tracks, places: Sequence[tuple[int, int, int, int, int]]) -> list[Seat | None]:
    """One for each of `places` (frame, x, y, width, height, by frame); None where no face lies under it.

    It is the face whose mouth lies nearest to the patch's middle, within the patch; one face takes one patch a frame.
    """
    ready = [smoothed(five(points), seen) for points, seen in zip(tracks.points, tracks.seen, strict=True)]
    mouths = tracks.points[:, :, 48:68].mean(2)
    last: dict[int, tuple[int, int]] = {}  # of each track: frame and run
    made: list[Seat | None] = []
    runs = 0
    for frame, *place in places:
        track = _nearest(mouths[:, frame], tracks.seen[:, frame], place) if frame < tracks.frames else None
        affine = None if track is None or last.get(track, (-1, 0))[0] == frame else to_template(ready[track][frame])
        if track is None or affine is None:
            made.append(None)
            continue
        before, run = last.get(track, (-2, -1))
        if before != frame - 1:
            run, runs = runs, runs + 1
        last[track] = (frame, run)
        made.append(Seat(track, run, affine))
    return made


def large(tracks: Tracks, least: float) -> set[int]:
    """Tracks whose faces are at least so many pixels from ear to ear in the median frame."""
    across = np.linalg.norm(tracks.points[:, :, 16] - tracks.points[:, :, 0], axis=-1)
    widths = [np.median(row[seen]) if seen.any() else 0.0 for row, seen in zip(across, tracks.seen, strict=True)]
    return {track for track, width in enumerate(widths) if width >= least}


def _nearest(mouths: np.ndarray, seen: np.ndarray, place: Sequence[int]) -> int | None:
    x, y, width, height = place
    inside = seen & (np.abs(mouths - [x + width / 2, y + height / 2]) <= [width / 2, height / 2]).all(-1)
    if not inside.any():
        return None
    away = np.linalg.norm(mouths - [x + width / 2, y + height / 2], axis=-1)
    return int(np.argmin(np.where(inside, away, np.inf)))


def sharp(shot: Shot, seats: Sequence[Seat | None], limit: float) -> set[int]:
    """Tracks whose patches are as sharp as the frames under them, by the median of a sample."""
    seen: dict[int, list[float]] = {}
    if any(seats):
        for seat, (_, _, _, patch, under) in zip(seats, pairs(shot), strict=False):
            if seat is not None:
                found = seen.setdefault(seat.track, [])
                found.append(math.nan if len(found) % _SAMPLE else measure(patch, under).sharpness())
    return {track for track, found in seen.items() if np.nanmedian(found) >= limit}


def faces(shot: Shot, seats: Sequence[Seat | None], size: tuple[int, int], codes: Floats) -> Iterator[Patched]:
    """Every patch in order; those with a seat with their face, as it is with all patches of the frame laid in.

    `size` is that of the picture, `codes` the video's `patches.matrix`.
    """
    assert shot.patches is not None
    part = _part(shot.patches, seats, size)
    frames = enumerate(frames_yuv(shot.video, *size, part))
    number, raw = -1, np.zeros(0, np.uint8)
    for group in _by_frame(shot.patches, seats):
        if any(face.seat for face in group):
            while number < group[0].frame:
                if (read := next(frames, None)) is None:
                    raise DubdError(f"ends before frame {group[0].frame}, which has a patch", file=shot.video)
                number, raw = read
            whole = np.array(raw)
            for face in group:
                composite(whole, face.x - part[0], face.y - part[1], face.patch)
            for face in group:
                if face.seat is not None:
                    face.planes = aligned(planes(whole), _shifted(face.seat.affine, part), codes)
        yield from group


def _shifted(affine: Affine, part: Part) -> Affine:
    """The same for a picture of which only `part` is there."""
    return np.column_stack([affine[:, :2], affine @ [part[0], part[1], 1.0]])


def _by_frame(patches: PatchReader, seats: Sequence[Seat | None]) -> Iterator[list[Patched]]:
    group: list[Patched] = []
    for (frame, x, y, patch), seat in zip(patches, seats, strict=True):
        if group and group[0].frame != frame:
            yield group
            group = []
        group.append(Patched(frame, x, y, patch, seat))
    if group:
        yield group


def _part(patches: PatchReader, seats: Sequence[Seat | None], size: tuple[int, int]) -> Part:
    """x, y, width and height (even) of the part of the picture that the faces and their patches lie on."""
    x, y, width, height = patches.within(*size)
    boxes = [(x, y, x + width, y + height), *(covered(seat.affine) for seat in seats if seat is not None)]
    x0, y0, x1, y1 = np.array(boxes).T
    left, top = (max(0, math.floor(low.min() / 2) * 2) for low in (x0, y0))
    right, bottom = (min(most, math.ceil(high.max() / 2) * 2) for high, most in zip((x1, y1), size, strict=True))
    return left, top, right - left, bottom - top
