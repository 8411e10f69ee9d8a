"""Write the patches of a film's mouths: read what is needed of it once or twice, and lay the chosen mouths over it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from dubd.engines import mouths_bend, mouths_patch
from dubd.engines.contract import Shot
from dubd.engines.mouths_patch import Area, Mouth
from dubd.engines.mouths_plan import Limits, Plan, plan
from dubd.engines.mouths_shape import MouthShape
from dubd.engines.tracks import Tracks
from dubd.media.ffmpeg import Part, frames_bgr, picture_of

Key = tuple[int, int]  # a shape's id and an index into its frames


def sync(limits: Limits, shot: Shot) -> dict[str, Any]:
    """Write the shot's patches; facts are the mode, tracks, changed frames, library size and fit."""
    assert shot.faces is not None and shot.out is not None
    assert shot.speech is not None and shot.original is not None
    tracks = Tracks.load(shot.faces)
    picture = picture_of(shot.video)
    size = int(picture["width"]), int(picture["height"])
    rate = float(Fraction(shot.rate))
    made = plan(tracks, shot.speech, shot.original, shot.timing, rate, size, limits)
    shot.out.mode = made.mode
    if made.steps:
        _write(limits, shot, made, size)
    return {
        "mode": made.mode,
        "tracks": tracks.count,
        "changed": len(made.steps),
        "library": made.library,
        "fit": made.fit,
    }


def _write(limits: Limits, shot: Shot, made: Plan, size: tuple[int, int]) -> None:
    """Lay the chosen mouths: in one pass over the video where all that is needed of it may be kept, else in two."""
    assert shot.out is not None
    steps = sorted(made.steps.items())
    targets = {(id(step.shape), step.to): step.shape for _, step in steps}
    chosen = {(id(step.shape), step.of): step.shape for _, step in steps if step.of is not None}
    where = {key: mouths_patch.area(shape, key[1], *size) for key, shape in {**targets, **chosen}.items()}
    areas = [where[key] for key in targets]
    shot.out.shrink((max(x1 - x0 for x0, _, x1, _ in areas), max(y1 - y0 for _, y0, _, y1 in areas)))
    part = _around(where.values())
    once = sum((x1 - x0) * (y1 - y0) * 3 for x0, y0, x1, y1 in where.values()) <= limits.memory * 2**20
    kept: dict[Key, Mouth] = {}
    if chosen:
        kept.update(_cuts(shot, {**targets, **chosen} if once else chosen, where, part, size))
    again = not (chosen and once)
    bases = _cuts(shot, targets, where, part, size) if again else ((key, kept[key]) for key in targets)
    for (index, step), (key, base) in zip(steps, bases, strict=True):
        if step.of is None:
            patch = mouths_bend.bend(base.pixels, where[key], step.shape, step.to, step.bend)
        else:
            mouth = kept[key[0], step.of]
            patch = mouths_patch.lay(base.pixels, where[key], step.shape, step.to, step.of, mouth, step.jaw, step.bend)
        if step.weight < 1:
            patch[..., 3] = np.rint(patch[..., 3] * step.weight)
        shot.out.add_bgra(index, *where[key][:2], patch)


def _around(areas: Iterable[Area]) -> Part:
    """The smallest part of the picture with all the areas in it; the picture's sides are even, so it fits."""
    x0, y0, x1, y1 = np.array(list(areas)).T
    left, top = int(x0.min()), int(y0.min())
    width, height = int(x1.max()) - left, int(y1.max()) - top
    return left, top, width + width % 2, height + height % 2


def _cuts(
    shot: Shot,
    wanted: Mapping[Key, MouthShape],
    where: Mapping[Key, Area],
    part: Part,
    size: tuple[int, int],
) -> Iterator[tuple[Key, Mouth]]:
    """What lies at `where` for each (shape, index) that is wanted, in the order of frames; only `part` is read."""
    of: dict[int, list[Key]] = {}
    for key, shape in wanted.items():
        of.setdefault(int(shape.frames[key[1]]), []).append(key)
    last = max(of)
    for index, frame in enumerate(frames_bgr(shot.video, *size, part)):
        for key in of.get(index, ()):
            x0, y0, x1, y1 = where[key]
            near = (x0 - part[0], y0 - part[1], x1 - part[0], y1 - part[1])
            yield key, Mouth(mouths_patch.cut(frame, near).pixels, (x0, y0))
        if index == last:
            return
