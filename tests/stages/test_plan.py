"""What a plan says of a source, and what cannot be planned."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from fractions import Fraction
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

    def test_same_bytes_on_a_second_run(self, tmp_path: Path) -> None:
        path = make(tmp_path / "talk.mp4", 9)
        planned(path)
        first = (tmp_path / "plan.json").read_bytes()
        planned(path)
        assert (tmp_path / "plan.json").read_bytes() == first

    def test_without_silence_the_cuts_are_fixed(self, tmp_path: Path) -> None:
        made, facts = planned(
            make(tmp_path / "hum.mp4", 45, fps="10", sound="anoisesrc=r={rate}:d={seconds}:a=0.1:seed=1")
        )
        assert [part["cut"] for part in made["segments"]] == ["fixed", "end"]
        assert facts["fixed_cuts"] == 1

    def test_clip_that_reaches_over_the_end_ends_there(self, tmp_path: Path) -> None:
        made, _ = planned(make(tmp_path / "talk.mp4", 6), clip={"start": 5, "duration": 15})
        assert made["frames"] == 25


class TestContainers:
    @pytest.mark.parametrize(
        ("name", "video", "audio", "rate"),
        [
            ("a.mkv", ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-bf", "3"), ("-c:a", "ac3"), 32_000),
            ("a.webm", ("-c:v", "libvpx", "-deadline", "realtime"), ("-c:a", "libopus"), 48_000),
            ("a.mov", ("-c:v", "prores_ks"), ("-c:a", "pcm_s24le"), 96_000),
            ("a.avi", ("-c:v", "mjpeg", "-pix_fmt", "yuvj422p"), ("-c:a", "pcm_u8"), 8_000),
            ("a.ts", ("-c:v", "mpeg2video", "-bf", "2"), ("-c:a", "mp2"), 44_100),
            ("a.mpg", ("-c:v", "mpeg2video", "-bf", "2"), ("-c:a", "mp2"), 48_000),
            ("a.mp4", ("-c:v", "libx264", "-movflags", "frag_keyframe+empty_moov"), ("-c:a", "aac"), 22_050),
        ],
    )
    def test_length_and_rate(
        self, tmp_path: Path, name: str, video: tuple[str, ...], audio: tuple[str, ...], rate: int
    ) -> None:
        made, _ = planned(make(tmp_path / name, 2, video=video, audio=audio, rate=rate))
        assert made["picture"]["rate"] == "25/1"
        assert abs(made["frames"] - 50) <= 2
        assert made["samples"] == made["frames"] * 1920
        assert made["sound"]["rate"] == rate
        assert made["picture"]["variable_rate"] is False
        assert abs(made["sound"]["first_pts"]) < 0.05

    def test_cover_art_is_no_picture(self, tmp_path: Path) -> None:
        cover, path = tmp_path / "cover.png", tmp_path / "cover.mp4"
        ffmpeg.run(
            ["-f", "lavfi", "-i", "color=red:size=99x99", "-frames:v", "1", ffmpeg.url(cover)], stage=None, file=cover
        )
        film = make(tmp_path / "film.mp4", 1)
        inputs = ("-i", ffmpeg.url(cover), "-i", ffmpeg.url(film), "-map", "0:v", "-map", "1:v", "-map", "1:a")
        ffmpeg.run([*inputs, "-c", "copy", "-disposition:v:0", "attached_pic", ffmpeg.url(path)], stage=None, file=path)
        made, _ = planned(path)
        assert (made["picture"]["codec"], made["picture"]["width"], made["frames"]) == ("h264", 64, 25)
        song = tmp_path / "song.mp4"
        ffmpeg.run(
            ["-i", ffmpeg.url(path), "-map", "0:a", "-map", "0:v:1", "-c", "copy", "-disposition:v:0", "attached_pic",
             ffmpeg.url(song)], stage=None, file=song)  # fmt: skip
        assert "no picture" in refused(song).reason

    def test_copies_only_what_a_browser_plays(self, tmp_path: Path) -> None:
        x264 = ("-c:v", "libx264", "-preset", "ultrafast")
        for pixels, size, copied in (
            ("yuv420p", "64:48", True),
            ("yuv444p", "63:47", False),
            ("yuvj420p", "64:48", False),
        ):
            form = ("-vf", f"format={pixels},scale={size}", "-pix_fmt", pixels)
            picture = planned(make(tmp_path / f"{pixels}.mp4", 0.4, video=(*x264, *form)))[0]["picture"]
            assert picture["copy"] is copied
            assert (picture["width"], picture["height"]) == (64, 48)

    def test_a_high_rate_is_brought_down_and_ntsc_is_kept(self, tmp_path: Path) -> None:
        for fps, rate in (("240", "60/1"), ("60000/1001", "60000/1001"), ("2", "25/1"), ("15", "15/1")):
            made, _ = planned(make(tmp_path / f"{len(fps)}{fps[0]}.mp4", 2, fps=fps))
            assert made["picture"]["rate"] == rate

    @pytest.mark.parametrize(("fps", "rate"), [("25", "25/1"), ("30000/1001", "30000/1001")])
    def test_frames_that_are_missing_in_one_place_change_no_rate(self, tmp_path: Path, fps: str, rate: str) -> None:
        whole = make(tmp_path / "whole.mkv", 4, fps=fps)
        path = tmp_path / "gap.mkv"
        gap = "select='not(between(n,40,54))'"
        ffmpeg.run(
            ["-i", ffmpeg.url(whole), "-vf", gap, "-fps_mode", "passthrough", "-c:a", "copy", ffmpeg.url(path)],
            stage=None,
            file=path,
        )
        made, _ = planned(path)
        assert made["picture"]["rate"] == rate
        assert abs(made["frames"] - 4 * Fraction(rate)) < 2


class TestRefusals:
    def test_empty(self, tmp_path: Path) -> None:
        path = tmp_path / "empty.mp4"
        path.touch()
        assert "empty" in refused(path).reason

    def test_text_and_noise(self, tmp_path: Path) -> None:
        for content in (b"not a video\n" * 99, bytes(range(256)) * 400):
            path = tmp_path / "odd.mp4"
            path.write_bytes(content)
            assert "not a video that can be read" in refused(path).reason

    def test_cut_short_without_its_index(self, tmp_path: Path) -> None:
        path = make(tmp_path / "talk.mp4")
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        assert "moov atom not found" in refused(path).reason

    def test_cut_short_with_its_index_ends_where_the_data_ends(self, tmp_path: Path) -> None:
        path = make(tmp_path / "talk.mp4", 6, audio=("-c:a", "aac", "-movflags", "+faststart"))
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        made, _ = planned(path)
        assert 50 < made["frames"] < 125

    def test_no_sound_and_no_picture(self, tmp_path: Path) -> None:
        path = make(tmp_path / "talk.mp4", 1)
        for kind, reason in (("v", "nothing to dub"), ("a", "no picture")):
            part = tmp_path / f"{kind}.mp4"
            ffmpeg.run(["-i", ffmpeg.url(path), "-map", f"0:{kind}", "-c", "copy", str(part)], stage=None, file=path)
            assert reason in refused(part).reason

    def test_too_short(self, tmp_path: Path) -> None:
        assert "too short" in refused(make(tmp_path / "blink.mp4", 0.12)).reason

    @pytest.mark.parametrize("start", [-1, 2.0, 15])
    def test_clip_outside(self, tmp_path: Path, start: float) -> None:
        assert "the picture ends at 2.000 s" in refused(make(tmp_path / "talk.mp4"), clip={"start": start}).reason


class TestRealClips:
    @pytest.mark.parametrize(
        ("name", "rate", "frames", "variable"),
        [
            ("en_webcam_glasses_30fps.mp4", "30/1", 299, False),
            ("talk_man_VFR_30.mp4", "30/1", 184, True),
            ("hard/vfr_dropped_frames.mp4", "30/1", 292, True),
            ("hard/fps_23.976.mp4", "24000/1001", 144, False),
            ("hard/very_short_0.4s.mp4", "25/1", 10, False),
        ],
    )
    def test_rate_and_length_within_two_frames(
        self, media: Callable[[str], Path], tmp_path: Path, name: str, rate: str, frames: int, variable: bool
    ) -> None:
        path = tmp_path / "source.mp4"
        path.symlink_to(media(name))
        made, _ = planned(path)
        picture = made["picture"]
        assert (picture["rate"], made["frames"], picture["variable_rate"]) == (rate, frames, variable)
        declared = float(ffmpeg.probe(path)["streams"][0]["duration"])
        assert abs(frames - declared * Fraction(rate)) <= 2
