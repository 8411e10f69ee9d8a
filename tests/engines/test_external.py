"""An external program that does as it should: what it is handed, and how its whole frames become patches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dubd.engines.external import External
from dubd.engines.landmarks import model
from dubd.engines.tracks import Tracks
from dubd.media.patches import PatchReader
from tests.engines import checkouts
from tests.engines.checkouts import ARGS, FRAMES

pytestmark = pytest.mark.skipif(model() is None, reason="the 68-point model of libdlib-data is not here")


@pytest.fixture(scope="module")
def segment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return checkouts.segment(tmp_path_factory.mktemp("segment"))


@pytest.fixture(autouse=True)
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STAND_IN_TOLD", str(tmp_path / "told.json"))
    return tmp_path / "told.json"


def test_its_frames_are_reduced_to_the_mouth_that_it_changed(segment: dict[str, Path], tmp_path: Path) -> None:
    facts = checkouts.sync(segment, tmp_path / "out", checkouts.engine(checkouts.checkout(tmp_path / "repo")))

    assert facts["mode"] == "videoretalking" and facts["fallback"] == 0 and facts["repaired"] == 0, facts
    assert facts["pieces"] == 1 and facts["changed"] > 0.9 * FRAMES
    tracks = Tracks.load(segment["faces"])
    reader = PatchReader(tmp_path / "out" / "patches.mkv", tmp_path / "out" / "geometry.npz")
    assert reader.mode == "videoretalking" and len(reader) == facts["changed"]
    for frame, x, y, patch in reader:
        points = tracks.points[0, frame]
        middle = points[48:68].mean(0)
        assert patch.alpha[int(middle[1]) - y, int(middle[0]) - x] > 60, "the lips"
        rows, columns = np.nonzero(patch.alpha)
        assert y + rows.min() > points[36:48, 1].max(), "the eyes are not touched"
        assert x + columns.min() > points[0, 0] - 20 and x + columns.max() < points[16, 0] + 20
        assert patch.cr[patch.cr.shape[0] // 2, patch.cr.shape[1] // 2] > 150, "the red that the program paints"


def test_it_is_shown_the_face_and_not_the_whole_picture(segment: dict[str, Path], told: Path, tmp_path: Path) -> None:
    repo = checkouts.checkout(tmp_path / "repo")
    near = checkouts.sync(segment, tmp_path / "near", checkouts.engine(repo, context=0.3))
    whole = checkouts.sync(segment, tmp_path / "whole", checkouts.engine(repo, context=0.0))

    small, large = (run["size"] for run in checkouts.told(told))
    assert small[0] < 0.7 * large[0] and large == [512, 512]
    assert near["changed"] == whole["changed"]
    ends = [PatchReader(tmp_path / n / "patches.mkv", tmp_path / n / "geometry.npz") for n in ("near", "whole")]
    one, other = (np.array([np.add((x, y), np.divide(patch.size, 2)) for _, x, y, patch in end]) for end in ends)
    assert np.abs(one - other).max() <= 10, "the same place of the picture"


def test_it_gets_plain_unique_names_and_an_environment_of_its_own(
    segment: dict[str, Path], told: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/of/dubd")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    odd = {name: tmp_path / "ಕನ್ನಡ: a.b" / path.name for name, path in segment.items()}
    odd["video"].parent.mkdir()
    for name, path in segment.items():
        odd[name].write_bytes(path.read_bytes())
    repo = checkouts.checkout(tmp_path / "repo")
    engine = checkouts.engine(repo, env={"EXTRA": "{frames} frames on the {device}"})

    assert checkouts.sync(odd, tmp_path / "one", engine)["fallback"] == 0
    assert checkouts.sync(odd, tmp_path / "two", engine)["fallback"] == 0

    first, second = checkouts.told(told)
    face = first["argv"][first["argv"].index("--face") + 1]
    assert face.isascii() and " " not in face and face.count(".") == 1
    assert face != second["argv"][second["argv"].index("--face") + 1]
    assert first["cwd"] == str(repo) and first["hertz"] == 16000
    assert first["environ"] == {"PYTHONPATH": None, "CUDA_VISIBLE_DEVICES": "1", "EXTRA": f"{FRAMES} frames on the cpu"}
    assert first["seconds"] == pytest.approx(FRAMES / 25 + 0.2) and first["silent"] < 0.5
    assert list((repo / "temp").iterdir()) == [], "what it leaves in the checkout is removed"
    assert not Path(face).parent.exists()


def test_a_stretch_is_split_where_no_face_is_seen(segment: dict[str, Path], told: Path, tmp_path: Path) -> None:
    gaps = checkouts.without(segment, tmp_path, [12])
    engine = checkouts.engine(checkouts.checkout(tmp_path / "repo"))

    facts = checkouts.sync(gaps, tmp_path / "out", engine)

    assert [run["frames"] for run in checkouts.told(told)] == [12, 11]
    assert facts["pieces"] == 2 and facts["fallback"] == 0
    changed = set(PatchReader(tmp_path / "out" / "patches.mkv", tmp_path / "out" / "geometry.npz").frames.tolist())
    assert 12 not in changed and {0, 11, 13, 23} <= changed


def test_where_nobody_speaks_or_the_face_is_small_it_is_not_run(
    segment: dict[str, Path], told: Path, tmp_path: Path
) -> None:
    repo = checkouts.checkout(tmp_path / "repo")

    facts = checkouts.sync(segment, tmp_path / "small", checkouts.engine(repo, min_face=1000))

    assert facts["mode"] == "none" and facts["pieces"] == 0 and checkouts.told(told) == []
    assert len(PatchReader(tmp_path / "small" / "patches.mkv", tmp_path / "small" / "geometry.npz")) == 0


def test_a_video_of_another_rate_is_fitted_by_time(
    segment: dict[str, Path], told: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = checkouts.checkout(tmp_path / "repo")
    monkeypatch.setenv("STAND_IN", "fps")  # 20 a second come back for the 30 that it is given and the 25 of the video

    facts = checkouts.sync(segment, tmp_path / "out", checkouts.engine(repo, External, args=ARGS, fps=30.0))

    assert checkouts.told(told)[0]["rate"] == 30.0
    assert facts["mode"] == "external" and facts["changed"] > 0.9 * FRAMES and facts["repaired"] == 0, facts
    tracks = Tracks.load(segment["faces"])
    for frame, x, y, patch in PatchReader(tmp_path / "out" / "patches.mkv", tmp_path / "out" / "geometry.npz"):
        rows, columns = np.nonzero(patch.alpha > 128)
        centre = np.array([x + columns.mean(), y + rows.mean()])
        assert np.abs(centre - tracks.points[0, frame, 48:68].mean(0)).max() < 30
