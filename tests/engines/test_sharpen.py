"""The sharpener brings a softened patch back to its frame, and does not flicker."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from dubd.engines.contract import Shot
from dubd.engines.sharpen import Sharpen, SharpenParams
from dubd.engines.sharpen_match import measure
from dubd.engines.tracks import Tracks
from dubd.media.ffmpeg import YuvEncoder, frames_yuv
from dubd.media.patches import Patch, PatchReader, PatchWriter, Pixels, Planes, planes

WIDTH, HEIGHT, FRAMES, SIDE, LEFT, TOP = 192, 128, 16, 80, 56, 24


def texture(grain: float, frame: int) -> Pixels:
    """Grey detail of several sizes that stands still, grain that does not."""
    fixed = np.random.default_rng(1).standard_normal((HEIGHT, WIDTH))
    detail = sum(cv2.GaussianBlur(fixed, (0, 0), sigma) * sigma for sigma in (0.9, 2, 5))
    noise = np.random.default_rng(100 + frame).standard_normal((HEIGHT, WIDTH)) * grain
    luma = np.clip(120 + 12 * np.asarray(detail) + noise, 16, 235).astype(np.uint8)
    return np.concatenate([luma, np.full((HEIGHT // 2, WIDTH), 128, np.uint8)])


def clip(path: Path, grain: float = 0.0, cut: int = FRAMES) -> list[Planes]:
    """Write a clip, darker from frame `cut` on; its frames as planes."""
    options = ["-c:v", "libx264", "-qp", "0", "-threads", "1", "-f", "mp4"]
    with YuvEncoder(path, WIDTH, HEIGHT, "25/1", options) as encoder:
        for index in range(FRAMES):
            frame = texture(grain, index)
            frame[:HEIGHT] -= np.uint8(12 if index >= cut else 0)
            encoder.write(frame)
    return [planes(frame) for frame in frames_yuv(path, WIDTH, HEIGHT)]


def mask() -> Pixels:
    alpha = np.zeros((SIDE, SIDE), np.uint8)
    cv2.ellipse(alpha, (SIDE // 2, SIDE // 2), (26, 22), 0, 0, 360, 255, -1)
    return np.asarray(cv2.GaussianBlur(alpha, (17, 17), 0), np.uint8)


def region(frame: Planes) -> Planes:
    """What lies under the patch."""
    half = np.s_[TOP // 2 : (TOP + SIDE) // 2, LEFT // 2 : (LEFT + SIDE) // 2]
    return frame[0][TOP : TOP + SIDE, LEFT : LEFT + SIDE], frame[1][half], frame[2][half]


def softened(frame: Planes, shift: tuple[int, int, int] = (0, 0, 0)) -> Patch:
    """The frame's own region as a lip stage might return it: blurred, without grain, of another colour (Y, Cb, Cr)."""
    soft = [cv2.GaussianBlur(own, (0, 0), 0.9).astype(int) + by for own, by in zip(region(frame), shift, strict=True)]
    luma, cb, cr = (np.clip(plane, 0, 255).astype(np.uint8) for plane in soft)
    return Patch(luma, cb, cr, mask())


class Bench:
    """One segment on disk and the sharpener's answer to it."""

    def __init__(self, folder: Path, **given: float) -> None:
        self.folder = folder
        self.frames = clip(folder / "video.mp4", grain=given.get("grain", 0.0), cut=int(given.get("cut", FRAMES)))
        self.cuts = [int(given["cut"])] if "cut" in given else []

    def restore(self, patches: list[Patch], **params: float) -> tuple[list[Patch], dict[str, float]]:
        paths = [self.folder / name for name in ("p.mkv", "g.npz", "faces.npz", "q.mkv", "h.npz")]
        with PatchWriter(paths[0], paths[1], canvas=(SIDE, SIDE), rate="25/1", mode="m") as writer:
            for index, patch in enumerate(patches):
                writer.add(index, LEFT, TOP, patch)
        nobody = np.zeros((0, 0, 68, 2), np.float32)
        seen = np.zeros((0, 0), np.bool_)
        Tracks(nobody[:, :, :4, 0], nobody, seen, np.array(self.cuts, np.int32)).save(paths[2])
        engine = Sharpen()
        engine.load("cpu", SharpenParams(**params))
        with PatchWriter(paths[3], paths[4], canvas=(SIDE, SIDE), rate="25/1", mode="m") as out:
            given = PatchReader(paths[0], paths[1])
            shot = Shot(self.folder / "video.mp4", "25/1", FRAMES, faces=paths[2], patches=given, out=out)
            (facts,) = engine.run([shot])
        assert not isinstance(facts, Exception), facts
        return [patch for *_, patch in PatchReader(paths[3], paths[4])], dict(facts)

    def miss(self, patches: list[Patch], first: int = 0) -> float:
        """Root mean square distance to the frame's luma within the mask."""
        alpha = mask() / 255.0
        own = [region(frame)[0] for frame in self.frames]
        squares = [((p.luma.astype(float) - o) ** 2 * alpha).mean() for p, o in zip(patches, own, strict=True)]
        return float(np.sqrt(np.mean(squares[first:])))


def test_a_softened_patch_gets_the_detail_of_its_frame(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    soft = [softened(frame) for frame in bench.frames]
    sharp, facts = bench.restore(soft, grain=0.0)
    assert facts["sharpness_before"] < 0.6
    assert 0.85 < facts["sharpness_after"] < 1.1
    assert bench.miss(sharp) < 0.7 * bench.miss(soft)


def test_a_patch_as_sharp_as_its_frame_is_left_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    own = [Patch(*region(frame), alpha=mask()) for frame in bench.frames]
    kept, facts = bench.restore(own)
    assert facts["boost"] == pytest.approx(0, abs=0.02)
    assert bench.miss(kept) < 0.3


def test_colour_is_matched_where_patch_and_frame_meet(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    tinted = [softened(frame, shift=(9, -6, 4)) for frame in bench.frames]
    matched, _ = bench.restore(tinted)
    where = mask() > 200
    for patch, frame in zip(matched, bench.frames, strict=True):
        made, halved = (patch.luma, patch.cb, patch.cr), where[::2, ::2]
        for plane, own, inside in zip(made, region(frame), (where, halved, halved), strict=True):
            assert abs((plane.astype(float) - own)[inside].mean()) < 1.0


def test_grain_comes_back_and_differs_from_frame_to_frame(tmp_path: Path) -> None:
    bench = Bench(tmp_path, grain=4.0)
    grainy, facts = bench.restore([softened(frame) for frame in bench.frames])
    assert facts["grain"] > 2
    for patch, frame in zip(grainy, bench.frames, strict=True):
        seen = measure(patch, region(frame))
        assert 0.75 < seen.noise / seen.wanted < 1.25
    change = grainy[5].luma[30:50, 30:50].astype(float) - grainy[4].luma[30:50, 30:50]
    assert change.std() > 2


def test_alpha_and_place_stay_and_nothing_appears_outside(tmp_path: Path) -> None:
    bench = Bench(tmp_path, grain=3.0)
    for patch in bench.restore([softened(frame) for frame in bench.frames])[0]:
        assert np.array_equal(patch.alpha, mask())
        assert not patch.luma[mask() == 0].any()


def test_a_flickering_measure_does_not_become_a_flickering_patch(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    uneven = [softened(frame, shift=(0, 0, 0) if i % 2 else (8, 8, 8)) for i, frame in enumerate(bench.frames)]
    steady, _ = bench.restore(uneven, strength=0.0, grain=0.0)
    added = [int(now.luma[40, 40]) - int(was.luma[40, 40]) for now, was in zip(steady, uneven, strict=True)]
    assert np.abs(np.diff(added[2:])).max() <= 2


def test_averages_start_anew_at_a_cut(tmp_path: Path) -> None:
    bench = Bench(tmp_path, cut=8)
    first = bench.frames[0]
    lit = [softened(first) for _ in bench.frames]
    matched, _ = bench.restore(lit, strength=0.0, grain=0.0)
    shift = [float(now.luma[40, 40]) - float(was.luma[40, 40]) for now, was in zip(matched, lit, strict=True)]
    assert max(map(abs, shift[:8])) <= 1
    assert shift[8] == pytest.approx(shift[-1], abs=1) and shift[8] < -9


def test_the_same_patches_make_the_same_bytes(tmp_path: Path) -> None:
    bench = Bench(tmp_path, grain=4.0)
    patches = [softened(frame) for frame in bench.frames]
    one, other = bench.restore(patches)[0], bench.restore(patches)[0]
    assert all(np.array_equal(a.luma, b.luma) for a, b in zip(one, other, strict=True))
