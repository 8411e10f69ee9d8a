"""restore hands patches through an engine and keeps their number and places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dubd.engines.sharpen import Sharpen, SharpenParams
from dubd.engines.tracks import Tracks
from dubd.media.ffmpeg import YuvEncoder
from dubd.media.patches import PatchReader, PatchWriter
from dubd.stages import restore
from dubd.stages.job import Job


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    names = {"video": "video.mp4", "faces": "faces.npz", "patches": "patches.mkv", "geometry": "geometry.npz"}
    paths = {key: tmp_path / name for key, name in names.items()}
    with YuvEncoder(paths["video"], 64, 48, "25/1", ["-c:v", "libx264", "-qp", "0", "-f", "mp4"]) as encoder:
        for index in range(6):
            encoder.write(np.random.default_rng(index).integers(60, 180, (72, 64)).astype(np.uint8))
    nobody, seen = np.zeros((0, 6, 68, 2), np.float32), np.zeros((0, 6), np.bool_)
    Tracks(nobody[:, :, :4, 0], nobody, seen, np.array([3], np.int32)).save(paths["faces"])
    return paths


def restored(inputs: dict[str, Path], places: list[tuple[int, int, int]]) -> tuple[dict[str, object], PatchReader]:
    outputs = {"patches": inputs["video"].with_name("out.mkv"), "geometry": inputs["video"].with_name("out.npz")}
    with PatchWriter(inputs["patches"], inputs["geometry"], canvas=(16, 16), rate="25/1", mode="own mouths") as writer:
        for number, place in enumerate(places):
            writer.add_bgra(*place, np.random.default_rng(number).integers(1, 256, (16, 16, 4)).astype(np.uint8))
    engine = Sharpen()
    engine.load("cpu", SharpenParams())
    (facts,) = restore.run([Job("a/restore", "restore", inputs, outputs, {"rate": "25/1"})], engine)
    assert isinstance(facts, dict), facts
    return facts, PatchReader(**outputs)


def test_every_patch_comes_back_in_its_place(inputs: dict[str, Path]) -> None:
    places = [(0, 2, 4), (0, 40, 20), (1, 2, 4), (4, 48, 32)]
    facts, out = restored(inputs, places)
    assert [patch[:3] for patch in out] == places
    assert facts["patches"] == 4
    assert facts["mode"] == out.mode == "own mouths+sharpen"


def test_a_patch_over_the_edge_keeps_its_place_too(inputs: dict[str, Path]) -> None:
    places = [(0, -4, -6), (2, 60, 44)]
    _, out = restored(inputs, places)
    for (_, x, y, patch), place in zip(out, places, strict=True):
        assert (x, y) == place[1:]
        assert patch.size == (16, 16)


def test_no_patches_in_gives_no_patches_out(inputs: dict[str, Path]) -> None:
    facts, out = restored(inputs, [])
    assert len(out) == 0
    assert facts == {"patches": 0, "mode": "own mouths+sharpen"}
