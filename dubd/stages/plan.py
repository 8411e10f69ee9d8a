"""plan: look at a whole source once and say what is to be built: streams, clock, length, segments.

Only the stretch that the rule's `clip` names is decoded (its sound; no picture is). Output: `plan.json`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from dubd.errors import DubdError, Exit
from dubd.media import ffmpeg, source
from dubd.media.cuts import Cut, Lengths, cuts
from dubd.media.killed import ProgramKilled
from dubd.media.sound import levels, speech
from dubd.media.timeline import Clock, milliseconds
from dubd.stages.job import Facts, Job, one_by_one

_LISTEN: Final = 16_000  # Hz: enough for the speech band
_WHOLE = "check that it plays, and drop a whole copy again"


@one_by_one
def run(job: Job) -> Facts:
    """Input `source`; params `clip` ({start, duration} in s, or null) and `segments` ({target, min, max} in s).

    DubdError (Exit.INPUT) for a file that cannot be dubbed: unreadable, without picture or sound, too short,
    or with a clip that lies outside of it.
    """
    path = job.inputs["source"]
    if not path.stat().st_size:
        raise DubdError("the file is empty", file=path, remedy="drop a whole copy again", exit=Exit.INPUT)
    found = ffmpeg.probe(path)
    video, audio = source.pick(found, path)
    origin = source.origin(found)
    seen = source.scan(path, video, origin)
    rate = source.rate(video, seen)
    clock = Clock(rate)
    start, frames = source.span(job.params.get("clip"), source.picture_end(video, seen, rate), clock, path)
    job.progress(0.2)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    job.progress(0.3)

    length = float(clock.seconds(frames))
    level = _listen(path, int(audio["index"]), origin + start, start, length)
    spoken = speech(level)
    shots = [at - start for at in seen.shots if 0 < at - start < length]
    ends = cuts(spoken, level, length, Lengths(**job.params.get("segments") or {}), shots)
    picture = source.describe(video, found, seen, rate, origin)
    segments = _segments(ends, frames, clock)
    plan = {
        "source": {"sha256": digest, "bytes": path.stat().st_size},
        # A copied stream can only begin where the source does.
        "picture": {**picture, "copy": picture["copy"] and start == 0},
        "sound": source.describe_sound(path, audio, origin),
        "start": start,
        "frames": frames,
        "samples": clock.sample_at(frames),
        "segments": segments,
    }
    job.outputs["plan"].write_text(json.dumps(plan, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    job.progress(1.0)
    return {
        "seconds": milliseconds(length),
        "rate": picture["rate"],
        "size": f"{picture['width']}x{picture['height']}",
        "speech": milliseconds(float(np.count_nonzero(spoken)) / 100),
        "segments": len(segments),
        "fixed_cuts": sum(end.kind == "fixed" for end in ends),
    }


def _listen(path: Path, index: int, zero: float, start: float, length: float) -> np.ndarray:
    """Levels of the speech band over the programme, one each 10 ms, sound that starts late padded.

    `zero` is where the programme starts on the container's clock, `start` on the source's, in seconds.
    """
    chain = f"asetpts=round(PTS-{zero:.6f}/TB),aresample=async=1:first_pts=0,apad,atrim=end={length:.6f}"
    try:
        seek = ffmpeg.seek_before(start - 1)
        return levels(ffmpeg.audio_blocks(path, _LISTEN, stream=str(index), seek=seek, filters=chain), _LISTEN)
    except ProgramKilled:
        raise
    except DubdError as error:
        raise DubdError(
            f"its sound cannot be read: {error.reason}", file=path, remedy=_WHOLE, exit=Exit.INPUT
        ) from error


def _segments(ends: list[Cut], frames: int, clock: Clock) -> list[dict[str, Any]]:
    """The segments as plan.json has them; ends are moved to the nearest frame, and no frame is in two."""
    inner = {clock.frame_at(end.at): end.kind for end in ends[:-1]}
    kinds = {at: kind for at, kind in sorted(inner.items()) if 0 < at < frames} | {frames: "end"}
    width = max(3, len(str(len(kinds) - 1)))
    return [
        {
            "id": f"{number:0{width}d}",
            "start": milliseconds(clock.seconds(part.first_frame)),
            "end": milliseconds(clock.seconds(part.first_frame + part.frames)),
            "first_frame": part.first_frame,
            "frames": part.frames,
            "first_sample": part.first_sample,
            "samples": part.samples,
            "cut": kinds[part.first_frame + part.frames],
        }
        for number, part in enumerate(clock.stretches([0, *kinds]))
    ]
