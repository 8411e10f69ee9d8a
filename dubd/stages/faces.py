"""faces: find the faces of a segment and follow them, once for every stage that needs them."""

from __future__ import annotations

from typing import Any

import numpy as np

from dubd.engines.contract import Engine, Shot
from dubd.engines.tracks import Tracks
from dubd.media.ffmpeg import picture_of
from dubd.stages.job import Facts, Job, one_by_one


@one_by_one
def run(job: Job, engine: Engine[Shot, Tracks]) -> Facts:
    """Write `faces` (faces.npz) for `video`; params: rate. No face at all is no error."""
    frames = int(picture_of(job.inputs["video"])["nb_frames"])
    shot = Shot(job.inputs["video"], str(job.params["rate"]), frames)
    (made,) = engine.run([shot])
    if isinstance(made, Exception):
        raise made
    made.save(job.outputs["faces"])
    return facts(made)


def facts(tracks: Tracks) -> dict[str, Any]:
    """Tracks, shots, the share of frames with a face, and the median face width in pixels."""
    widths = (tracks.boxes[..., 2] - tracks.boxes[..., 0])[tracks.seen]
    return {
        "tracks": tracks.count,
        "shots": len(tracks.cuts) + 1,
        "seen": round(float(tracks.seen.any(0).mean()), 6) if tracks.count else 0.0,
        "width": round(float(np.median(widths)), 1) if widths.size else None,
    }
