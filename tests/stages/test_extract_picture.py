"""What an extract looks like: upright, even, in the right colours, and no worse to the eye than the source."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dubd.media import ffmpeg
from tests.stages.test_extract import extracted, planned

# Four patches: red, green, blue, white; clockwise from the top left.
PATCHES = "color=red:s={w}x{h}[a];color=lime:s={w}x{h}[b];color=blue:s={w}x{h}[c];color=white:s={w}x{h}[d]"
GRID = PATCHES + ";[a][b][c][d]xstack=inputs=4:layout=0_0|w0_0|w0_h0|0_h0"


def patches(path: Path, *args: str, half: tuple[int, int] = (48, 32)) -> None:
    """A second of four coloured patches, with a tone."""
    graph = GRID.format(w=half[0], h=half[1])
    ffmpeg.run(
        [
            *("-f", "lavfi", "-i", graph, "-f", "lavfi", "-i", "sine=duration=1", "-t", "1"),
            *("-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", *args, ffmpeg.url(path)),
        ],
        stage="test",
        file=path,
    )


def built(path: Path, folder: Path) -> tuple[dict[str, Any], Path]:
    """The plan of a source and its first segment's picture."""
    made = planned(path)
    return made, extracted(path, made, made["segments"][0], folder) / "video.mp4"


def corners(path: Path, width: int, height: int) -> list[list[int]]:
    """RGB at the middle of each quarter, clockwise from the top left, of the tenth frame."""
    frame = list(ffmpeg.frames_bgr(path, width, height))[9]
    x, y = width // 4, height // 4
    return [frame[b, a, ::-1].astype(int).tolist() for a, b in ((x, y), (3 * x, y), (3 * x, 3 * y), (x, 3 * y))]


RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def same(found: list[list[int]], *wanted: tuple[int, int, int]) -> bool:
    return bool(np.abs(np.array(found) - np.array(wanted)).max() <= 12)


class TestPicture:
    def test_a_phone_held_upright_comes_out_upright(self, tmp_path: Path) -> None:
        flat, path = tmp_path / "flat.mp4", tmp_path / "phone.mp4"
        patches(flat, "-pix_fmt", "yuv420p")
        ffmpeg.run(
            ["-i", ffmpeg.url(flat), "-c", "copy", "-metadata:s:v", "rotate=90", ffmpeg.url(path)],
            stage=None,
            file=path,
        )
        made, video = built(path, tmp_path)
        assert made["picture"]["rotation"] in (90, 270)
        assert (made["picture"]["width"], made["picture"]["height"]) == (64, 96)
        assert not ffmpeg.probe(video)["streams"][0].get("side_data_list")
        clockwise = (WHITE, RED, GREEN, BLUE)
        assert same(
            corners(video, 64, 96), *(clockwise if made["picture"]["rotation"] == 90 else clockwise[2:] + clockwise[:2])
        )

    @pytest.mark.parametrize("pixels", ["yuv420p", "yuvj420p", "yuv444p", "yuv422p10le", "gbrp"])
    def test_colours_stay_whatever_the_pixels(self, tmp_path: Path, pixels: str) -> None:
        path = tmp_path / "source.mp4"
        codec = ("-c:v", "libx264rgb", "-pix_fmt", "rgb24") if pixels == "gbrp" else ("-pix_fmt", pixels)
        patches(path, *codec, "-crf", "1")
        _, video = built(path, tmp_path)
        stream = ffmpeg.probe(video)["streams"][0]
        assert (stream["pix_fmt"], stream.get("color_range", "tv")) == ("yuv420p", "tv")
        # Untagged pictures are BT.601 to swscale, tagged ones what they say: as a player would.
        assert same(corners(video, 96, 64), RED, GREEN, BLUE, WHITE)

    def test_an_odd_edge_is_repeated(self, tmp_path: Path) -> None:
        path = tmp_path / "source.mp4"
        patches(path, "-vf", "crop=95:63:0:0:exact=1", "-pix_fmt", "yuv444p", "-crf", "1")
        made, video = built(path, tmp_path)
        assert made["picture"]["padding"] == [1, 1]
        frame = next(ffmpeg.frames_bgr(video, 96, 64)).astype(int)
        assert np.abs(frame[:, 95] - frame[:, 94]).max() <= 16
        assert np.abs(frame[63] - frame[62]).max() <= 16

    def test_pixels_that_are_not_square_stay_so(self, tmp_path: Path) -> None:
        path = tmp_path / "source.mp4"
        patches(path, "-vf", "setsar=4/3", "-pix_fmt", "yuv420p")
        made, video = built(path, tmp_path)
        assert made["picture"]["sample_aspect"] == "4:3"
        assert ffmpeg.probe(video)["streams"][0]["sample_aspect_ratio"] == "4:3"

    def test_hdr_is_neither_washed_out_nor_crushed(self, tmp_path: Path) -> None:
        """White at 100 cd/m2 in PQ is code 509 of 1023; BT.709 puts it at the top, and 5 cd/m2 in the shadows."""
        path = tmp_path / "hdr.mp4"
        levels = "if(lt(X,24),64,if(lt(X,48),283,if(lt(X,72),422,509)))"  # 0, 5, 40 and 100 cd/m2, limited range
        tags = (
            "-colorspace",
            "bt2020nc",
            "-color_primaries",
            "bt2020",
            "-color_trc",
            "smpte2084",
            "-color_range",
            "tv",
        )
        ffmpeg.run(
            [
                *("-f", "lavfi", "-i", "color=black:size=96x64:rate=25:duration=0.5", "-f", "lavfi", "-i"),
                *("sine=duration=0.5", "-vf", f"format=yuv420p10le,geq=lum='{levels}':cb=512:cr=512"),
                *("-c:v", "libx265", "-x265-params", "log-level=error:pools=1", "-crf", "4", *tags, ffmpeg.url(path)),
            ],
            stage=None,
            file=path,
        )
        made, video = built(path, tmp_path)
        assert made["picture"]["hdr"] is True
        assert made["picture"]["color"] == {"space": "bt709", "primaries": "bt709", "transfer": "bt709", "range": "tv"}
        stream = ffmpeg.probe(video)["streams"][0]
        assert (stream["color_transfer"], stream["color_space"]) == ("bt709", "bt709")
        luma = [float(next(ffmpeg.frames_yuv(video, 96, 64))[20:40, x : x + 8].mean()) for x in (8, 32, 56, 80)]
        assert luma[0] < 20
        assert 45 < luma[1] < 90
        assert 120 < luma[2] < 190
        assert 205 < luma[3] <= 236


class TestQuality:
    @pytest.mark.parametrize("name", ["en_webcam_glasses_30fps.mp4", "hard/two_faces_two_speakers.mp4"])
    def test_is_visually_lossless(self, media: Callable[[str], Path], tmp_path: Path, name: str) -> None:
        path = tmp_path / "source.mp4"
        path.symlink_to(media(name))
        made = planned(path, clip={"start": 0, "duration": 2})
        video = extracted(path, made, made["segments"][0], tmp_path) / "video.mp4"
        told = subprocess.run(
            ["ffmpeg", "-nostdin", "-i", video, "-i", path, "-lavfi", "[0:v][1:v]ssim=shortest=1", "-f", "null", "-"],
            capture_output=True,
            text=True,
        ).stderr
        assert float(re.findall(r"All:([0-9.]+)", told)[-1]) >= 0.995
