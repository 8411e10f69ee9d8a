"""Lip sync without weights: retrieve the speaker's own mouths, or bend the mouth where none can be had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from dubd.engines import mouths_patch, mouths_path, visemes
from dubd.engines.contract import Engine, Shot
from dubd.engines.mouths_shape import MouthShape, measure
from dubd.engines.talker import talker
from dubd.engines.tracks import Tracks

Flags = npt.NDArray[np.bool_]
Array = npt.NDArray[np.float64]
Made = dict[str, Any]

HANG = 3  # frames that a mouth goes on moving before and after speech
GAP = 6  # shorter quiet stretches are not left to the source's mouth
REST = 1.5  # seconds that a changed stretch may reach out to where the source's mouth is at rest
AT_REST = 0.3  # of the way from shut to wide open
RAMP = 2  # frames over which a changed stretch fades in and out


@dataclass(frozen=True)
class MouthsParams:
    """What a rule may set."""

    min_face: int = 60  # pixels from ear to ear under which a face is left alone
    min_library: float = 1.0  # seconds of usable mouth under which the mouth is bent instead
    memory: int = 192  # MiB that the mouths of a segment may take


@dataclass(frozen=True)
class _Step:
    """What becomes of one frame: the mouth `of` another laid on `to` (indices of the shape), its chin
    moved by `jaw` and its lips by `bend` (eye distances), shown at `weight`.
    """

    shape: MouthShape
    to: int
    of: int
    jaw: float
    bend: float
    weight: float


class Mouths(Engine[Shot, Made]):
    """The speaker's own mouth frames, chosen by the dub's sound and phonemes."""

    name: ClassVar[str] = "mouths"
    stage: ClassVar[str] = "lipsync"
    summary: ClassVar[str] = "retrieval of the speaker's own mouth frames, no weights"
    licence: ClassVar[str] = "Apache-2.0"
    Params: ClassVar[type[Any]] = MouthsParams

    @classmethod
    def revision(cls) -> str:
        return "1"

    def load(self, device: str, params: MouthsParams) -> None:  # noqa: ARG002  (runs on the processor)
        import cv2

        cv2.setNumThreads(1)
        self.params = params

    def run(self, batch: Sequence[Shot]) -> list[Made | Exception]:
        made: list[Made | Exception] = []
        for shot in batch:
            try:
                made.append(self._sync(shot))
            except Exception as error:
                made.append(error)
        return made

    def _sync(self, shot: Shot) -> Made:
        """Write the shot's patches; facts are the mode, changed frames, library size and r(wanted, got)."""
        from dubd.media.ffmpeg import frames_bgr, probe

        assert shot.faces is not None and shot.out is not None
        assert shot.speech is not None and shot.original is not None
        tracks = Tracks.load(shot.faces)
        picture = next(s for s in probe(shot.video)["streams"] if s["codec_type"] == "video")
        width, height = int(picture["width"]), int(picture["height"])
        rate = float(Fraction(shot.rate))
        steps, facts = self._plan(tracks, shot, rate, (width, height))
        shot.out.mode = facts["mode"]
        if not steps:
            return facts
        wanted = {int(s.shape.frames[s.of]): s for s in steps.values()}
        mouths = {}
        for index, frame in enumerate(frames_bgr(shot.video, width, height)):
            if (step := wanted.get(index)) is not None:
                mouths[index] = mouths_patch.cut(frame, mouths_patch.area(step.shape, step.of, width, height))
        for index, frame in enumerate(frames_bgr(shot.video, width, height)):
            if (step := steps.get(index)) is None:
                continue
            where = mouths_patch.area(step.shape, step.to, width, height)
            where = (
                *where[:2],
                min(where[2], where[0] + shot.out.canvas[0]),
                min(where[3], where[1] + shot.out.canvas[1]),
            )
            mouth = mouths[int(step.shape.frames[step.of])]
            patch = mouths_patch.lay(frame, where, step.shape, step.to, step.of, mouth, step.jaw, step.bend)
            if step.weight < 1:
                patch[..., 3] = (patch[..., 3] * step.weight).astype(np.uint8)
            shot.out.add(index, where[0], where[1], patch)
        return facts

    def _plan(self, tracks: Tracks, shot: Shot, rate: float, size: tuple[int, int]) -> tuple[dict[int, _Step], Made]:
        """The step of each frame that changes, and the facts."""
        assert shot.speech is not None and shot.original is not None
        count = tracks.frames
        target = visemes.target(shot.speech, shot.timing, count, rate)
        heard = visemes.level(shot.original, count, rate)
        shapes = [measure(tracks.points[row], tracks.seen[row]) for row in range(tracks.count)]
        gaps = np.full((tracks.count, count), np.nan)
        for row, shape in enumerate(shapes):
            across = np.ptp(tracks.points[row][shape.frames, :, 0], axis=1)
            good = (across >= self.params.min_face) & (np.abs(shape.yaw) <= mouths_path.MAX_YAW)
            gaps[row, shape.frames[good]] = shape.gap[good]
        who = talker(gaps, heard, shot.timing, rate)
        busy = _grow(target.speech, HANG) | _grow(heard > visemes.SPEECH, HANG)
        steps: dict[int, _Step] = {}
        wanted: list[float] = []
        got: list[float] = []
        libraries: dict[int, int] = {}
        for row, shape in enumerate(shapes):
            active = _close(busy & (who == row), GAP) & np.isfinite(gaps[row])
            if not active.any():
                continue
            free = np.isfinite(gaps[row]) & ((who == row) | (who < 0))
            active = _close(_reach_rest(active, free, gaps[row], round(REST * rate)), GAP) & free
            x0, y0, x1, y1 = mouths_patch.area(shape, int(np.argmax(shape.eyes)), *size)
            most = max(1, self.params.memory * 2**20 // max(1, (x1 - x0) * (y1 - y0) * 3))
            members = mouths_path.library(shape, most)
            if len(members) < self.params.min_library * rate:
                continue
            libraries[row] = len(members)
            for run in _runs(active):
                frames = np.searchsorted(shape.frames, run)
                path = mouths_path.choose(shape, members, frames, target, rate)
                wanted += path.wanted.tolist()
                got += (shape.gap[path.chosen] + path.bend).tolist()
                jaw = shape.points[path.chosen, 8, 1] - shape.points[frames, 8, 1]
                jaw = np.clip(jaw, -mouths_patch.MAX_JAW, mouths_patch.MAX_JAW)
                for place, frame in enumerate(run):
                    edge = min(place, len(run) - 1 - place) + 1
                    weight = min(1.0, edge / (RAMP + 1))
                    steps[int(frame)] = _Step(
                        shape,
                        int(frames[place]),
                        int(path.chosen[place]),
                        float(jaw[place]),
                        float(path.bend[place]),
                        weight,
                    )
        fit = (
            float(np.corrcoef(wanted, got)[0, 1])
            if len(wanted) > 2 and np.std(wanted) > 0 and np.std(got) > 0
            else None
        )
        return steps, {
            "mode": "retrieval" if steps else "none",
            "tracks": tracks.count,
            "changed": len(steps),
            "library": sum(libraries.values()),
            "fit": None if fit is None else round(fit, 3),
        }


def _grow(flags: Flags, by: int) -> Flags:
    """True also within `by` frames of a True."""
    from scipy.ndimage import binary_dilation

    return np.asarray(binary_dilation(flags, np.ones(2 * by + 1)))


def _reach_rest(active: Flags, free: Flags, gap: Array, most: int) -> Flags:
    """Widen stretches over `free` frames until the source's own mouth is at rest, by at most `most` frames.

    A speaker opens the mouth well before the first sound: cut off there, the mouth would snap shut.
    """
    shut, wide = np.nanquantile(gap, (mouths_path.CLOSED, mouths_path.HIGH))
    rest = ~free | (gap <= shut + AT_REST * (wide - shut))
    wider = active.copy()
    for run in _runs(active):
        for edge, way in ((run[0], -1), (run[-1], 1)):
            for frame in range(edge + way, edge + way * (most + 1), way):
                if not 0 <= frame < len(gap) or rest[frame]:
                    break
                wider[frame] = True
    return wider


def _close(flags: Flags, most: int) -> Flags:
    """Fill holes of at most `most` frames."""
    filled = flags.copy()
    at = np.flatnonzero(flags)
    for before, after in pairwise(at):
        if after - before - 1 <= most:
            filled[before:after] = True
    return filled


def _runs(flags: Flags) -> list[npt.NDArray[np.int64]]:
    """The stretches of True, as arrays of their indices."""
    at = np.flatnonzero(flags)
    return [run for run in np.split(at, np.flatnonzero(np.diff(at) > 1) + 1) if len(run)]
