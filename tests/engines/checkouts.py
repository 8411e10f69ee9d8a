"""Checkouts of stand-in programs, and a segment of the sample to hand to them: for the tests of `external`."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from dubd.engines.external import External
from dubd.engines.tracks import Tracks
from dubd.engines.videoretalking import CHECKPOINTS, VideoRetalking
from dubd.media.ffmpeg import write_wav
from dubd.stages import lipsync
from dubd.stages.job import Job
from tests import sample_segment

PROGRAMS = Path(__file__).with_name("stand_in")
FRAMES, RATE = 24, 25
ARGS = ("inference.py", "--face", "{face}", "--audio", "{audio}", "--outfile", "{out}", "--re_preprocess")


def checkout(folder: Path, program: str = "videoretalking", entry: str = "inference.py") -> Path:
    """A folder such as a user clones: the program at `entry`, and empty files where VideoReTalking wants weights."""
    (folder / entry).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(PROGRAMS / "program.py", folder)
    shutil.copy(PROGRAMS / f"{program}.py", folder / entry)
    (folder / "checkpoints").mkdir(exist_ok=True)
    for name in CHECKPOINTS:
        (folder / "checkpoints" / name).write_bytes(name.encode())
    return folder


def segment(folder: Path) -> dict[str, Path]:
    """FRAMES frames of the sample from .8 s on, in which it speaks throughout."""
    return sample_segment.make(folder, FRAMES, 0.8)


def without(segment: Mapping[str, Path], folder: Path, frames: list[int]) -> dict[str, Path]:
    """The segment with no face found in those frames."""
    tracks = Tracks.load(segment["faces"])
    seen = tracks.seen.copy()
    seen[:, frames] = False
    boxes, points = tracks.boxes.copy(), tracks.points.copy()
    boxes[:, frames], points[:, frames] = np.nan, np.nan
    Tracks(boxes, points, seen, tracks.cuts).save(folder / "gaps.npz")
    return {**segment, "faces": folder / "gaps.npz"}


def babble() -> np.ndarray:
    """A dub that swells four times a second, all through."""
    at = np.arange(FRAMES * 48000 // RATE) / 48000
    noise = np.random.default_rng(0).normal(0, 0.1, len(at))
    return (noise * np.sin(2 * np.pi * 2 * at) ** 2).astype(np.float32)


def engine(repo: Path, kind: type[External] = VideoRetalking, **params: Any) -> External:
    """The engine, loaded for a checkout whose interpreter is this one."""
    made = kind()
    made.load("cpu", kind.Params(**{"repo": str(repo), "python": sys.executable, "check": (), **params}))
    return made


def sync(
    segment: Mapping[str, Path], out: Path, made: External, heard: Callable[[float], None] = lambda _: None
) -> Any:
    """Run the stage; its facts, or its error. `out` then holds patches.mkv and geometry.npz; `heard` its progress."""
    out.mkdir(parents=True, exist_ok=True)
    write_wav(out / "speech.wav", babble(), 48000)
    length = FRAMES / RATE
    line = {"id": "000-01", "speaker": "S1", "slot": [0.0, length], "start": 0.0, "end": length, "phonemes": []}
    (out / "speech.json").write_text(json.dumps({"language": "es", "loudness": -20.0, "lines": [line]}))
    inputs = {**segment, "speech": out / "speech.wav", "timing": out / "speech.json"}
    outputs = {"patches": out / "patches.mkv", "geometry": out / "geometry.npz"}
    params = {"rate": f"{RATE}/1", "start": 0.0, **asdict(made.params)}  # the stage's and the engine's, in one
    job = Job("t", "lipsync", inputs, outputs, params, progress=heard)
    (facts,) = lipsync.run([job], made)
    return facts


def told(path: Path) -> list[dict[str, Any]]:
    """What the program's runs were told."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
