"""Faces found and followed in the sample's picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dubd.engines import landmarks_follow
from dubd.engines.landmarks import Dlib, DlibParams, model
from dubd.engines.tracks import Tracks
from dubd.errors import DubdError

PORTRAIT = Path(__file__).parents[2] / "script" / "sample" / "hopper.jpg"
needs_model = pytest.mark.skipif(model() is None, reason="the 68-point model of libdlib-data is not here")


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    grey = np.asarray(cv2.imread(str(PORTRAIT), cv2.IMREAD_GRAYSCALE))
    return np.asarray(cv2.resize(grey, (320, 320)), np.uint8)


@pytest.fixture(scope="module")
def engine() -> Dlib:
    engine = Dlib()
    engine.load("cpu", DlibParams())
    return engine


def shifted(picture: np.ndarray, frames: int, step: float = 1.0) -> Iterator[np.ndarray]:
    """The picture moving to the right by `step` pixels a frame."""
    for index in range(frames):
        matrix = np.array([[1, 0, step * index], [0, 1, 0]], np.float64)
        yield cv2.warpAffine(picture, matrix, (320, 320), borderMode=cv2.BORDER_REPLICATE)


@needs_model
def test_a_moving_face_is_one_track_that_moves_with_it(engine: Dlib, portrait: np.ndarray) -> None:
    tracks = engine.follow(shifted(portrait, 24), 25)

    assert tracks.count == 1 and tracks.seen.all() and not len(tracks.cuts)
    nose = tracks.points[0, :, 30]
    assert nose[20, 0] - nose[0, 0] == pytest.approx(20, abs=2)
    assert abs(nose[20, 1] - nose[0, 1]) < 2
    x0, y0, x1, y1 = tracks.boxes[0, 0]
    assert (tracks.points[0, 0, 17:] >= (x0, y0)).all() and (tracks.points[0, 0, 17:] <= (x1, y1)).all()


@needs_model
def test_no_track_crosses_a_cut_and_black_has_no_face(engine: Dlib, portrait: np.ndarray) -> None:
    black = np.full_like(portrait, 16)
    frames = [portrait] * 12 + [black] * 6 + [portrait[:, ::-1].copy()] * 12

    tracks = engine.follow(iter(frames), 25)

    assert tracks.cuts.tolist() == [12, 18]
    assert tracks.count == 2
    assert tracks.seen[0].nonzero()[0].tolist() == list(range(12))
    assert tracks.seen[1].nonzero()[0].tolist() == list(range(18, 30))
    assert np.isnan(tracks.points[:, 12:18]).all()


@needs_model
def test_two_faces_are_two_tracks(engine: Dlib, portrait: np.ndarray) -> None:
    both = np.hstack([portrait, portrait[:, ::-1]])

    tracks = engine.follow(iter([both] * 10), 25)

    assert tracks.count == 2 and tracks.seen.all()
    assert sorted(tracks.points[:, 0, 30, 0] > 320) == [False, True]


@needs_model
def test_a_picture_without_a_face_has_no_track(engine: Dlib) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (240, 320), np.uint8)

    tracks = engine.follow(iter([noise] * 10), 25)

    assert tracks.count == 0 and tracks.points.shape == (0, 10, 68, 2)


@needs_model
def test_a_face_that_is_sure_is_looked_for_half_as_often(
    engine: Dlib, portrait: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    detect = landmarks_follow.Follower._detect

    def spy(follower: landmarks_follow.Follower, tracks: Any, grey: np.ndarray, index: int, *more: Any) -> None:
        looked.append(index)
        detect(follower, tracks, grey, index, *more)

    monkeypatch.setattr(landmarks_follow.Follower, "_detect", spy)
    tracks = engine.follow(iter([portrait] * 40), 25)

    assert looked == [0, 8, 24]
    assert tracks.count == 1 and tracks.seen.all()


def test_smoothing_keeps_a_curve_whole_and_takes_a_flicker_out() -> None:
    time = np.arange(20.0)
    curve = np.broadcast_to((time**2 / 10)[:, None, None], (20, 68, 2))
    flicker = np.where(time % 2, 1.0, -1.0)[:, None, None]

    smooth = landmarks_follow._smooth(curve + flicker)

    assert np.abs(smooth - curve)[4:-4].max() < 1e-9
    assert np.array_equal(landmarks_follow._smooth(curve[:3]), curve[:3])


def test_the_missing_model_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("dubd.engines.landmarks.FOLDERS", ())
    monkeypatch.setenv("DUBD_MODELS", str(tmp_path))
    assert "libdlib-data" in (Dlib.missing() or "")

    (tmp_path / "shape_predictor_68_face_landmarks.dat").touch()
    assert Dlib.missing() is None


def test_tracks_are_read_as_they_were_written_and_byte_for_byte_again(tmp_path: Path) -> None:
    tracks = Tracks(
        np.zeros((1, 3, 4), np.float32),
        np.full((1, 3, 68, 2), np.nan, np.float32),
        np.array([[True, False, True]]),
        np.array([2], np.int32),
    )
    tracks.save(tmp_path / "a.npz")
    tracks.save(tmp_path / "b.npz")

    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    read = Tracks.load(tmp_path / "a.npz")
    assert read.seen.tolist() == [[True, False, True]] and read.cuts.tolist() == [2]
    (tmp_path / "a.npz").write_bytes(b"PK")
    with pytest.raises(DubdError, match=r"a\.npz.*not face tracks"):
        Tracks.load(tmp_path / "a.npz")
