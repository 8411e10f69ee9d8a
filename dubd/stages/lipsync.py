"""lipsync: give the face that speaks a mouth that fits the dub; what changed is stored as patches."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from dubd.engines.contract import Engine, Shot
from dubd.engines.tracks import Tracks
from dubd.media.ffmpeg import picture_of, read_audio
from dubd.media.patches import PatchWriter
from dubd.stages.job import Facts, Job, one_by_one

RATE = 48000
SMALLEST = (16, 16)  # the canvas until the engine knows its largest patch


@one_by_one
def run(job: Job, engine: Engine[Shot, dict[str, Any]]) -> Facts:
    """Write `patches` and `geometry` for `video`; params: rate, start (of the segment, s on the programme clock).

    A segment without a face has no patches.
    """
    rate = str(job.params["rate"])
    tracks = Tracks.load(job.inputs["faces"])
    timing = on_segment_clock(json.loads(job.inputs["timing"].read_text("utf-8"))["lines"], float(job.params["start"]))
    picture = picture_of(job.inputs["video"])
    with PatchWriter(
        job.outputs["patches"],
        job.outputs["geometry"],
        canvas=SMALLEST,
        rate=rate,
        mode="none",
        space=picture.get("color_space", "unknown"),
        range=picture.get("color_range", "tv"),
    ) as out:
        shot = Shot(
            video=job.inputs["video"],
            rate=rate,
            frames=tracks.frames,
            faces=job.inputs["faces"],
            speech=read_audio(job.inputs["speech"], RATE),
            original=read_audio(job.inputs["audio"], RATE),
            timing=timing,
            out=out,
            progress=job.progress,
        )
        (made,) = engine.run([shot])
        if isinstance(made, Exception):
            raise made
    return made


def on_segment_clock(lines: Sequence[Mapping[str, Any]], start: float) -> list[dict[str, Any]]:
    """The lines of speech.json with all their times counted from the segment's first frame."""
    return [
        {
            **line,
            "start": line["start"] - start,
            "end": line["end"] - start,
            "slot": [time - start for time in line["slot"]],
            "phonemes": [[time - start, sound] for time, sound in line["phonemes"]],
        }
        for line in lines
    ]
