"""Make of each speaker's reference what the engine that speaks conditions on: once for a video, kept as an artifact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dubd.engines.contract import Engine, Latents, Line, Spoken
from dubd.errors import DubdError
from dubd.media import arrays
from dubd.stages import references
from dubd.stages.job import Facts, Job, one_by_one


@one_by_one
def run(job: Job, engine: Engine[Line, Spoken]) -> Facts:
    """Input `references`, output `latents`: arrays `<speaker>/<the engine's own name>`.

    A speaker without a clean stretch has none; whoever speaks then falls back to a voice of the engine's own.
    """
    heard = references.read(job.inputs["references"], job.stage)
    made = engine.condition(list(heard.values())) if heard else []
    kept: dict[str, Any] = {}
    for speaker, latents in zip(heard, made, strict=True):
        if isinstance(latents, DubdError):
            raise latents
        if isinstance(latents, Exception):
            reason = f"{speaker}'s voice could not be taken on: {latents}"
            raise DubdError(reason, file=job.inputs["references"], stage=job.stage) from latents
        kept |= {f"{speaker}/{name}": array for name, array in latents.arrays.items()}
    with job.outputs["latents"].open("wb") as file:
        np.savez(file, **kept)
    return {"voices": len(heard)}


def read(path: Path, stage: str) -> dict[str, Latents]:
    """By speaker. Errors: DubdError where the file is not one that `run` makes."""
    found: dict[str, dict[str, np.ndarray]] = {}
    try:
        for name, array in arrays.read(path).items():
            speaker, _, own = name.rpartition("/")
            found.setdefault(speaker, {})[own] = array
    except (OSError, ValueError) as error:
        raise references.unreadable(path, stage, error) from error
    return {speaker: Latents.of(own) for speaker, own in found.items()}
