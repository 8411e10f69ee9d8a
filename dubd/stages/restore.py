"""restore: let an engine bring out in the patches what the lip stage lost, and nothing outside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dubd.engines.contract import Engine, Shot
from dubd.media.ffmpeg import picture_of
from dubd.media.patches import PatchReader, PatchWriter
from dubd.stages.job import Facts, Job, one_by_one


@one_by_one
def run(job: Job, engine: Engine[Shot, Mapping[str, Any]]) -> Facts:
    """Inputs `video`, `faces`, `patches`, `geometry`; param `rate`. The engine's facts are the stage's.

    As many patches come out as went in, in the same places.
    """
    picture = picture_of(job.inputs["video"])
    patches = PatchReader(job.inputs["patches"], job.inputs["geometry"])
    rate = str(job.params["rate"])
    mode = f"{patches.mode}+{engine.name}"
    with PatchWriter(
        job.outputs["patches"],
        job.outputs["geometry"],
        canvas=patches.canvas,
        rate=rate,
        mode=mode,
        space=picture.get("color_space", "unknown"),
        range=picture.get("color_range", "tv"),
    ) as out:
        shot = Shot(
            video=job.inputs["video"],
            rate=rate,
            frames=int(picture["nb_frames"]),
            faces=job.inputs["faces"],
            patches=patches,
            out=out,
        )
        (made,) = engine.run([shot])
        if isinstance(made, Exception):
            raise made
    return {"patches": len(patches), "mode": mode, **made}
