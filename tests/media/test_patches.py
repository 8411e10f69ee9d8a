"""Patches come back as they were stored, and compositing touches nothing outside their masks."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from dubd.errors import DubdError, Exit
from dubd.media.killed import ProgramKilled
from dubd.media.patches import Patch, PatchReader, PatchWriter, Pixels, composite, planes


@pytest.fixture
def store(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "patches.mkv", tmp_path / "geometry.npz"


def noise(height: int, width: int, *, seed: int = 1) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 4)).astype(np.uint8)


def patch_of(bgra: Pixels) -> Patch:
    return Patch.of_bgra(bgra, "bt709", "tv")


def same(one: Patch, other: Patch) -> bool:
    """Alpha everywhere, colour where a mask shows it."""
    shown = one.alpha > 0
    blocks = shown.reshape(shown.shape[0] // 2, 2, -1, 2).any((1, 3))
    pairs = ((one.luma, other.luma, shown), (one.cb, other.cb, blocks), (one.cr, other.cr, blocks))
    return np.array_equal(one.alpha, other.alpha) and all(np.array_equal(a[w], b[w]) for a, b, w in pairs)


def frame_of(colour: tuple[int, int, int], height: int = 48, width: int = 64) -> Pixels:
    frame = np.empty((height * 3 // 2, width), np.uint8)
    for plane, code in zip(planes(frame), colour, strict=True):
        plane[:] = code
    return frame


def test_patches_of_any_size_come_back_bit_for_bit(store: tuple[Path, Path]) -> None:
    smooth = np.asarray(cv2.GaussianBlur(noise(32, 40, seed=4), (0, 0), 3), np.uint8)
    pictures = [noise(20, 30), noise(11, 13, seed=2), noise(32, 40, seed=3), smooth, smooth + np.uint8(3)]
    places = [(0, 4, 6), (0, 40, 2), (7, 0, 0), (8, 0, 0), (9, 0, 0)]
    given = [(*place, patch_of(bgra)) for place, bgra in zip(places, pictures, strict=True)]
    with PatchWriter(*store, canvas=(40, 32), rate="30000/1001", mode="retrieval") as writer:
        for patch in given:
            writer.add(*patch)
    reader = PatchReader(*store)
    assert (len(reader), reader.mode, reader.canvas, reader.frames.tolist()) == (
        5,
        "retrieval",
        (40, 32),
        [0, 0, 7, 8, 9],
    )
    for _ in range(2):
        for (*where, picture), (*expected, wanted) in zip(reader, given, strict=True):
            assert where == expected
            assert same(picture, wanted)


def test_colour_under_an_empty_mask_is_dropped(store: tuple[Path, Path]) -> None:
    bgra = noise(8, 8)
    bgra[:, :4, 3], bgra[:, 4:, 3] = 0, 9
    bgra[0, 0, 3] = 1
    with PatchWriter(*store, canvas=(8, 8), rate="25/1", mode="m") as writer:
        writer.add_bgra(0, 0, 0, bgra)
    ((*_, patch),) = PatchReader(*store)
    assert not patch.luma[:, 1:4].any() and not patch.cr[1:, :2].any() and not patch.cb[1:, :2].any()
    assert patch.luma[0, 0] and patch.cb[0, 0] and patch.cr[0, 0]
    assert same(patch_of(bgra), patch)


def test_chroma_at_a_mask_s_edge_is_that_of_the_pixels_inside() -> None:
    bgra = np.full((2, 2, 4), (0, 255, 0, 0), np.uint8)
    bgra[0, 0], bgra[1, 1] = (0, 0, 255, 200), (0, 0, 255, 1)
    patch = patch_of(bgra)
    assert (patch.cb[0, 0], patch.cr[0, 0]) == (102, 240)


def test_the_part_of_a_picture_that_patches_lie_on(store: tuple[Path, Path]) -> None:
    with PatchWriter(*store, canvas=(16, 16), rate="25/1", mode="m") as writer:
        for index, corner in enumerate([(40, 12), (20, 30), (90, 4)]):
            writer.add(index, *corner, patch_of(noise(10, 16)))
    reader = PatchReader(*store)
    assert reader.within(200, 100) == (20, 4, 86, 36)
    assert reader.within(64, 36) == (20, 4, 44, 32)


def test_same_patches_make_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        with PatchWriter(
            tmp_path / f"{name}.mkv", tmp_path / f"{name}.npz", canvas=(32, 32), rate="25/1", mode="m"
        ) as w:
            w.add_bgra(3, 2, 2, noise(32, 32))
    for suffix in ("mkv", "npz"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_a_store_without_patches_is_still_a_video(store: tuple[Path, Path]) -> None:
    with PatchWriter(*store, canvas=(32, 32), rate="25/1", mode="none"):
        pass
    assert list(PatchReader(*store)) == []
    probe = ["ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", str(store[0])]
    assert subprocess.check_output(probe, text=True).strip() == "h264"


@pytest.mark.parametrize("where", [(0, 1, 0), (0, 0, 3), (-1, 0, 0)])
def test_patches_off_the_grid_or_out_of_order_are_refused(
    store: tuple[Path, Path], where: tuple[int, int, int]
) -> None:
    with PatchWriter(*store, canvas=(16, 16), rate="25/1", mode="m") as writer:
        writer.add_bgra(0, 0, 0, noise(4, 4))
        with pytest.raises(ValueError):
            writer.add_bgra(*where, noise(4, 4))
        with pytest.raises(ValueError, match="canvas"):
            writer.add_bgra(0, 0, 0, noise(17, 4))


def test_a_cut_off_store_says_so(store: tuple[Path, Path]) -> None:
    with PatchWriter(*store, canvas=(64, 64), rate="25/1", mode="m") as writer:
        for index in range(4):
            writer.add_bgra(index, 0, 0, noise(64, 64, seed=index))
    store[0].write_bytes(store[0].read_bytes()[:20_000])
    with pytest.raises(DubdError, match="fewer patches"):
        list(PatchReader(*store))


def test_pixels_outside_the_mask_keep_their_bytes() -> None:
    frame = np.random.default_rng(5).integers(0, 256, (72, 64)).astype(np.uint8)
    before = frame.copy()
    bgra = noise(20, 24)
    bgra[..., 3] = 0
    bgra[6:14, 8:16, 3] = 255
    composite(frame, 10, 12, patch_of(bgra))
    for (now, was), scale in zip(zip(planes(frame), planes(before), strict=True), (1, 2, 2), strict=True):
        touched = np.zeros(now.shape, bool)
        touched[18 // scale : 26 // scale, 18 // scale : 26 // scale] = True
        assert np.array_equal(now[~touched], was[~touched])
        assert (now[touched] != was[touched]).mean() > 0.9


# Codes of saturated colours: BT.709-6 table 3.5 with the 8-bit quantisation of 4.6; BT.601-7 likewise.
@pytest.mark.parametrize(
    ("space", "range", "bgr", "codes"),
    [
        ("bt709", "tv", (255, 255, 255), (235, 128, 128)),
        ("bt709", "tv", (0, 0, 255), (63, 102, 240)),
        ("bt601", "tv", (0, 0, 255), (81, 90, 240)),
        ("bt601", "pc", (0, 0, 0), (0, 128, 128)),
        ("bt2020nc", "tv", (0, 0, 255), (74, 97, 240)),
        ("bt709", "pc", (0, 0, 255), (54, 99, 255)),
    ],
)
def test_a_full_mask_gives_the_colour_of_the_patch(
    space: str, range: str, bgr: tuple[int, int, int], codes: tuple[int, int, int]
) -> None:
    frame = frame_of((100, 60, 200))
    composite(frame, 0, 0, Patch.of_bgra(np.full((48, 64, 4), (*bgr, 255), np.uint8), space, range))
    for plane, code in zip(planes(frame), codes, strict=True):
        assert np.all(plane == code)


def test_half_a_mask_is_half_way_and_the_edge_takes_no_colour_from_outside() -> None:
    frame = frame_of((35, 128, 128))
    bgra = np.full((4, 4, 4), (0, 0, 255, 128), np.uint8)
    bgra[:, 0] = 0
    composite(frame, 8, 8, patch_of(bgra))
    luma, blue, red = planes(frame)
    assert luma[8, 11] == round(35 + (62.6 - 35) * 128 / 255)
    assert red[4, 5] == round(128 + 112 * 128 / 255)
    assert red[4, 4] == round(128 + 112 * 128 / 255 / 2)
    assert blue[4, 4] < 128


@pytest.mark.parametrize("corner", [(-6, -4), (58, 40), (200, 0)])
def test_a_patch_over_the_edge_is_cropped(corner: tuple[int, int]) -> None:
    frame = frame_of((50, 128, 128))
    composite(frame, *corner, patch_of(np.full((16, 16, 4), 255, np.uint8)))
    x, y = corner
    changed = planes(frame)[0] != 50
    expected = np.zeros((48, 64), bool)
    expected[max(0, y) : y + 16, max(0, x) : x + 16] = True
    assert np.array_equal(changed, expected)


def test_a_full_disk_is_told_as_such(tmp_path: Path) -> None:
    with (
        pytest.raises(DubdError, match="no space left") as caught,
        PatchWriter(Path("/dev/full"), tmp_path / "g.npz", canvas=(64, 64), rate="25/1", mode="m") as writer,
    ):
        for index in range(40):
            writer.add_bgra(index, 0, 0, noise(64, 64, seed=index))
    assert caught.value.exit is Exit.WORKSPACE
    assert not (tmp_path / "g.npz").exists()


def test_an_encoder_or_decoder_that_was_killed_is_told_from_one_that_failed(
    store: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with PatchWriter(*store, canvas=(16, 16), rate="25", mode="lite") as writer:
        for frame in range(3):
            writer.add(frame, 0, 0, patch_of(noise(16, 16)))
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\nkill -9 $$\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with (
        pytest.raises(ProgramKilled, match="killed by signal 9"),
        PatchWriter(tmp_path / "new.mkv", tmp_path / "new.npz", canvas=(16, 16), rate="25", mode="lite") as writer,
    ):
        writer.add(0, 0, 0, patch_of(noise(16, 16)))
    with pytest.raises(ProgramKilled, match="killed by signal 9"):
        list(PatchReader(*store))
