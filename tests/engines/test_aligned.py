"""A face is laid on the template and its changes come back to the same pixels, steadily from frame to frame."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dubd.engines import aligned
from dubd.engines.flicker import Flicker, Steady
from dubd.engines.patched import seats
from dubd.engines.tracks import Tracks
from dubd.media.patches import matrix, planes
from tests.engines.faces_drawn import points

CODES = matrix("bt709", "tv")


def affine(**place: float) -> np.ndarray:
    found = aligned.to_template(aligned.five(points(0.0, **place)))
    assert found is not None
    return found


def second_difference(values: np.ndarray) -> float:
    return float(np.abs(np.diff(values, 2, axis=0)).mean())


@pytest.mark.parametrize("turn", [0.0, 0.4])
def test_a_face_comes_to_lie_on_the_template(turn: float) -> None:
    turned = aligned.TEMPLATE @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) * 0.3 + [90, 40]
    found = aligned.to_template(turned)
    assert found is not None
    assert np.abs(turned @ found[:, :2].T + found[:, 2] - aligned.TEMPLATE).max() < 1e-6


def test_points_that_lie_on_one_another_or_are_none_have_no_place() -> None:
    assert aligned.to_template(np.full((5, 2), 3.0)) is None
    assert aligned.to_template(np.full((5, 2), np.nan)) is None


@pytest.mark.parametrize("size", [60.0, 250.0])
def test_a_change_comes_back_to_the_pixels_it_was_made_for(size: float) -> None:
    way = affine(x=200.0, y=150.0, size=size, turn=0.2)
    frame = np.zeros((450, 400), np.uint8)
    frame[300:] = 128
    luma = planes(frame)[0]
    cv2.GaussianBlur(np.random.default_rng(1).integers(0, 255, luma.shape).astype(np.uint8), (0, 0), 6, luma)
    seen = aligned.aligned(planes(frame), way, CODES)
    back = aligned.returned(seen, way, 180, 180, 40, 30)
    assert np.abs(back[0] - luma[180:210, 180:220]).mean() < 1.5
    assert np.abs(back[1] - 128).max() < 0.5


def test_planes_survive_the_way_to_colours_and_back() -> None:
    given = np.dstack([np.full((4, 4), level, np.float32) for level in (110, 120, 140)])
    bgr = aligned.bgr_of(given, CODES)
    assert np.abs(cv2.transform(bgr, CODES) - given).max() < 1e-3


def test_beyond_the_picture_lies_the_grey_of_the_training() -> None:
    seen = aligned.aligned(planes(np.zeros((15, 10), np.uint8)), affine(x=500.0, y=500.0, size=60.0), CODES)
    assert np.abs(aligned.bgr_of(seen, CODES) - [135, 133, 132]).max() < 0.1


def test_smoothing_takes_the_jitter_and_never_looks_across_a_gap() -> None:
    noise = np.random.default_rng(2).standard_normal((40, 5, 2))
    jittery = aligned.TEMPLATE + noise
    seen = np.ones(40, bool)
    assert second_difference(aligned.smoothed(jittery, seen)) < 0.4 * second_difference(jittery)
    seen[20] = False
    jumping = jittery + np.where(np.arange(40) > 20, 100.0, 0.0)[:, None, None]
    jumping[20] = np.nan
    smooth = aligned.smoothed(jumping, seen)
    assert np.abs(smooth[seen] - jumping[seen]).max() < 5
    assert np.isnan(smooth[20]).all()


def test_a_row_of_patches_ends_at_a_gap_and_a_patch_elsewhere_has_no_face() -> None:
    face = points(0.1, x=160, y=110, size=70).astype(np.float32)
    whole = np.broadcast_to(face, (1, 6, 68, 2))
    tracks = Tracks(np.zeros((1, 6, 4), np.float32), whole, np.ones((1, 6), bool), np.zeros(0, np.int32))
    x, y = (int(at) - 40 for at in face[48:68].mean(0))
    made = seats(tracks, [(0, x, y, 80, 80), (1, x, y, 80, 80), (1, 0, 0, 20, 20), (3, x, y, 80, 80)])
    assert [seat and seat.run for seat in made] == [0, 0, None, 1]


def test_coarse_changes_are_averaged_and_fine_ones_pass() -> None:
    fine = np.random.default_rng(3).standard_normal((512, 512, 3)).astype(np.float32)
    steady = Steady(0.2)
    made = [steady(fine + level) for level in (8.0, -8.0, 8.0, -8.0)]
    assert np.allclose([each.mean() for each in made], [8.0, 4.8, 5.44, 2.752], atol=0.01)
    assert np.abs((made[1] - made[1].mean()) - (fine - fine.mean())).mean() < 0.1


def test_flicker_is_the_second_difference_within_the_mask_and_stretches_are_apart() -> None:
    flicker, weight = Flicker(), np.zeros((4, 4), np.float32)
    assert flicker.means() is None
    weight[:2] = 1
    still, moving = np.zeros((4, 4), np.float32), np.zeros((4, 4), np.float32)
    for _ in range(2):
        stretch = flicker.stretch()
        for level in (0, 10, 0, 10):
            moving = np.full((4, 4), level, np.float32)
            moving[2:] = 999 * level
            stretch.add(np.stack([still, moving]), weight)
    assert flicker.means() == [0.0, pytest.approx(20.0)]
