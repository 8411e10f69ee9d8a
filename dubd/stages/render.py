"""render: composite a segment's patches into its picture and encode it, once, as it ships.

The encode is H.264 High, yuv420p, closed GOPs and the same headers for every segment of a video, so that
assemble joins segments by stream copy. Output: `render.mp4`, exactly as many frames as `video.mp4`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from dubd.errors import DubdError
from dubd.media.ffmpeg import BITEXACT, YuvEncoder, color_args, frames_yuv, probe
from dubd.media.mux import timescale
from dubd.media.patches import PatchReader, composite
from dubd.stages.job import Facts, Job, one_by_one

# Of the presets, rates and lookaheads tried on two talking heads: superfast takes two thirds of veryfast's time for 6 %
# more bytes at the same SSIM. It leaves out mbtree, which is what keeps it small; five frames of lookahead give
# four fifths of the time of ten, and at a CRF 1.5 lower the same bytes and an SSIM within .0003 (.9931 and .9948
# against the composited frames).
CRF = 16.5
PRESET = "superfast"
_X264 = "mbtree=1:rc-lookahead=5:b-adapt=0:open-gop=0:stitchable=1"  # closed GOPs, equal headers: for joining by copy
_GOP_SECONDS = 2  # seeking in a browser lands on a key frame


@one_by_one
def run(job: Job) -> Facts:
    """Inputs `video`, `patches` and `geometry` (both or none); params `rate`, `picture` (as in the plan).

    DubdError where a patch names a frame that is not there.
    """
    picture = job.params["picture"]
    patches = PatchReader(job.inputs["patches"], job.inputs["geometry"]) if "patches" in job.inputs else None
    total = int(probe(job.inputs["video"])["streams"][0]["nb_frames"])
    frames = 0
    with YuvEncoder(
        job.outputs["render"], picture["width"], picture["height"], job.params["rate"], encoding(job.params)
    ) as encoder:
        for frame in composited(job.inputs["video"], patches, picture):
            encoder.write(frame)
            frames += 1
            job.progress(min(1.0, frames / total))
    return {"frames": frames, "patches": len(patches) if patches is not None else 0}


def composited(video: Path, patches: PatchReader | None, picture: Mapping[str, Any]) -> Iterator[np.ndarray]:
    """Every frame as it goes into the encoder: yuv420p planes (H*3/2, W) uint8, patches in place."""
    rest = iter(patches or ())
    patch = next(rest, None)
    index = -1
    for index, frame in enumerate(frames_yuv(video, picture["width"], picture["height"])):
        while patch is not None and patch[0] == index:
            composite(frame, *patch[1:])
            patch = next(rest, None)
        yield frame
    if patch is not None:
        raise DubdError(f"a patch for frame {patch[0]}, but the segment has {index + 1}", file=video)


def encoding(params: Mapping[str, Any]) -> list[str]:
    """ffmpeg output options: the same for every segment of a video, so that their headers are the same."""
    rate = Fraction(params["rate"])
    ticks, _ = timescale(rate)
    gop = max(1, round(rate * _GOP_SECONDS))
    return [
        *("-c:v", "libx264", "-preset", PRESET, "-crf", str(CRF), "-profile:v", "high", "-pix_fmt", "yuv420p"),
        # Fixed threads: x264's output depends on their number.
        *("-threads", "2", "-g", str(gop), "-flags", "+cgop", "-x264-params", _X264),
        *("-vf", f"setsar={params['picture']['sample_aspect'].replace(':', '/')}"),  # raw frames carry no aspect
        *color_args(params["picture"]["color"]),
        *BITEXACT,
        *("-video_track_timescale", str(ticks), "-f", "mp4"),
    ]
