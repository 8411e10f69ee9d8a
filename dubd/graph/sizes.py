"""How much of the disk a step takes: an upper estimate from the plan, before anything of it is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dubd.graph.steps import Step
from dubd.media.timeline import SAMPLE_RATE

_MIB: Final = 1 << 20
# Bytes for a million pixels of all frames, twice what the sample takes (a face that fills half of a picture rich in
# texture): 82, 88, 90 and 19 thousand; at 1920 x 1920 it is 56, 51, 52 and 10, a webcam's picture takes a quarter.
# Strong grain takes three times as much: then a stage may still meet the end of the disk, and is run again.
_PICTURE: Final = {"extract": 164_000, "lipsync": 176_000, "restore": 180_000, "render": 38_000}
_SOUND: Final = 2 * SAMPLE_RATE  # bytes for a second of one channel, 16 bit
_TRACKS: Final = 4 * 25_000  # bytes for a second: two tracks of AAC with 192 kb/s, beside the programme and in it
_FACES: Final = 1_000  # bytes for a frame; one face takes 450
_TEXTS: Final = _MIB  # what every step is given for JSON, subtitles and the file system's own blocks
_VOICES: Final = 16 * _MIB  # the stretches to clone voices from, and what an engine makes of them


def writes(step: Step, plan: Mapping[str, Any] | None, segments: Mapping[str, Mapping[str, Any]]) -> int:
    """Bytes that the step writes at most, temporary files included, beside `copies`. KeyError for half a plan.

    `segments` are those of the plan by their ids.
    """
    if plan is None or step.stage in ("voice", "clone"):
        return _TEXTS + (_VOICES if plan else 0)
    if step.stage == "assemble":
        return _TEXTS + round(float(plan["samples"]) / SAMPLE_RATE * _TRACKS)
    segment = segments[step.name.split("/")[0]]
    taken = _TEXTS
    if step.stage in _PICTURE and set(step.outputs) - {"audio"}:
        picture = plan["picture"]
        taken += round(_PICTURE[step.stage] * segment["frames"] * picture["width"] * picture["height"] / 1e6)
    if step.stage == "extract":
        taken += int(segment["samples"]) * 2 * min(2, plan["sound"]["channels"])
    elif step.stage == "speak":
        taken += round(segment["samples"] / SAMPLE_RATE * _SOUND)
    elif step.stage == "faces":
        taken += int(segment["frames"]) * _FACES
    return taken


def copies(step: Step) -> tuple[str, ...]:
    """Inputs whose bytes go into the step's outputs as they are; paths as the step has them."""
    return (*step.lists.get("renders", ()), *step.reads.values()) if step.stage == "assemble" else ()
