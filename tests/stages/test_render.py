"""render encodes every frame once and touches nothing outside the masks."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dubd.errors import DubdError
from dubd.media.ffmpeg import frames_yuv, probe
from dubd.media.patches import PatchReader, PatchWriter, planes
from dubd.stages import render
from dubd.stages.job import Job

WIDTH, HEIGHT, FRAMES = 128, 72, 30
COLOR = {"space": "bt709", "primaries": "bt709", "transfer": "bt709", "range": "tv"}


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "video.mp4"
    source = f"testsrc2=size={WIDTH}x{HEIGHT}:rate=30000/1001"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-frames:v", str(FRAMES)]
    subprocess.run([*command, "-pix_fmt", "yuv420p", "-c:v", "libx264", "-threads", "1", str(path)], check=True)
    return path


@pytest.fixture
def patched(tmp_path: Path) -> dict[str, Path]:
    """Red dots with a soft edge on every other frame."""
    store = {"patches": tmp_path / "patches.mkv", "geometry": tmp_path / "geometry.npz"}
    dot = np.zeros((20, 24, 4), np.uint8)
    dot[..., 2] = 255
    dot[4:16, 4:20, 3] = 128
    dot[6:14, 6:18, 3] = 255
    with PatchWriter(store["patches"], store["geometry"], canvas=(24, 20), rate="30000/1001", mode="m") as writer:
        for frame in range(0, FRAMES, 2):
            writer.add_bgra(frame, 40 + frame, 30, dot)
    return store


def job(inputs: dict[str, Path], out: Path, **params: Any) -> Job:
    picture = {"width": WIDTH, "height": HEIGHT, "color": COLOR, "sample_aspect": "4:3"}
    return Job("a/render", "render", inputs, {"render": out}, {"rate": "30000/1001", "picture": picture, **params})


def test_pixels_outside_the_masks_reach_the_encoder_as_they_were(video: Path, patched: dict[str, Path]) -> None:
    picture = {"width": WIDTH, "height": HEIGHT, "color": COLOR, "sample_aspect": "4:3"}
    reader = PatchReader(patched["patches"], patched["geometry"])
    shown = list(render.composited(video, reader, picture))
    plain = list(frames_yuv(video, WIDTH, HEIGHT))
    assert len(shown) == len(plain) == FRAMES
    for index, (now, was) in enumerate(zip(shown, plain, strict=True)):
        for plane, old, scale in zip(planes(now), planes(was), (1, 2, 2), strict=True):
            inside = np.zeros(plane.shape, bool)
            if index % 2 == 0:
                inside[34 // scale : 46 // scale, (44 + index) // scale : (60 + index) // scale] = True
            assert np.array_equal(plane[~inside], old[~inside])
        assert np.array_equal(now, was) == (index % 2 == 1)


def test_the_render_has_every_frame_and_the_colour_tags(video: Path, patched: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "render.mp4"
    (facts,) = render.run([job({"video": video, **patched}, out)])
    assert facts == {"frames": FRAMES, "patches": FRAMES // 2}
    (stream,) = probe(out)["streams"]
    assert (stream["codec_name"], stream["pix_fmt"], stream["nb_frames"]) == ("h264", "yuv420p", str(FRAMES))
    assert {stream[f"color_{key}"] for key in ("space", "primaries", "transfer")} == {"bt709"}
    assert (stream["color_range"], stream["r_frame_rate"], stream["start_pts"]) == ("tv", "30000/1001", 0)
    assert stream["sample_aspect_ratio"] == "4:3"
    assert stream["duration_ts"] == FRAMES * 1001
    shown = [planes(frame)[2] for frame in frames_yuv(out, WIDTH, HEIGHT)]
    assert shown[0][20, 26] > 200, "the red of the dot"


def test_without_patches_the_picture_is_encoded_alone(video: Path, tmp_path: Path) -> None:
    out = tmp_path / "render.mp4"
    (facts,) = render.run([job({"video": video}, out)])
    assert facts == {"frames": FRAMES, "patches": 0}
    pairs = zip(frames_yuv(out, WIDTH, HEIGHT), frames_yuv(video, WIDTH, HEIGHT), strict=True)
    assert max(np.abs(now.astype(int) - was).mean() for now, was in pairs) < 3


def test_the_same_inputs_make_the_same_bytes(video: Path, patched: dict[str, Path], tmp_path: Path) -> None:
    outs = [tmp_path / "one" / "render.mp4", tmp_path / "another" / "render.mp4"]
    for out in outs:
        out.parent.mkdir()
        render.run([job({"video": video, **patched}, out)])
    assert outs[0].read_bytes() == outs[1].read_bytes()


def test_a_patch_past_the_end_is_an_error(video: Path, tmp_path: Path) -> None:
    store = {"patches": tmp_path / "p.mkv", "geometry": tmp_path / "g.npz"}
    with PatchWriter(store["patches"], store["geometry"], canvas=(8, 8), rate="30/1", mode="m") as writer:
        writer.add_bgra(FRAMES, 0, 0, np.full((8, 8, 4), 255, np.uint8))
    (error,) = render.run([job({"video": video, **store}, tmp_path / "render.mp4")])
    assert isinstance(error, DubdError)
    assert f"a patch for frame {FRAMES}, but the segment has {FRAMES}" in str(error)
