"""How far an opening moves what lies about the lips."""

from __future__ import annotations

import numpy as np
import pytest

from dubd.engines import mouths_lips
from dubd.engines.mouths_shape import MouthShape
from tests.engines.faces_drawn import speaker

AREA = (0, 0, 320, 320)


@pytest.fixture
def shape() -> MouthShape:
    return speaker(np.array([0.02, 0.2, 0.02]))


@pytest.mark.parametrize("opening", [0.1, -0.08])
def test_the_lips_end_up_apart_by_the_opening(shape: MouthShape, opening: float) -> None:
    face = shape.points[1]

    move, _ = mouths_lips.displace(shape, 1, face, AREA, opening, chin=False)

    scale = shape.eyes[1]
    for lip, share in ((62, -mouths_lips.UP), (66, mouths_lips.DOWN)):
        x, y = shape.to_picture(1, face[lip] + [0, share * opening]).round().astype(int)
        assert move[y, x] * scale == pytest.approx(-share * opening * scale, abs=1.5)


def test_what_lies_beyond_nose_and_chin_stays(shape: MouthShape) -> None:
    face = shape.points[1]

    move, depth = mouths_lips.displace(shape, 1, face, AREA, 0.1, chin=False)

    nose, chin = (int(shape.to_picture(1, face[at])[1]) for at in (33, 8))
    assert not move[: nose - 2].any() and not move[chin + 3 :].any()
    assert move.any() and depth[: nose - 2].max() < 0


def test_an_empty_part_has_no_movement(shape: MouthShape) -> None:
    move, depth = mouths_lips.displace(shape, 1, shape.points[1], (5, 5, 5, 9), 0.1, chin=True)

    assert move.shape == depth.shape == (4, 0)
