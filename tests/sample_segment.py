"""A stretch of the shipped sample as the lip stages get it: picture, face tracks, sound."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from dubd.engines.landmarks import Dlib, DlibParams
from dubd.stages import faces
from dubd.stages.job import Job

SAMPLE: Final = Path(__file__).parents[1] / "script" / "sample" / "talking_head.mp4"
RATE: Final = 25  # frames a second


def make(folder: Path, frames: int, start: float = 0.0) -> dict[str, Path]:
    """Video, faces and source sound of `frames` frames from `start` s on, one face in each.

    The sample speaks from .83 to 2.65 s.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = {"video": folder / "video.mp4", "faces": folder / "faces.npz", "audio": folder / "audio.wav"}
    source = ["ffmpeg", "-v", "error", "-ss", str(start), "-i", str(SAMPLE)]
    encode = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "12", "-pix_fmt", "yuv420p", "-threads", "1"]
    subprocess.run([*source, "-frames:v", str(frames), "-an", *encode, str(made["video"])], check=True)
    length = str(frames / RATE)
    subprocess.run([*source, "-t", length, "-vn", "-ac", "1", "-ar", "48000", str(made["audio"])], check=True)
    engine = Dlib()
    engine.load("cpu", DlibParams())
    job = Job("t", "faces", {"video": made["video"]}, {"faces": made["faces"]}, {"rate": f"{RATE}/1"})
    (facts,) = faces.run([job], engine)
    assert isinstance(facts, dict), facts
    assert facts["tracks"] == 1 and facts["seen"] == 1.0 and facts["shots"] == 1, facts
    return made
