"""The crop that Wav2Lip sees is upright and lies where it came from; its mask stays inside it and inside the jaw."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dubd.engines import jaw_mask
from dubd.engines.mouths_shape import measure
from dubd.engines.wav2lip_crop import SIDE, Crops, crops
from tests.engines.faces_drawn import points

PADS = (0.0, 0.08, 0.0, 0.0)


def face(size: float, turn: float, x: float = 200.3, y: float = 160.7) -> Crops:
    """Crops of a face that stands still for a dozen frames, eyes `size` px apart, its head tilted by `turn` rad."""
    still = np.stack([points(0.1, x=x, y=y, size=size, turn=turn)] * 12).astype(np.float32)
    return crops(measure(still, np.ones(12, bool)), 25.0, PADS)


def moved(one: np.ndarray, other: np.ndarray, where: np.ndarray) -> np.ndarray:
    """By how many px (x, y) the other lies off, by least squares over the slopes (Lucas and Kanade 1981)."""
    down, across = np.gradient(one)
    basis = np.stack([across[where], down[where], np.ones(int(where.sum()))], 1)
    return np.asarray(-np.linalg.lstsq(basis, (other - one)[where], rcond=None)[0][:2])


@pytest.mark.parametrize(("size", "turn"), [(37, 0.2), (60, 0.0), (60, 0.5), (100, 0.0), (120, -0.4)])
def test_what_is_cut_out_and_laid_back_lies_where_it_was(size: float, turn: float) -> None:
    noise = cv2.GaussianBlur(np.random.default_rng(0).random((400, 400, 3)), (0, 0), 6)
    picture = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    found = face(size, turn)

    crop = found.cut(picture[20:, 30:], (30, 20), 3)

    flags = cv2.WARP_INVERSE_MAP | cv2.INTER_CUBIC
    back = cv2.warpAffine(crop.astype(np.float32), found.matrix(3), (400, 400), flags=flags)
    corners = found.corners(3)
    inner = corners.mean(0) + (corners - corners.mean(0)) * 0.8
    where = cv2.fillConvexPoly(np.zeros((400, 400), np.uint8), inner.astype(np.int32), 1) > 0
    assert crop.shape == (SIDE, SIDE, 3)
    assert np.abs(moved(picture[..., 0].astype(float), back[..., 0].astype(float), where)).max() < 0.05


def test_a_tilted_head_is_upright_in_its_crop() -> None:
    upright, tilted = (face(60, turn) for turn in (0.0, 0.5))
    for found in (upright, tilted):
        eyes = found.shape.to_picture(3, found.shape.points[3][[36, 45, 8]])
        there = eyes @ found.matrix(3)[:, :2].T + found.matrix(3)[:, 2]
        assert abs(there[0, 1] - there[1, 1]) < 0.5 and there[0, 0] < SIDE / 2 < there[1, 0]
        assert 0.85 * SIDE < there[2, 1] < SIDE, "the chin is in it, with room below"


def test_the_half_that_is_drawn_begins_at_the_nose() -> None:
    found = face(60, 0.0)
    at = found.shape.to_picture(3, found.shape.points[3][[29, 33]]) @ found.matrix(3)[:, :2].T + found.matrix(3)[:, 2]

    assert at[0, 1] < SIDE / 2 < at[1, 1] + 2


def test_a_chin_that_speaks_does_not_move_the_crop() -> None:
    opening = 0.15 + 0.15 * np.sin(np.arange(60) * 2 * np.pi / 6)
    speaking = np.stack([points(float(gap)) for gap in opening]).astype(np.float32)
    found = crops(measure(speaking, np.ones(60, bool)), 25.0, PADS)

    assert np.ptp(found.shape.points[10:50, 8, 1]) > 10 * np.ptp(found.boxes[10:50, 3])


@pytest.mark.parametrize("turn", [0.0, 0.4])
@pytest.mark.parametrize(("x", "y"), [(200.0, 160.0), (40.0, 330.0), (380.0, 20.0)])
def test_a_patch_is_even_inside_the_picture_and_fades_out_before_its_edge(turn: float, x: float, y: float) -> None:
    found = face(80, turn, x, y)

    where = jaw_mask.area(found, 3, 400, 400)

    x0, y0, x1, y1 = where
    assert x0 % 2 == y0 % 2 == 0 and 0 <= x0 < x1 <= 400 and 0 <= y0 < y1 <= 400
    base = np.full((y1 - y0, x1 - x0, 3), 100, np.uint8)
    patch = jaw_mask.lay(base, where, found, 3, np.full((SIDE, SIDE, 3), 110, np.float32), 1.0)
    assert patch.shape == (y1 - y0, x1 - x0, 4)
    alpha = patch[..., 3]
    if (x, y) == (200.0, 160.0):
        assert alpha.max() == 255
        assert max(alpha[0].max(), alpha[-1].max(), alpha[:, 0].max(), alpha[:, -1].max()) == 0
        mouth = found.shape.to_picture(3, found.shape.points[3][48:60]) - [x0, y0]
        assert all(alpha[round(row), round(column)] > 230 for column, row in mouth), "a lip shows through"
        height, width = alpha.shape
        crop = cv2.fillConvexPoly(
            np.zeros((height, width), np.uint8), (found.corners(3) - [x0, y0]).round().astype(np.int32), 1
        )
        assert not alpha[crop == 0].any(), "what was not drawn is laid"


def test_colours_come_near_the_frames_by_no_more_than_18_levels() -> None:
    found = face(80, 0.0)
    where = jaw_mask.area(found, 3, 400, 400)
    base = np.full((where[3] - where[1], where[2] - where[0], 3), 100, np.uint8)
    for drawn, wanted in ((110, 100), (60, 78), (200, 182)):
        patch = jaw_mask.lay(base, where, found, 3, np.full((SIDE, SIDE, 3), drawn, np.float32), 1.0)
        inside = patch[patch[..., 3] == 255][:, :3]
        assert np.abs(inside.astype(int) - wanted).max() <= 2


def test_a_weight_fades_all_of_it() -> None:
    found = face(80, 0.0)
    where = jaw_mask.area(found, 3, 400, 400)
    base = np.full((where[3] - where[1], where[2] - where[0], 3), 100, np.uint8)
    whole, half = (
        jaw_mask.lay(base, where, found, 3, np.full((SIDE, SIDE, 3), 110, np.float32), weight) for weight in (1.0, 0.5)
    )

    assert np.abs(whole[..., 3] / 2 - half[..., 3]).max() <= 1


@pytest.mark.parametrize(("x", "y"), [(200, 390), (200, 460), (440, 200), (-60, 200), (200, -60), (395, 395)])
def test_a_mouth_beyond_the_edge_of_the_picture_gets_a_patch_that_shows_nothing_there(x: float, y: float) -> None:
    found = face(60, 0.0, x, y)
    x0, y0, x1, y1 = where = jaw_mask.area(found, 3, 400, 400)
    assert 0 <= x0 < x1 <= 400 and 0 <= y0 < y1 <= 400

    patch = jaw_mask.lay(np.zeros((y1 - y0, x1 - x0, 3), np.uint8), where, found, 3, np.zeros((SIDE, SIDE, 3)), 1.0)

    assert patch.shape == (y1 - y0, x1 - x0, 4)
    if x1 - x0 == 2 or y1 - y0 == 2:
        assert patch[..., 3].max() < 16
