"""faces and lipsync on a stretch of the sample: which frames change, how, and what stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dubd.engines import mouths_film, mouths_plan, visemes
from dubd.engines.landmarks import model
from dubd.engines.mouths import Mouths, MouthsParams
from dubd.engines.tracks import Tracks
from dubd.media.ffmpeg import frames_bgr, write_wav
from dubd.media.patches import PatchReader
from dubd.stages import lipsync
from dubd.stages.job import Job
from tests import sample_segment

pytestmark = pytest.mark.skipif(model() is None, reason="the 68-point model of libdlib-data is not here")
FRAMES = 70


def babble(start: float, end: float) -> np.ndarray:
    """A dub of FRAMES frames: noise that swells four times a second between `start` and `end`, else silence."""
    at = np.arange(FRAMES * 48000 // 25) / 48000
    noise = np.random.default_rng(0).normal(0, 0.1, len(at))
    swell = np.sin(2 * np.pi * 2 * (at - start)) ** 2
    return np.where((at >= start) & (at < end), noise * swell, 0.0).astype(np.float32)


@pytest.fixture(scope="module")
def segment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Video, faces and source sound of the sample's first seconds, in which it speaks from .83 to 2.65 s."""
    return sample_segment.make(tmp_path_factory.mktemp("segment"), FRAMES)


def sync(
    segment: dict[str, Path],
    out: Path,
    dub: np.ndarray,
    lines: list[dict[str, Any]],
    begins: float = 0.0,
    **params: Any,
) -> Any:
    """Run the stage on a segment that begins at `begins` on the programme clock; its facts (or its error)."""
    out.mkdir(parents=True, exist_ok=True)
    write_wav(out / "speech.wav", dub, 48000)
    (out / "speech.json").write_text(json.dumps({"language": "es", "loudness": -20.0, "lines": lines}))
    engine = Mouths()
    engine.load("cpu", MouthsParams(**params))
    inputs = {**segment, "speech": out / "speech.wav", "timing": out / "speech.json"}
    outputs = {"patches": out / "patches.mkv", "geometry": out / "geometry.npz"}
    (facts,) = lipsync.run([Job("t", "lipsync", inputs, outputs, {"rate": "25/1", "start": begins})], engine)
    return facts


def line(start: float, end: float, begins: float = 0.0) -> dict[str, Any]:
    slot = [begins + 0.83, begins + 2.65]
    sounds = [[begins + 1.2, "a"], [begins + 1.6, "m"]]
    return {"id": "000-01", "speaker": "S1", "slot": slot, "start": start, "end": end, "phonemes": sounds}


def test_the_mouth_follows_the_dub_and_nothing_else_is_touched(segment: dict[str, Path], tmp_path: Path) -> None:
    dub = babble(0.9, 2.6)

    facts = sync(segment, tmp_path, dub, [line(0.9, 2.6)])

    assert facts["mode"] == "retrieval" and facts["library"] == FRAMES and facts["fit"] > 0.8
    reader = PatchReader(tmp_path / "patches.mkv", tmp_path / "geometry.npz")
    assert reader.mode == "retrieval" and len(reader) == facts["changed"]
    changed = set(reader.frames.tolist())
    assert changed >= set(range(24, 64)) and not changed & set(range(12))
    tracks = Tracks.load(segment["faces"])
    for frame, x, y, patch in reader:
        rows, columns = np.nonzero(patch.alpha)
        left, _, right, _ = tracks.boxes[0, frame]
        assert y + rows.min() > tracks.points[0, frame, 30, 1], "above the nose"
        assert x + columns.min() > left - 10 and x + columns.max() < right + 10
        eyes = np.hypot(*(tracks.points[0, frame, 42:48].mean(0) - tracks.points[0, frame, 36:42].mean(0)))
        assert y + rows.max() < tracks.points[0, frame, 8, 1] + 1.15 * eyes, "far below the chin"


def test_the_same_inputs_give_the_same_bytes(segment: dict[str, Path], tmp_path: Path) -> None:
    for name in "ab":
        sync(segment, tmp_path / name, babble(0.9, 2.6), [line(0.9, 2.6)])

    for name in ("patches.mkv", "geometry.npz"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_later_segment_is_treated_as_the_first_is(segment: dict[str, Path], tmp_path: Path) -> None:
    first = sync(segment, tmp_path / "first", babble(0.9, 2.6), [line(0.9, 2.6)])
    later = sync(segment, tmp_path / "later", babble(0.9, 2.6), [line(60.9, 62.6, begins=60.0)], begins=60.0)

    assert first["changed"] > 40
    assert later == first
    one, other = (PatchReader(tmp_path / n / "patches.mkv", tmp_path / n / "geometry.npz") for n in ("first", "later"))
    assert one.frames.tolist() == other.frames.tolist()


def test_where_memory_is_short_two_passes_make_the_same(
    segment: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(segment, tmp_path / "one", babble(0.9, 2.6), [line(0.9, 2.6)])
    passes = []

    def counted(*args: Any) -> Iterator[np.ndarray]:
        passes.append(args)
        return frames_bgr(*args)

    monkeypatch.setattr(mouths_film, "frames_bgr", counted)
    plan, ample = mouths_plan.plan, mouths_plan.Limits(60, 1.0, 192)
    monkeypatch.setattr(
        mouths_film,
        "plan",
        lambda tracks, dub, own, lines, rate, size, _: plan(tracks, dub, own, lines, rate, size, ample),
    )
    sync(segment, tmp_path / "two", babble(0.9, 2.6), [line(0.9, 2.6)], memory=1)

    assert len(passes) == 2
    for name in ("patches.mkv", "geometry.npz"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_with_too_little_to_draw_on_the_mouth_is_bent(segment: dict[str, Path], tmp_path: Path) -> None:
    facts = sync(segment, tmp_path, babble(0.9, 2.6), [line(0.9, 2.6)], min_library=60.0)

    assert facts["mode"] == "warp" and facts["library"] == 0 and facts["changed"] > 40
    assert PatchReader(tmp_path / "patches.mkv", tmp_path / "geometry.npz").mode == "warp"


def test_a_face_that_is_too_small_is_left_alone(segment: dict[str, Path], tmp_path: Path) -> None:
    facts = sync(segment, tmp_path, babble(0.9, 2.6), [line(0.9, 2.6)], min_face=1000)

    assert facts["mode"] == "none" and facts["changed"] == 0
    assert len(PatchReader(tmp_path / "patches.mkv", tmp_path / "geometry.npz")) == 0


def test_where_the_dub_is_silent_a_speaking_mouth_is_shut(segment: dict[str, Path], tmp_path: Path) -> None:
    heard = visemes.level(babble(0.9, 1.5), FRAMES, 25.0)
    assert not (heard[42:] > 0).any()

    facts = sync(segment, tmp_path, babble(0.9, 1.5), [line(0.9, 1.5)])

    changed = PatchReader(tmp_path / "patches.mkv", tmp_path / "geometry.npz").frames.tolist()
    assert facts["mode"] == "retrieval" and set(range(42, 62)) <= set(changed)


def test_without_a_face_there_is_nothing_to_do(segment: dict[str, Path], tmp_path: Path) -> None:
    nobody = {**segment, "faces": tmp_path / "nobody.npz"}
    shape = (0, FRAMES)
    Tracks(
        np.zeros((*shape, 4), np.float32),
        np.zeros((*shape, 68, 2), np.float32),
        np.zeros(shape, bool),
        np.zeros(0, np.int32),
    ).save(nobody["faces"])

    facts = sync(nobody, tmp_path, babble(0.9, 2.6), [line(0.9, 2.6)])

    assert facts == {"mode": "none", "tracks": 0, "changed": 0, "library": 0, "fit": None}
