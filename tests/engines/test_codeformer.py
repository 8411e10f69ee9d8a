"""CodeFormer restores patches in their places, within their masks, steadily, and refuses other checkpoints."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from dubd.engines.codeformer import CodeFormer, CodeFormerParams, _batches
from dubd.engines.contract import Room
from dubd.engines.patched import Patched
from dubd.engines.tracks import Tracks
from dubd.errors import DubdError
from dubd.media.ffmpeg import YuvEncoder, frames_yuv
from dubd.media.patches import Patch, PatchReader, PatchWriter, Pixels, composite, planes
from dubd.stages import restore
from dubd.stages.job import Job
from tests.engines import tiny_codeformer
from tests.engines.faces_drawn import points

WIDTH, HEIGHT, WIDE, HIGH = 320, 240, 96, 80
Weights = dict[str, torch.Tensor]


def of_one_colour(weights: Weights) -> None:
    """Whatever goes in, what comes out is (R, G, B) = (255, 0, 0)."""
    weights["generator.blocks.24.weight"].zero_()
    weights["generator.blocks.24.bias"].copy_(torch.tensor([1.0, -1.0, -1.0]))


def alpha() -> Pixels:
    made = np.zeros((HIGH, WIDE), np.uint8)
    cv2.ellipse(made, (WIDE // 2, HIGH // 2), (38, 30), 0, 0, 360, 255, -1)
    return np.asarray(cv2.GaussianBlur(made, (9, 9), 0), np.uint8)


def detail(height: int, width: int) -> Pixels:
    """Spots of a few pixels: no grain, which does not count as detail."""
    spots = cv2.GaussianBlur(np.random.default_rng(0).standard_normal((height, width)), (0, 0), 1.5)
    return np.asarray(np.clip(120 + 150 * spots, 16, 235), np.uint8)


class Bench:
    """One segment with a face whose mouth was patched, and the stage's answer to it."""

    def __init__(
        self, folder: Path, change: Callable[[Weights], object] | None = None, frames: int = 2, size: float = 70.0
    ) -> None:
        self.folder = folder
        self.weights = tiny_codeformer.make(folder, change)
        self.inputs = {
            "video": folder / "video.mp4",
            "faces": folder / "faces.npz",
            "patches": folder / "patches.mkv",
            "geometry": folder / "geometry.npz",
        }
        self.outputs = {"patches": folder / "out.mkv", "geometry": folder / "out.npz"}
        rough = detail(HEIGHT, WIDTH)
        options = ["-c:v", "libx264", "-qp", "0", "-threads", "1", "-f", "mp4"]
        with YuvEncoder(self.inputs["video"], WIDTH, HEIGHT, "25/1", options) as encoder:
            for _ in range(frames):
                encoder.write(np.concatenate([rough, np.full((HEIGHT // 2, WIDTH), 128, np.uint8)]))
        face = points(0.1, x=160, y=110, size=size)
        self.mouth = face[48:68].mean(0)
        self.x, self.y = (int(at - side / 2) // 2 * 2 for at, side in zip(self.mouth, (WIDE, HIGH), strict=True))
        whole = np.broadcast_to(face.astype(np.float32), (1, frames, 68, 2))
        box = np.concatenate([face.min(0), face.max(0)]).astype(np.float32)
        tracks = Tracks(np.broadcast_to(box, (1, frames, 4)), whole, np.ones((1, frames), bool), np.zeros(0, np.int32))
        tracks.save(self.inputs["faces"])
        self.levels = [110] * frames

    def patch(self, level: int) -> Patch:
        half = np.full((HIGH // 2, WIDE // 2), 128, np.uint8)
        return Patch(np.full((HIGH, WIDE), level, np.uint8), half, half, alpha())

    def engine(self, batch: int = 2, **params: Any) -> CodeFormer:
        engine = CodeFormer()
        engine.room = Room(None, batch)
        engine.load("cpu", CodeFormerParams(model=str(self.weights), **params))
        return engine

    def restore(
        self, where: list[tuple[int, int, int]] | None = None, batch: int = 2, **params: Any
    ) -> tuple[dict[str, Any], list[tuple[int, int, int, Patch]], list[tuple[int, int, int, Patch]]]:
        """The stage's facts, the patches that went in, and those that came out."""
        where = where or [(frame, self.x, self.y) for frame in range(len(self.levels))]
        size = {"canvas": (WIDE, HIGH), "rate": "25/1", "mode": "m"}
        with PatchWriter(self.inputs["patches"], self.inputs["geometry"], **size) as writer:  # type: ignore[arg-type]
            for frame, x, y in where:
                writer.add(frame, x, y, self.patch(self.levels[frame]))
        job = Job("a/restore", "restore", self.inputs, self.outputs, {"rate": "25/1"})
        (facts,) = restore.run([job], self.engine(batch, **params))
        assert isinstance(facts, dict), facts
        read = (PatchReader(self.inputs["patches"], self.inputs["geometry"]), PatchReader(**self.outputs))
        return facts, list(read[0]), list(read[1])


def test_what_the_network_makes_lands_in_the_mask_and_nowhere_else(tmp_path: Path) -> None:
    bench = Bench(tmp_path, of_one_colour)
    facts, _, made = bench.restore(blend=1.0)
    assert facts["restored"] == 2 and facts["mode"] == "m+codeformer"
    for index, (frame, (number, x, y, patch)) in enumerate(
        zip(frames_yuv(bench.inputs["video"], WIDTH, HEIGHT), made, strict=True)
    ):
        assert (number, x, y) == (index, bench.x, bench.y)
        assert np.array_equal(patch.alpha, alpha())
        shown = np.array(frame)
        composite(shown, x, y, patch)
        luma, cb, cr = planes(shown)
        mouth = np.s_[
            int(bench.mouth[1]) - 20 : int(bench.mouth[1]) + 20, int(bench.mouth[0]) - 20 : int(bench.mouth[0]) + 20
        ]
        half = np.s_[int(bench.mouth[1]) // 2, int(bench.mouth[0]) // 2]
        # Red in BT.601, which is what a video without a tag is taken for: 81, 90, 240.
        assert abs(luma[mouth].astype(int) - 81).max() <= 1
        assert abs(int(cb[half]) - 90) <= 1 and abs(int(cr[half]) - 240) <= 1
        outside = np.ones((HEIGHT, WIDTH), bool)
        outside[y : y + HIGH, x : x + WIDE] = alpha() == 0
        assert np.array_equal(luma[outside], planes(frame)[0][outside])


def test_blended_with_nothing_the_patches_come_out_bit_for_bit(tmp_path: Path) -> None:
    facts, given, made = Bench(tmp_path).restore(blend=0.0)
    assert facts["restored"] == 2
    for before, after in zip(given, made, strict=True):
        assert before[:3] == after[:3]
        for name in ("luma", "cb", "cr", "alpha"):
            assert np.array_equal(getattr(before[3], name), getattr(after[3], name))


def test_a_real_pass_changes_the_patch_and_batches_do_not_matter(tmp_path: Path) -> None:
    bench = Bench(tmp_path, frames=3)
    _, given, together = bench.restore(batch=3)
    _, _, alone = bench.restore(batch=1)
    for before, one, other in zip(given, together, alone, strict=True):
        assert np.abs(one[3].luma.astype(int) - before[3].luma).mean() > 3
        assert np.abs(one[3].luma.astype(int) - other[3].luma).max() <= 1


def test_a_patch_without_a_face_passes_unchanged_between_those_with_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path, of_one_colour)
    places = [(0, 0, 0), (0, bench.x, bench.y), (1, bench.x, bench.y), (1, 224, 160)]
    facts, given, made = bench.restore(places)
    assert (facts["restored"], facts["without_face"]) == (2, 2)
    assert [each[:3] for each in made] == places
    same = [np.array_equal(a[3].luma, b[3].luma) for a, b in zip(given, made, strict=True)]
    assert same == [True, False, False, True]


def test_a_small_face_is_left_alone(tmp_path: Path) -> None:
    facts, given, made = Bench(tmp_path, size=40).restore()  # 52 px from ear to ear
    assert (facts["restored"], facts["small"]) == (0, 2)
    assert np.array_equal(given[0][3].luma, made[0][3].luma)


def test_patches_as_sharp_as_their_frame_are_left_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    rough = detail(HIGH, WIDE)
    soft = bench.patch(0)
    bench.patch = lambda level: Patch(rough, soft.cb, soft.cr, soft.alpha)  # type: ignore[method-assign]  # noqa: ARG005
    facts, given, made = bench.restore()
    assert (facts["restored"], facts["sharp"]) == (0, 2)
    assert np.array_equal(given[0][3].luma, made[0][3].luma)


def test_light_that_jumps_is_steadied_along_a_face(tmp_path: Path) -> None:
    bench = Bench(tmp_path, of_one_colour, frames=5)
    bench.levels = [
        100,
        120,
        100,
        120,
        100,
    ]  # the network answers each with the same colour: its change goes to and fro by 20
    jumping = bench.restore(blend=1.0, memory=0.0)[0]
    steady = bench.restore(blend=1.0, memory=0.2)[0]
    assert jumping["flicker_of_change"] > 0.9 * jumping["flicker_before"] > 10
    assert steady["flicker_of_change"] < 0.35 * jumping["flicker_of_change"]


def test_no_more_patches_wait_than_a_few_for_each_face_of_a_batch() -> None:
    blank = Patch(*(np.zeros((2, 2), np.uint8) for _ in range(4)))
    face = np.zeros((1, 1, 3), np.float32)
    long = [Patched(frame, 0, 0, blank, planes=face if frame >= 500 else None) for frame in range(600)]
    sizes = [len(batch) for batch in _batches(iter(long), 2)]
    assert sum(sizes) == 600 and max(sizes) <= 8
    assert sizes[-20:] == [2] * 20  # full again once faces follow on one another


def _code(path: Path) -> None:
    class Malicious:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, ("touch " + str(path.with_name("ran")),)

    path.write_bytes(pickle.dumps({"params_ema": Malicious()}, protocol=2))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def _other(path: Path) -> None:
    torch.save({"params_ema": {"stylegan_decoder.style_mlp.1.weight": torch.zeros(2, 2)}}, path)


def _none(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [(_code, "wants to run"), (_cut, "not a whole"), (_other, "it looks like GFPGAN"), (_none, "no checkpoint there")],
)
def test_a_checkpoint_that_is_none_is_refused_in_one_line(
    tmp_path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    weights = tiny_codeformer.make(tmp_path)
    spoil(weights)
    with pytest.raises(DubdError) as raised:
        CodeFormer().load("cpu", CodeFormerParams(model=str(weights)))
    line = str(raised.value)
    assert line.startswith(str(weights)) and ": restore: " in line and said in line
    assert "; " in line and "\n" not in line
    assert not (tmp_path / "ran").exists()


def test_a_path_at_which_nothing_is_is_told_as_the_rule_has_it(tmp_path: Path) -> None:
    with pytest.raises(DubdError) as raised:
        CodeFormer().load("cpu", CodeFormerParams(model=str(tmp_path / "mine")))
    assert raised.value.file == str(tmp_path / "mine") and "no checkpoint there" in raised.value.reason


def test_a_precision_that_overflows_is_refused(tmp_path: Path) -> None:
    engine = CodeFormer()
    engine.precision = "fp16"
    with pytest.raises(DubdError, match=r"does not run in fp16.*bf16 or fp32"):
        engine.load("cpu", CodeFormerParams(model=str(tiny_codeformer.make(tmp_path))))


@pytest.mark.parametrize("wrong", [{"fidelity": 1.2}, {"blend": -0.1}, {"memory": float("nan")}, {"min_face": -1}])
def test_parameters_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        CodeFormerParams(**wrong)  # type: ignore[arg-type]


def test_the_memory_that_it_asks_for_grows_with_the_batch_and_halves_with_the_precision() -> None:
    full, half = (CodeFormer.vram(CodeFormerParams(), precision) for precision in (None, "bf16"))
    assert full is not None and half is not None
    assert full.at(3) - full.at(2) == full.per_item == 2 * half.per_item
