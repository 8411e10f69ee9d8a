"""wav2lip on a stretch of the sample, through the real stage: which frames change, when, and what is drawn there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="pip install 'dubd[wav2lip]'")

from dubd.engines import mel, wav2lip, wav2lip_reference  # noqa: E402
from dubd.engines.contract import OutOfMemory, Room  # noqa: E402
from dubd.engines.landmarks import model  # noqa: E402
from dubd.engines.mouths_shape import measure  # noqa: E402
from dubd.engines.tracks import Tracks  # noqa: E402
from dubd.engines.wav2lip import Wav2Lip, Wav2LipParams  # noqa: E402
from dubd.errors import DubdError  # noqa: E402
from dubd.media.ffmpeg import frames_yuv, write_wav  # noqa: E402
from dubd.media.patches import Patch, PatchReader, Pixels, planes  # noqa: E402
from dubd.models.model import Own  # noqa: E402
from dubd.stages import lipsync  # noqa: E402
from dubd.stages.job import Job  # noqa: E402
from tests import sample_segment  # noqa: E402
from tests.engines import tiny_wav2lip  # noqa: E402
from tests.engines.test_wav2lip_crop import moved  # noqa: E402

pytestmark = pytest.mark.skipif(model() is None, reason="the 68-point model of libdlib-data is not here")
FRAMES = 70
SPOKEN = {"id": "000-01", "speaker": "S1", "slot": [0.83, 2.65], "start": 0.9, "end": 2.6, "phonemes": []}
SHORT = {**SPOKEN, "slot": [0.83, 1.6], "end": 1.5}  # where it does not matter what is drawn, but how


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_wav2lip.make(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def segment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Video, faces and source sound of the sample's first seconds, in which it speaks from .83 to 2.65 s."""
    return sample_segment.make(tmp_path_factory.mktemp("segment"), FRAMES)


def noise(start: float, end: float, seconds: float = FRAMES / 25) -> np.ndarray:
    """A dub that is loud from `start` to `end` and silent elsewhere."""
    at = np.arange(round(seconds * 48000)) / 48000
    sound = np.random.default_rng(0).normal(0, 0.2, len(at))
    return np.where((at >= start) & (at < end), sound, 0.0).astype(np.float32)


def sync(
    segment: dict[str, Path],
    out: Path,
    dub: np.ndarray,
    checkpoint: Path,
    *,
    line: dict[str, Any] = SPOKEN,
    rate: str = "25/1",
    room: Room = Room(None, 16),  # noqa: B008  (a value)
    **params: Any,
) -> Any:
    """Run the stage; its facts (or its error)."""
    out.mkdir(parents=True, exist_ok=True)
    write_wav(out / "speech.wav", dub, 48000)
    (out / "speech.json").write_text(json.dumps({"language": "es", "loudness": -20.0, "lines": [line]}))
    engine = Wav2Lip()
    engine.room = room
    engine.load("cpu", Wav2LipParams(model=str(checkpoint), **params))
    inputs = {**segment, "speech": out / "speech.wav", "timing": out / "speech.json"}
    outputs = {"patches": out / "patches.mkv", "geometry": out / "geometry.npz"}
    (facts,) = lipsync.run([Job("t", "lipsync", inputs, outputs, {"rate": rate, "start": 0.0})], engine)
    return facts


def patches(out: Path) -> PatchReader:
    return PatchReader(out / "patches.mkv", out / "geometry.npz")


def pairs(segment: dict[str, Path], out: Path) -> Iterator[tuple[int, Pixels, Patch]]:
    """Each patch with its frame's number and the source's luma under it."""
    rest = iter(patches(out))
    taken = next(rest, None)
    for index, picture in enumerate(frames_yuv(segment["video"], 512, 512)):
        if taken and taken[0] == index:
            _, x, y, patch = taken
            width, height = patch.size
            yield index, planes(picture)[0][y : y + height, x : x + width], patch
            taken = next(rest, None)


def darkening(segment: dict[str, Path], out: Path) -> np.ndarray:
    """By how many levels each frame is darker inside its mask than the source (FRAMES,), NaN without a whole patch."""
    found = np.full(FRAMES, np.nan)
    for index, own, patch in pairs(segment, out):
        if (inside := patch.alpha == 255).any():
            found[index] = (own[inside].astype(float) - patch.luma[inside]).mean()
    return found


def test_the_speaking_face_is_drawn_anew_and_nothing_else_is_touched(
    segment: dict[str, Path], checkpoint: Path, tmp_path: Path
) -> None:
    facts = sync(segment, tmp_path, noise(0.9, 2.6), checkpoint)

    assert facts["mode"] == "wav2lip" and facts["tracks"] == 1 and 1 <= facts["references"] <= 24
    reader = patches(tmp_path)
    assert reader.mode == "wav2lip" and len(reader) == facts["changed"]
    changed = reader.frames.tolist()
    assert changed == sorted(set(changed)) and set(range(24, 64)) <= set(changed)
    assert not set(changed) & set(range(12)), "before anybody speaks the picture passes through"
    tracks = Tracks.load(segment["faces"])
    for frame, x, y, patch in reader:
        rows, columns = np.nonzero(patch.alpha)
        points = tracks.points[0, frame]
        eyes = np.hypot(*(points[42:48].mean(0) - points[36:42].mean(0)))
        assert y + rows.min() > points[28, 1], "above the nose"
        assert y + rows.max() < points[8, 1] + 0.25 * eyes, "far below the chin"
        assert x + columns.min() > points[0, 0] - 4 and x + columns.max() < points[16, 0] + 4, "outside the face"
    ramp = [int(patch.alpha.max()) for _, _, _, patch in reader][:6]
    assert ramp == [51, 102, 153, 204, 255, 255], "it comes in softly"


def test_a_network_that_shows_what_it_sees_moves_nothing(segment: dict[str, Path], tmp_path: Path) -> None:
    """Where the crop's pixels lay half a pixel off on the way there or back, the face would be displaced."""
    exact = tiny_wav2lip.make(tmp_path / "model", width=10)
    sync(segment, tmp_path, noise(2.75, 2.8), exact, reference="same")

    checked = 0
    for index, own, patch in pairs(segment, tmp_path):
        if patch.alpha.max() < 255 or index % 10:
            continue
        soft = [cv2.GaussianBlur(plane.astype(np.float32), (0, 0), 2.5) for plane in (own, patch.luma)]
        inside = (patch.alpha > 250).astype(np.float32)
        assert np.abs(soft[0] - soft[1])[inside > 0].mean() < 2.5
        assert np.abs(moved(*soft, inside > 0)).max() < 0.2
        checked += 1
    assert checked >= 3


@pytest.mark.parametrize(("shift", "lag"), [(-0.04, 0), (0.08, -3)])
def test_a_frame_is_drawn_from_the_sound_around_it(
    segment: dict[str, Path], checkpoint: Path, tmp_path: Path, shift: float, lag: int
) -> None:
    """The checkpoint draws darker where the sound of 40 ms before to 160 ms after a frame is louder."""
    dub = noise(0.95, 1.2) + noise(1.5, 1.6) + noise(1.9, 2.3)
    columns = mel.mel(mel.resampled(dub)).mean(0)
    loud = np.array([columns[int(3.2 * max(0, i - 1)) :][:16].mean() for i in range(FRAMES)])

    sync(segment, tmp_path, dub, checkpoint, reference="same", mel_shift=shift)

    dark = darkening(segment, tmp_path)
    seen = np.flatnonzero(np.isfinite(dark))
    seen = seen[(seen >= 6) & (seen < FRAMES - 6)]
    likeness = {by: float(np.corrcoef(dark[seen], loud[seen - by])[0, 1]) for by in range(-5, 6)}
    assert max(likeness, key=lambda by: likeness[by]) == lag
    assert likeness[lag] > 0.85  # the colours are brought back towards the frame


@pytest.mark.parametrize("rate", ["24000/1001", "50/1"])
def test_every_frame_of_a_segment_is_drawn_at_any_rate(
    segment: dict[str, Path], checkpoint: Path, tmp_path: Path, rate: str
) -> None:
    seconds = FRAMES / float(Fraction(rate))
    line = {**SPOKEN, "slot": [0.0, seconds], "start": 0.0, "end": seconds}

    facts = sync(segment, tmp_path, noise(0.0, seconds, seconds), checkpoint, rate=rate, line=line)

    assert facts["changed"] == FRAMES
    assert patches(tmp_path).frames.tolist() == list(range(FRAMES))


def test_where_the_dub_is_silent_a_speaking_mouth_is_shut(
    segment: dict[str, Path], checkpoint: Path, tmp_path: Path
) -> None:
    """The source's speech would show under the silence: these frames are drawn too, from silence and a shut mouth."""
    facts = sync(segment, tmp_path, noise(0.9, 1.5), checkpoint)

    changed = patches(tmp_path).frames.tolist()
    assert set(range(42, 62)) <= set(changed) and facts["references"] >= 1
    tracks = Tracks.load(segment["faces"])
    gap = np.linalg.norm(tracks.points[0, :, 62] - tracks.points[0, :, 66], axis=1)
    shape = measure(tracks.points[0], tracks.seen[0])
    chosen = wav2lip_reference.choose(shape, np.array(changed), 25.0)
    assert gap[chosen].max() < np.quantile(gap, 0.4) < np.quantile(gap, 0.9) - 1
    assert np.count_nonzero(np.diff(chosen)) <= 4, "a change of the reference is seen"


def test_the_result_depends_on_neither_batch_nor_memory(
    segment: dict[str, Path], checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(segment, tmp_path / "a", noise(0.9, 1.4), checkpoint, line=SHORT)
    sync(segment, tmp_path / "b", noise(0.9, 1.4), checkpoint, line=SHORT)
    monkeypatch.setattr(wav2lip, "HELD", 1)
    sync(segment, tmp_path / "c", noise(0.9, 1.4), checkpoint, line=SHORT)

    for name in ("patches.mkv", "geometry.npz"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert (tmp_path / "a" / "geometry.npz").read_bytes() == (tmp_path / "c" / "geometry.npz").read_bytes()
    for (_, _, _, one), (_, _, _, other) in zip(patches(tmp_path / "a"), patches(tmp_path / "c"), strict=True):
        assert np.abs(one.luma.astype(int) - other.luma).max() <= 2  # sums of another order round otherwise


def test_a_call_holds_no_more_faces_than_the_lease_has_room_for(
    segment: dict[str, Path], checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = Wav2Lip.vram(Wav2LipParams(), "fp32")
    assert declared is not None
    sizes: list[int] = []
    draw = Wav2Lip.draw

    def counted(engine: Wav2Lip, pieces: Any, seen: Any) -> Any:
        sizes.append(len(seen))
        return draw(engine, pieces, seen)

    monkeypatch.setattr(Wav2Lip, "draw", counted)

    facts = sync(segment, tmp_path, noise(0.9, 1.4), checkpoint, line=SHORT, room=Room(declared.at(3) + 1, 16))

    assert max(sizes) == 3 and sum(sizes) == facts["changed"]
    engine = Wav2Lip()
    engine.load("cpu", Wav2LipParams(model=str(checkpoint)))
    with pytest.raises(OutOfMemory):
        Room(declared.at(0), 16).items(declared.per_item, declared.at(0))


def test_without_a_face_or_with_a_small_one_the_picture_passes_through(
    segment: dict[str, Path], checkpoint: Path, tmp_path: Path
) -> None:
    nobody = {**segment, "faces": tmp_path / "nobody.npz"}
    none = np.zeros((0, FRAMES, 68, 2), np.float32)
    Tracks(none[..., 0, :].repeat(2, 2), none, np.zeros((0, FRAMES), bool), np.zeros(0, np.int32)).save(nobody["faces"])

    assert sync(nobody, tmp_path, noise(0.9, 2.6), checkpoint) == {
        "mode": "none",
        "tracks": 0,
        "changed": 0,
        "references": 0,
    }
    small = sync(segment, tmp_path, noise(0.9, 2.6), checkpoint, min_face=1000)
    assert small["changed"] == 0 and len(patches(tmp_path)) == 0


def test_the_published_files_are_known_by_their_sums() -> None:
    for name, known in Wav2Lip.published.items():
        assert Wav2Lip.models(Wav2LipParams(model=name)) == (known,)
        (file,) = known.files
        assert file.path == f"{name}.pth" and len(file.sha256 or "") == 64 and "non-commercial" in known.licence
    assert Wav2Lip.models(Wav2LipParams(model="/w/own.pth")) == (Own(Path("/w/own.pth")),)
    with pytest.raises(ValueError, match="wav2lip_gan"):
        Wav2Lip.models(Wav2LipParams(model="wav2lip_gam"))


@pytest.mark.parametrize(("precision", "levels"), [("fp16", 1.0), ("bf16", 4.0)])
def test_half_precision_draws_the_same(checkpoint: Path, precision: str, levels: float) -> None:
    random = np.random.default_rng(0)
    pieces = random.uniform(-4, 4, (3, 1, 80, 16)).astype(np.float32)
    faces = random.integers(0, 256, (3, 96, 96, 6), dtype=np.uint8)
    drawn = []
    for kind in ("fp32", precision):
        engine = Wav2Lip()
        engine.precision = kind
        engine.load("cpu", Wav2LipParams(model=str(checkpoint)))
        drawn.append(engine.draw(pieces, faces))
    assert np.ptp(drawn[0]) > 50
    assert 0 < np.abs(drawn[1] - drawn[0]).max() < levels


def test_ones_own_checkpoint_is_that_file_whatever_lies_beside_it(checkpoint: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"  # its content is what a task's key knows
    own.write_bytes(b"no checkpoint")
    (tmp_path / "own.pth").write_bytes(checkpoint.read_bytes())
    with pytest.raises(DubdError, match="not a whole PyTorch checkpoint"):
        Wav2Lip().load("cpu", Wav2LipParams(model=str(own)))


def test_what_it_cannot_do_is_told_in_one_line(checkpoint: Path) -> None:
    with pytest.raises(ValueError, match="seconds"):
        Wav2LipParams(mel_shift=40)
    with pytest.raises(ValueError, match="shares"):
        Wav2LipParams(pads=(0, 10, 0, 0))
    engine = Wav2Lip()
    engine.precision = "int8"
    with pytest.raises(DubdError, match="does not run in int8"):
        engine.load("cpu", Wav2LipParams(model=str(checkpoint)))
