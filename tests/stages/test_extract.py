"""What an extract holds: the right frames and samples, whatever the source, and the same ones in any segment."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from dubd.errors import DubdError
from dubd.media import ffmpeg
from dubd.media.timeline import Clock
from dubd.stages import extract, plan
from dubd.stages.job import Job

SIZE = (96, 64)
TICKS = 120_000  # a second
CODE = 12  # bits of a frame number, drawn as blocks of 8 x 32 pixels


@dataclass(frozen=True)
class Times:
    """When the frames of a source are shown: ticks of 1/120 000 s as ffmpeg's expression of N."""

    count: int
    ticks: str

    def seconds(self) -> list[Fraction]:
        names = {"floor": math.floor, "lt": lambda a, b: int(a < b), "gte": lambda a, b: int(a >= b)}
        return [Fraction(eval(self.ticks, names, {"N": k}), TICKS) for k in range(self.count)]


def numbered(path: Path, times: Times, *encoder: str) -> None:
    """A clip whose frame k has k drawn into it as black and white blocks, and a quiet tone."""
    width, height = SIZE
    bits = "if(eq(mod(floor(N/pow(2,floor(X/8))),2),1),235,16)"
    length = float(times.seconds()[-1]) + 0.04
    ffmpeg.run(
        [
            *("-f", "lavfi", "-i", f"color=black:size={width}x{height}:rate=1:duration={times.count}"),
            *("-f", "lavfi", "-i", f"sine=frequency=300:sample_rate=44100:duration={length}"),
            *("-vf", f"format=yuv420p,geq=lum='{bits}':cb=128:cr=128,settb=1/{TICKS},setpts='{times.ticks}'"),
            *("-fps_mode", "passthrough", "-enc_time_base", f"1/{TICKS}", "-c:v", "libx264", "-preset", "ultrafast"),
            *("-video_track_timescale", str(TICKS), *encoder, "-c:a", "aac", ffmpeg.url(path)),
        ],
        stage="test",
        file=path,
    )


def read_numbers(path: Path) -> list[int]:
    """The numbers drawn into the frames of an extract."""
    blocks = [frame[16:48].reshape(32, CODE, 8).mean(axis=(0, 2)) > 126 for frame in ffmpeg.frames_yuv(path, *SIZE)]
    return [int(sum(1 << bit for bit in np.flatnonzero(block))) for block in blocks]


def expected(path: Path, rate: str, count: int, start: float = 0.0) -> list[int]:
    """The frame of the source that each frame of the programme must show, from the times in the file itself.

    That is the last one whose time, rounded to a frame of the programme, has come; at the start the first one.
    """
    found = ffmpeg.probe(path)
    base, origin = Fraction(found["streams"][0]["time_base"]), Fraction(found["format"]["start_time"])
    times = sorted(pts * base - origin for pts, _, _, _ in ffmpeg.packets(path, 0) if pts is not None)
    at = [math.floor((time - Fraction(start)) * Fraction(rate) + Fraction(51, 100)) for time in times]
    return [max((k for k, first in enumerate(at) if first <= n), default=0) for n in range(count)]


def planned(path: Path, **params: Any) -> dict[str, Any]:
    out = path.parent / "plan.json"
    (outcome,) = plan.run([Job("t", "plan", {"source": path}, {"plan": out}, {"clip": None, "segments": {}} | params)])
    assert not isinstance(outcome, DubdError), outcome
    return json.loads(out.read_text())


def extracted(path: Path, made: dict[str, Any], segment: dict[str, Any], folder: Path, video: bool = True) -> Path:
    """Run the stage for one segment; the folder with `audio.wav` and `video.mp4`."""
    folder.mkdir(parents=True, exist_ok=True)
    outputs = {"audio": folder / "audio.wav"} | ({"video": folder / "video.mp4"} if video else {})
    params = {"source": made["source"]["sha256"], "segment": segment}
    params |= {key: made[key] for key in ("start", "picture", "sound")}
    (outcome,) = extract.run([Job("t", "extract", {"source": path}, outputs, params)])
    assert not isinstance(outcome, DubdError), outcome
    return folder


def split(made: dict[str, Any], *ends: int) -> list[dict[str, Any]]:
    """Segments of a plan cut at any frames we like."""
    clock = Clock.of(made["picture"]["rate"])
    parts = clock.stretches([0, *ends, made["frames"]])
    return [{"id": f"{number:03d}", **vars(part)} for number, part in enumerate(parts)]


CFR = Times(160, "N*5005")
VFR = Times(120, "4000*(N+floor(N*2/5)+2*floor(N/11))")
SLIDES = Times(42, "4800*(N+gte(N,20)*100+gte(N,40)*30)")
LATE = Times(120, "4800*(N+4)")
SIXTY = Times(150, "2000*N+1000")


class TestFrames:
    @pytest.mark.parametrize(
        ("times", "encoder", "suffix"),
        [
            (CFR, ("-bf", "3", "-g", "40", "-x264-params", "open-gop=1:scenecut=0"), "mp4"),
            (CFR, ("-bf", "2", "-g", "48"), "ts"),
            (VFR, ("-bf", "3", "-g", "250"), "mp4"),
            (VFR, ("-bf", "3", "-g", "30", "-x264-params", "open-gop=1"), "mkv"),
            (SLIDES, ("-bf", "0", "-g", "12"), "mp4"),
            (LATE, ("-bf", "3", "-g", "20"), "mp4"),
            (SIXTY, ("-bf", "3", "-g", "60"), "mp4"),
        ],
        ids=[
            "23.976-open-gop",
            "23.976-ts",
            "vfr-long-gop",
            "vfr-mkv-open-gop",
            "slides",
            "late",
            "sixty",
        ],
    )
    def test_segments_hold_the_frames_of_their_time(
        self, tmp_path: Path, times: Times, encoder: tuple[str, ...], suffix: str
    ) -> None:
        path = tmp_path / f"source.{suffix}"
        numbered(path, times, *encoder)
        made = planned(path)
        shown: list[int] = []
        for segment in split(made, 38, 90):
            folder = extracted(path, made, segment, tmp_path / segment["id"])
            numbers = read_numbers(folder / "video.mp4")
            assert len(numbers) == segment["frames"]
            assert soundfile.info(folder / "audio.wav").frames == segment["samples"]
            shown += numbers
        assert shown == expected(path, made["picture"]["rate"], made["frames"])

    def test_a_clip_begins_at_its_own_time(self, tmp_path: Path) -> None:
        path = tmp_path / "source.mp4"
        numbered(path, CFR, "-bf", "3", "-g", "40")
        made = planned(path, clip={"start": 2.5, "duration": 3.0})
        numbers: list[int] = []
        for segment in split(made, 30):
            numbers += read_numbers(extracted(path, made, segment, tmp_path / segment["id"]) / "video.mp4")
        assert made["frames"] == 72
        assert numbers == expected(path, "24000/1001", 72, start=2.5)

    def test_same_bytes_on_a_second_run(self, tmp_path: Path) -> None:
        path = tmp_path / "source.mp4"
        numbered(path, VFR, "-bf", "3", "-g", "250")
        made = planned(path)
        one, two = (extracted(path, made, split(made, 60)[1], tmp_path / name) for name in ("one", "two"))
        assert (one / "video.mp4").read_bytes() == (two / "video.mp4").read_bytes()
        assert (one / "audio.wav").read_bytes() == (two / "audio.wav").read_bytes()


def spoken(path: Path, rate: int, *args: str, channels: int = 1, seconds: float = 6, late: float = 0.0) -> None:
    """A clip with a rising tone, in which every place sounds different, twice as loud from 4 s on."""
    tone = "0.2*sin(2*PI*(300*t+150*t*t))*(1+gte(t,4))"
    ffmpeg.run(
        [
            *("-f", "lavfi", "-i", f"testsrc2=size=64x48:rate=25:duration={seconds}", "-itsoffset", str(late)),
            *("-f", "lavfi", "-i", f"aevalsrc='{'|'.join([tone] * channels)}':s={rate}:d={seconds}"),
            # Noise substitution of the AAC coder is random in the decoder: nothing there to compare.
            *("-c:v", "mpeg4", "-g", "12", *args, *(("-aac_pns", "0") if "aac" in args else ()), ffmpeg.url(path)),
        ],
        stage="test",
        file=path,
    )


def joined(path: Path, made: dict[str, Any], folder: Path, *ends: int) -> np.ndarray:
    """The sound of all segments as (n, channels) int16."""
    parts = [
        soundfile.read(extracted(path, made, s, folder / f"{s['id']}-{len(ends)}", video=False) / "audio.wav",
                       dtype="int16", always_2d=True)[0]
        for s in split(made, *ends)
    ]  # fmt: skip
    return np.concatenate(parts)


class TestSound:
    @pytest.mark.parametrize(
        ("name", "rate", "channels", "codec", "unlike"),
        [
            ("aac.mp4", 44_100, 1, "aac", 0),
            ("aac.ts", 44_100, 2, "aac", 0),
            ("vorbis.mkv", 44_100, 2, "libvorbis", 0),
            ("opus.webm", 48_000, 1, "libopus", 0),
            ("ac3.mp4", 44_100, 6, "ac3", 64),  # its decoder fills empty bands with noise
        ],
    )
    def test_joined_segments_are_the_whole(
        self, tmp_path: Path, name: str, rate: int, channels: int, codec: str, unlike: int
    ) -> None:
        path = tmp_path / name
        picture = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8") if name.endswith("webm") else ()
        spoken(path, rate, *picture, "-c:a", codec, channels=channels)
        made = planned(path)
        whole, parts = joined(path, made, tmp_path), joined(path, made, tmp_path, 51, 97)
        assert whole.shape == (made["samples"], min(channels, 2))
        assert np.abs(whole.astype(int) - parts).max() <= unlike
        assert np.abs(whole).max() > 5000

    @pytest.mark.parametrize("name", ["late.mp4", "late.mkv", "late.ts"])
    def test_sound_that_starts_late_stays_late(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        spoken(path, 44_100, "-c:a", "aac", late=0.7)
        made = planned(path)
        heard = joined(path, made, tmp_path, 40)[:, 0] / 32768
        assert made["sound"]["first_pts"] == pytest.approx(0.7, abs=0.05)
        assert np.abs(heard[: int(0.6 * 48_000)]).max() == 0
        loud = np.flatnonzero(np.abs(heard) > 0.35)  # the tone is at .2 before, at .4 after
        assert loud[0] / 48_000 == pytest.approx(4.7, abs=0.03)

    def test_short_sound_is_padded_and_long_sound_cut(self, tmp_path: Path) -> None:
        for name, seconds in (("short.mp4", 1.0), ("long.mp4", 5.0)):
            path = tmp_path / name
            ffmpeg.run(
                [
                    *("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=3"),
                    *("-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}"),
                    *("-c:v", "mpeg4", "-c:a", "aac", ffmpeg.url(path)),
                ],
                stage="test",
                file=path,
            )
            made = planned(path)
            assert made["samples"] == 144_000
            assert len(joined(path, made, tmp_path / name.partition(".")[0])) == 144_000
