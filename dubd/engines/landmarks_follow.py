"""Follow faces: which of those found are the same, where a shot begins, and landmarks that do not jitter."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from dubd.engines.landmarks import DlibParams
from dubd.engines.tracks import Tracks

Grey = npt.NDArray[np.uint8]
Box = npt.NDArray[np.float64]
Points = npt.NDArray[np.float64]

# Points that no expression moves much: jaw ends, nose, eye corners.
RIGID = np.array([0, 1, 15, 16, 27, 28, 29, 30, 31, 33, 35, 36, 39, 42, 45])
# The HOG detector's box from the rigid points' centre and spread: medians over 183 detections of four faces.
BOX_CENTRE, BOX_SIZE = (0.0, 0.40), 3.45
# The predictor's answer depends on its box. Two opposite errors of the box take turns, frame by frame: what they
# make of the answer is then at half the frame rate, which the filter below takes out.
NUDGES = ((0.02, 0.015, 1.02), (-0.02, -0.015, 0.98))
# Zero lag, keeps cubics whole: Savitzky-Golay of 5 frames and degree 2, then a filter with a null at half the rate.
KERNEL = np.convolve([-3, 12, 17, 12, -3], [-1, 4, 10, 4, -1]) / (35 * 16)


@dataclass
class _Track:
    """A face being followed."""

    points: dict[int, Points] = field(default_factory=dict)
    boxes: dict[int, Box] = field(default_factory=dict)
    crop: npt.NDArray[np.float32] | None = None
    last: int = 0  # last frame with points
    confirmed: int = 0  # last frame in which the detector found it
    detections: int = 0
    lost: bool = False


class Follower:
    """`find` is dlib's detector and `place` its predictor."""

    def __init__(self, params: DlibParams, dlib: Any, find: Callable[..., Any], place: Callable[..., Any]) -> None:
        self.params, self._dlib, self._find, self._place = params, dlib, find, place

    def follow(self, frames: Iterable[Grey], rate: float) -> Tracks:
        """Tracks of the faces in `frames` (grey, full size, streamed), `rate` of them a second."""
        import cv2

        cv2.setNumThreads(1)
        tracks: list[_Track] = []
        cuts: list[int] = []
        cut = _CutFinder()
        shot_start, count = 0, 0
        since = wait = self.params.every
        for index, grey in enumerate(frames):
            count = index + 1
            # Every fourth pixel each way is plenty, and cheap.
            small = cv2.resize(grey[::4, ::4], (64, 36), interpolation=cv2.INTER_AREA).astype(np.float32)
            if cut.is_first(small):
                cuts.append(index)
                shot_start, since = index, wait
            live = [track for track in tracks if not track.lost and track.last >= shot_start]
            if small.mean() < 20 and small.std() < 6:  # black: nothing to see, nothing to follow
                for track in live:
                    track.lost = True
                since = wait
                continue
            for track in live:
                self._step(track, grey, index)
            since += 1
            if since >= wait or any(track.lost for track in live):
                since = 0
                self._detect(tracks, grey, index, shot_start, rate)
                live = [track for track in tracks if not track.lost and track.last >= shot_start]
                sure = live and all(track.confirmed == index and track.detections > 1 for track in live)
                wait = self.params.every * (2 if sure else 1)
        return _pack(tracks, cuts, count, self.params.every)

    def _detect(self, tracks: list[_Track], grey: Grey, index: int, shot_start: int, rate: float) -> None:
        """Confirm live tracks, revive those lost less than a second ago, and start new ones."""
        import cv2

        scale = min(1.0, self.params.detect / max(grey.shape))
        small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        found = [np.array([q.left(), q.top(), q.right(), q.bottom()]) / scale for q in self._find(small, 0)]
        old = [t for t in tracks if t.last >= shot_start and index - t.last <= rate and t.boxes]
        pairs = sorted(
            (
                (_overlap(box, track.boxes[track.last]), i, j)
                for i, box in enumerate(found)
                for j, track in enumerate(old)
            ),
            key=lambda pair: (-pair[0], pair[1:]),
        )
        taken: set[int] = set()
        matched: set[int] = set()
        for overlap, i, j in pairs:
            if overlap < 0.3 or i in taken or j in matched:
                continue
            taken.add(i)
            matched.add(j)
            track = old[j]
            track.confirmed, track.detections = index, track.detections + 1
            if track.last < index:
                track.crop, track.lost = None, False
                self._step(track, grey, index, found[i])
        for i, box in enumerate(found):
            if i not in taken:
                track = _Track(confirmed=index, detections=1)
                self._step(track, grey, index, box)
                tracks.append(track)
        for track in old:
            if index - track.confirmed > 4 * self.params.every:
                track.lost = True

    def _step(self, track: _Track, grey: Grey, index: int, box: Box | None = None) -> None:
        """Place the landmarks in this frame from those of the last one, or find that the face is gone."""
        points = self._landmarks(grey, track.boxes[track.last] if box is None else box, NUDGES[index % 2])
        box = _box(points)
        crop = _crop(grey, box)
        height, width = grey.shape
        centre = (box[:2] + box[2:]) / 2
        inside = 0 <= centre[0] < width and 0 <= centre[1] < height
        if not inside or crop is None or (track.crop is not None and float((crop * track.crop).mean()) < 0.6):
            track.lost = True
            return
        track.points[index], track.boxes[index], track.crop, track.last = points, box, crop, index

    def _landmarks(self, grey: Grey, box: Box, nudge: tuple[float, float, float]) -> Points:
        """The predictor's answer (68, 2) for a nudged box."""
        centre, size = (box[:2] + box[2:]) / 2, box[2] - box[0]
        # A copy of what lies around the face: its rows are near in memory, and the predictor reads all over it.
        left, top = np.maximum(0, centre - size).astype(int)
        right, bottom = np.maximum(1, centre + size).astype(int)
        part = np.ascontiguousarray(grey[top:bottom, left:right])
        dx, dy, zoom = nudge
        half = size * zoom / 2
        x, y = centre - (left, top) + size * np.array([dx, dy])
        corners = [round(float(v)) for v in (x - half, y - half, x + half, y + half)]
        places = [(at.x, at.y) for at in self._place(part, self._dlib.rectangle(*corners)).parts()]
        return np.asarray(np.array(places) + np.array([left, top]), np.float64)


class _CutFinder:
    """Tells whether a frame begins a new shot, from 64x36 grey pictures."""

    def __init__(self) -> None:
        self._last: npt.NDArray[np.float32] | None = None
        self._usual = 2.0  # running mean of the difference between neighbours, in grey levels

    def is_first(self, small: npt.NDArray[np.float32]) -> bool:
        """True where the picture jumps by 12 grey levels and four times what is usual in this shot."""
        if self._last is None:
            self._last = small
            return False
        jump = float(np.abs(small - self._last).mean())
        self._last = small
        if jump > max(12.0, 4 * self._usual):
            self._usual = 2.0
            return True
        self._usual += 0.1 * (jump - self._usual)
        return False


def _box(points: Points) -> Box:
    """The box that the detector would draw, by points that do not move with the mouth."""
    rigid = points[RIGID]
    mean = rigid.mean(0)
    spread = float(np.sqrt(((rigid - mean) ** 2).sum(1).mean()))
    centre, half = mean + spread * np.array(BOX_CENTRE), spread * BOX_SIZE / 2
    return np.concatenate([centre - half, centre + half])


def _crop(grey: Grey, box: Box) -> npt.NDArray[np.float32] | None:
    """The face as 24x24, zero mean and unit variance; None where it is flat or outside the picture."""
    import cv2

    x0, y0, x1, y1 = np.clip(np.rint(box), 0, [grey.shape[1], grey.shape[0]] * 2).astype(int)
    if x1 - x0 < 24 or y1 - y0 < 24:
        return None
    step = int(x1 - x0) // 96 + 1  # every so manieth pixel is plenty
    small = cv2.resize(grey[y0:y1:step, x0:x1:step], (24, 24), interpolation=cv2.INTER_AREA).astype(np.float32)
    deviation = float(small.std())
    return None if deviation < 4 else (small - small.mean()) / deviation


def _overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    wide, high = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    if wide <= 0 or high <= 0:
        return 0.0
    both = float(wide * high)
    area = float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]))
    return both / (area - both)


def _pack(tracks: list[_Track], cuts: list[int], count: int, every: int) -> Tracks:
    """Arrays of the tracks worth keeping, smoothed; a face is taken for gone soon after its last detection."""
    kept = []
    for track in tracks:
        seen = sorted(index for index in track.points if index <= track.confirmed + 2 * every)
        # One detection that the next did not confirm is a false alarm, unless the picture ended or cut away.
        if track.detections >= 2 or (seen and seen[-1] < track.confirmed + every):
            kept.append((track, seen))
    boxes = np.full((len(kept), count, 4), np.nan, np.float32)
    points = np.full((len(kept), count, 68, 2), np.nan, np.float32)
    seen_flags = np.zeros((len(kept), count), np.bool_)
    for row, (track, seen) in enumerate(kept):
        index = np.array(seen)
        for run in np.split(index, np.flatnonzero(np.diff(index) > 1) + 1):
            places = _smooth(np.array([track.points[i] for i in run]))
            points[row, run] = places
            boxes[row, run] = [_box(place) for place in places]
            seen_flags[row, run] = True
    return Tracks(boxes, points, seen_flags, np.array(cuts, np.int32))


def _smooth(places: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Places (n, 68, 2) filtered in time, turned about the first and the last one beyond them; as they are if few."""
    reach = len(KERNEL) // 2
    if len(places) <= reach:
        return places
    padded = np.pad(places, ((reach, reach), (0, 0), (0, 0)), mode="reflect", reflect_type="odd")
    return np.asarray(sum(weight * padded[i : i + len(places)] for i, weight in enumerate(KERNEL)))
