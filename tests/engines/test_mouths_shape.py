"""A face in its own coordinates."""

from __future__ import annotations

import numpy as np
import pytest

from dubd.engines.mouths_shape import measure
from tests.engines.faces_drawn import points, speaker


def test_the_gap_is_in_eye_distances_wherever_the_face_is() -> None:
    gaps = np.array([0.0, 0.1, 0.2])
    near = speaker(gaps)
    far = speaker(gaps, size=40.0, x=300.0, turn=0.3)

    assert near.gap == pytest.approx(gaps, abs=1e-3)
    assert far.gap == pytest.approx(gaps, abs=1e-3)
    assert near.eyes == pytest.approx(100, rel=0.01) and far.eyes == pytest.approx(40, rel=0.01)


def test_a_spot_of_the_face_is_found_in_another_frame() -> None:
    faces = np.stack([points(0.1), points(0.1, x=200, size=120, turn=0.2)]).astype(np.float32)
    shape = measure(faces, np.ones(2, bool))

    matrix = shape.between(0, 1)

    there = faces[0] @ matrix[:, :2].T + matrix[:, 2]
    assert np.abs(there - faces[1]).max() < 0.5


def test_unseen_frames_are_left_out() -> None:
    faces = np.full((4, 68, 2), np.nan, np.float32)
    faces[1:3] = points(0.1)
    shape = measure(faces, np.array([False, True, True, False]))

    assert shape.frames.tolist() == [1, 2]
    assert shape.has(1) and shape.has(2) and not shape.has(0) and not shape.has(3)


def test_a_face_that_looks_ahead_has_no_yaw_and_a_turned_one_has() -> None:
    ahead = points(0.1)
    aside = ahead.copy()
    aside[27:36, 0] += 30
    shape = measure(np.stack([ahead, aside]).astype(np.float32), np.ones(2, bool))

    assert abs(shape.yaw[0]) < 1 and abs(shape.yaw[1]) > 10
