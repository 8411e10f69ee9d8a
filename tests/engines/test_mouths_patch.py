"""A laid mouth and a bent mouth, pixel by pixel."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dubd.engines import mouths_bend, mouths_patch
from dubd.engines.mouths_shape import MouthShape
from tests.engines.faces_drawn import speaker

SIZE = (320, 320)


@pytest.fixture
def shape() -> MouthShape:
    return speaker(np.array([0.02, 0.2, 0.02]))


def picture(shape: MouthShape, index: int) -> np.ndarray:
    """A face of one colour with red lips and a black mouth where the shape has them, over a gradient."""
    ramp = np.linspace(120, 160, SIZE[0]).astype(np.uint8)
    frame = np.dstack([ramp[None].repeat(SIZE[1], 0)] * 3)
    at = shape.to_picture(index, shape.points[index]).round().astype(np.int32)
    cv2.fillPoly(frame, [at[48:60]], (60, 60, 180))
    cv2.fillPoly(frame, [at[60:68]], (10, 10, 10))
    return np.ascontiguousarray(frame)


def under(frame: np.ndarray, where: tuple[int, int, int, int]) -> np.ndarray:
    return mouths_patch.cut(frame, where).pixels


def over(frame: np.ndarray, where: tuple[int, int, int, int], patch: np.ndarray) -> np.ndarray:
    made = frame.astype(float)
    alpha = patch[..., 3:] / 255
    inside = np.s_[where[1] : where[3], where[0] : where[2]]
    made[inside] = made[inside] * (1 - alpha) + patch[..., :3] * alpha
    return made


def test_a_mouth_laid_on_itself_changes_nothing(shape: MouthShape) -> None:
    frame = picture(shape, 1)
    where = mouths_patch.area(shape, 1, *SIZE)

    patch = mouths_patch.lay(under(frame, where), where, shape, 1, 1, mouths_patch.cut(frame, where), 0.0, 0.0)

    assert np.abs(over(frame, where, patch) - frame).max() <= 2
    assert patch[..., 3].max() == 255


def test_an_open_mouth_replaces_a_shut_one_whole(shape: MouthShape) -> None:
    shut, wide = picture(shape, 0), picture(shape, 1)
    where = mouths_patch.area(shape, 0, *SIZE)
    mouth = mouths_patch.cut(wide, mouths_patch.area(shape, 1, *SIZE))
    jaw = float(shape.points[1, 8, 1] - shape.points[0, 8, 1])

    patch = mouths_patch.lay(under(shut, where), where, shape, 0, 1, mouth, jaw, 0.0)

    made = over(shut, where, patch)
    lips = shape.to_picture(1, shape.points[1, 48:68])
    x0, y0 = np.floor(lips.min(0)).astype(int)
    x1, y1 = np.ceil(lips.max(0)).astype(int)
    assert np.abs(made[y0:y1, x0:x1] - wide[y0:y1, x0:x1]).mean() < 6
    assert np.abs(shut[y0:y1, x0:x1].astype(float) - wide[y0:y1, x0:x1]).mean() > 20


def test_the_mask_is_nothing_at_the_border_and_above_the_nose(shape: MouthShape) -> None:
    frame = picture(shape, 0)
    where = mouths_patch.area(shape, 0, *SIZE)
    mouth = mouths_patch.cut(frame, where)

    for patch in (
        mouths_patch.lay(under(frame, where), where, shape, 0, 1, mouth, 0.1, 0.02),
        mouths_bend.bend(under(frame, where), where, shape, 0, 0.1),
    ):
        alpha = patch[..., 3]
        assert alpha.max() > 250
        assert not alpha[0].any() and not alpha[-1].any() and not alpha[:, 0].any() and not alpha[:, -1].any()
        nose = shape.to_picture(0, shape.points[0, 33])[1] - where[1]
        assert not alpha[: int(nose) - 2].any()
    assert where[0] % 2 == 0 and where[1] % 2 == 0


def test_bent_lips_open_by_what_was_asked_and_the_inside_is_dark(shape: MouthShape) -> None:
    frame = picture(shape, 0)
    where = mouths_patch.area(shape, 0, *SIZE)

    made = over(frame, where, mouths_bend.bend(under(frame, where), where, shape, 0, 0.15))

    middle = shape.to_picture(0, shape.points[0, [62, 66]]).mean(0).astype(int)
    column = made[middle[1] - 40 : middle[1] + 50, middle[0]].max(1)
    assert (column < 60).sum() == pytest.approx(0.17 * shape.eyes[0], abs=6)


def test_a_bent_mouth_never_closes_past_shut(shape: MouthShape) -> None:
    frame = picture(shape, 1)
    where = mouths_patch.area(shape, 1, *SIZE)

    made = over(frame, where, mouths_bend.bend(under(frame, where), where, shape, 1, -9.0))

    middle = shape.to_picture(1, shape.points[1, [62, 66]]).mean(0).astype(int)
    column = made[middle[1] - 40 : middle[1] + 40, middle[0]].max(1)
    assert (column < 60).sum() <= 3
    assert np.isfinite(made).all()


@pytest.mark.parametrize("where", [(0, 0, 40, 30), (280, 290, 320, 320)])
def test_a_mouth_outside_the_area_leaves_it_alone(shape: MouthShape, where: tuple[int, int, int, int]) -> None:
    frame = picture(shape, 1)
    mouth = mouths_patch.cut(frame, mouths_patch.area(shape, 1, *SIZE))

    patch = mouths_patch.lay(under(frame, where), where, shape, 0, 1, mouth, 0.1, 0.05)

    assert patch.shape == (where[3] - where[1], where[2] - where[0], 4)
    assert np.abs(over(frame, where, patch) - frame).max() <= 2
