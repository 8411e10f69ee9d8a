"""Lip sync without weights: retrieve the speaker's own mouths, or bend the mouth where none can be had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from dubd.engines import mouths_bend, mouths_patch
from dubd.engines.contract import Engine, Shot
from dubd.engines.mouths_patch import Mouth
from dubd.engines.mouths_plan import Limits, Plan, Step, plan
from dubd.engines.tracks import Tracks
from dubd.media.ffmpeg import frames_bgr, probe

Pixels = npt.NDArray[np.uint8]
Made = dict[str, Any]


@dataclass(frozen=True)
class MouthsParams:
    """What a rule may set."""

    min_face: int = 60  # pixels from ear to ear under which a face is left alone
    min_library: float = 1.0  # seconds of usable mouth under which the mouth is bent instead
    memory: int = 192  # MiB that the mouths of a segment may take


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
        self.limits = Limits(params.min_face, params.min_library, params.memory)

    def run(self, batch: Sequence[Shot]) -> list[Made | Exception]:
        made: list[Made | Exception] = []
        for shot in batch:
            try:
                made.append(self._sync(shot))
            except Exception as error:
                made.append(error)
        return made

    def _sync(self, shot: Shot) -> Made:
        """Write the shot's patches; facts are the mode, tracks, changed frames, library size and fit."""
        assert shot.faces is not None and shot.out is not None
        assert shot.speech is not None and shot.original is not None
        tracks = Tracks.load(shot.faces)
        picture = next(s for s in probe(shot.video)["streams"] if s["codec_type"] == "video")
        size = int(picture["width"]), int(picture["height"])
        rate = float(Fraction(shot.rate))
        made = plan(tracks, shot.speech, shot.original, shot.timing, rate, size, self.limits)
        shot.out.mode = made.mode
        if made.steps:
            self._write(shot, made, size)
        return {
            "mode": made.mode,
            "tracks": tracks.count,
            "changed": len(made.steps),
            "library": made.library,
            "fit": made.fit,
        }

    def _write(self, shot: Shot, made: Plan, size: tuple[int, int]) -> None:
        """Two passes over the video: collect the mouths that were chosen, then lay them."""
        assert shot.out is not None
        mouths = _collect(shot, made, size)
        areas = [mouths_patch.area(step.shape, step.to, *size) for step in made.steps.values()]
        shot.out.shrink((max(x1 - x0 for x0, _, x1, _ in areas), max(y1 - y0 for _, y0, _, y1 in areas)))
        for index, frame in enumerate(frames_bgr(shot.video, *size)):
            step = made.steps.get(index)
            if step is None:
                continue
            where = mouths_patch.area(step.shape, step.to, *size)
            if step.of is None:
                patch = mouths_bend.bend(frame, where, step.shape, step.to, step.bend)
            else:
                mouth = mouths[id(step.shape), step.of]
                patch = mouths_patch.lay(frame, where, step.shape, step.to, step.of, mouth, step.jaw, step.bend)
            if step.weight < 1:
                patch[..., 3] = np.rint(patch[..., 3] * step.weight)
            shot.out.add_bgra(index, where[0], where[1], patch)


def _collect(shot: Shot, made: Plan, size: tuple[int, int]) -> dict[tuple[int, int], Mouth]:
    """The chosen mouths by (shape, index): their memory is bounded by `Limits.memory` a face."""
    chosen: dict[int, list[Step]] = {}
    for step in made.steps.values():
        if step.of is not None:
            chosen.setdefault(int(step.shape.frames[step.of]), []).append(step)
    mouths: dict[tuple[int, int], Mouth] = {}
    if not chosen:
        return mouths
    for index, frame in enumerate(frames_bgr(shot.video, *size)):
        for step in chosen.get(index, ()):
            assert step.of is not None
            key = (id(step.shape), step.of)
            if key not in mouths:
                mouths[key] = mouths_patch.cut(frame, mouths_patch.area(step.shape, step.of, *size))
    return mouths
