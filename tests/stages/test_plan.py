"""What a plan says of a source, and what cannot be planned."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dubd.errors import DubdError, Exit
from dubd.media import ffmpeg
from dubd.stages import plan
from dubd.stages.job import Facts, Job

# A tone that comes and goes: 1.3 s on, .7 s off, in the speech band.
TALK = "aevalsrc='0.3*sin(2*PI*700*t)*lt(mod(t,2),1.3)':s={rate}:d={seconds}"


def make(
    path: Path,
    seconds: float = 2.0,
    *,
    fps: str = "25",
    size: str = "64x48",
    rate: int = 44_100,
    video: tuple[str, ...] = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"),
    audio: tuple[str, ...] = ("-c:a", "aac"),
    sound: str = TALK,
) -> Path:
    """A small clip of moving bars and intermittent tone."""
    ffmpeg.run(
        [
            *("-f", "lavfi", "-i", f"testsrc2=size={size}:rate={fps}:duration={seconds}"),
            *("-f", "lavfi", "-i", sound.format(rate=rate, seconds=seconds)),
            *(*video, *audio, ffmpeg.url(path)),
        ],
        stage="test",
        file=path,
    )
    return path


def planned(path: Path, **params: Any) -> tuple[dict[str, Any], Facts]:
    """plan.json of a source and the stage's facts; an error of the stage is raised."""
    out = path.parent / "plan.json"
    (outcome,) = plan.run([Job("t", "plan", {"source": path}, {"plan": out}, {"clip": None, "segments": {}} | params)])
    if isinstance(outcome, DubdError):
        raise outcome
    return json.loads(out.read_text()), outcome


def refused(path: Path, **params: Any) -> DubdError:
    with pytest.raises(DubdError) as caught:
        planned(path, **params)
    assert caught.value.exit is Exit.INPUT
    assert caught.value.stage == "plan"
    assert caught.value.remedy
    return caught.value


class TestPlan:
    def test_says_what_the_contract_says(self, tmp_path: Path) -> None:
        path = make(tmp_path / "talk.mp4")
        made, _ = planned(path)
        assert made["source"] == {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "bytes": path.stat().st_size,
        }
        assert made["picture"]["rate"] == "25/1"
        assert (made["picture"]["width"], made["picture"]["height"]) == (64, 48)
        assert made["picture"]["copy"] is True
        assert made["sound"] == {"index": 1, "codec": "aac", "rate": 44_100, "channels": 1, "first_pts": 0.0, "grid": 0}
        assert (made["start"], made["frames"], made["samples"]) == (0.0, 50, 96_000)
        assert made["segments"] == [
            {"id": "000", "start": 0.0, "end": 2.0, "first_frame": 0, "frames": 50, "first_sample": 0,
             "samples": 96_000, "cut": "end"}
        ]  # fmt: skip

    def test_segments_meet_and_fall_in_silence(self, tmp_path: Path) -> None:
        made, _ = planned(make(tmp_path / "long.mp4", 60, fps="24000/1001"))
        parts = made["segments"]
        assert len(parts) == 3
        assert sum(part["frames"] for part in parts) == made["frames"] == 1439
        assert sum(part["samples"] for part in parts) == made["samples"]
        assert all(one["first_frame"] + one["frames"] == two["first_frame"] for one, two in pairwise(parts))
        for part in parts[:-1]:
            assert part["cut"] == "silence"
            assert 1.3 < part["end"] % 2 < 2
            assert 8 <= part["end"] - part["start"] <= 30

    def test_clip_is_its_own_programme(self, tmp_path: Path) -> None:
        made, _ = planned(make(tmp_path / "talk.mp4", 6), clip={"start": 1.5, "duration": 2.0})
        assert (made["start"], made["frames"], made["samples"]) == (1.5, 50, 96_000)
        assert made["segments"][0]["start"] == 0.0
        assert made["picture"]["copy"] is False


class TestRefusals:
    def test_empty_text_and_missing_parts(self, tmp_path: Path) -> None:
        (tmp_path / "empty.mp4").touch()
        assert "empty" in refused(tmp_path / "empty.mp4").reason
        (tmp_path / "text.mp4").write_text("not a video\n" * 99)
        assert "cannot be read" in refused(tmp_path / "text.mp4").reason or refused(tmp_path / "text.mp4").reason

    def test_clip_outside(self, tmp_path: Path) -> None:
        assert "2.000 s" in refused(make(tmp_path / "talk.mp4"), clip={"start": 15, "duration": 15}).reason
