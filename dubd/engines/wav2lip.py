"""Lip sync by Wav2Lip: the lower face drawn anew from the dub's sound, 96 px wide, frame by frame.

The faces that speak are followed through the segment's picture; frames stream, and only those of one batch are held.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from dubd.engines import jaw_mask, mel, visemes, wav2lip_reference
from dubd.engines.contract import Engine, Shot, Vram, each, refuse
from dubd.engines.jaw_mask import Area
from dubd.engines.mel import Heard
from dubd.engines.tracks import Tracks
from dubd.engines.turns import turns
from dubd.engines.wav2lip_crop import SIDE, Crops, crops
from dubd.errors import DubdError
from dubd.media.ffmpeg import Part, frames_bgr, picture_of
from dubd.models import store
from dubd.models.model import File, Model, Needed, chosen

Made = dict[str, Any]
Pixels = npt.NDArray[np.uint8]
Key = tuple[int, int]  # a face's crops by their id, and an index into its frames

HOME = "https://github.com/Rudrabha/Wav2Lip"
LICENCE = "research and personal use only, non-commercial (trained on LRS2)"
PARAMETERS = 36_298_035
# Tensors alive at once at the most while one face goes through, with its input (tests/engines/test_wav2lip_net.py
# measures 7.5 MiB in fp32), and as much again for what cuDNN's algorithms work in.
ACTIVATIONS = 2 * 7.5  # MiB in fp32
BYTES = {"fp32": 4, "fp16": 2, "bf16": 2}
FADE = 4  # frames over which a changed stretch fades in and out
HELD = 96 * 2**20  # bytes of picture that may wait for one batch
ON_CPU = 16  # faces: more at once gain nothing on a processor


def _model(name: str, size: int, sha256: str) -> Model:
    """A file as published; there is no direct link to it."""
    return Model(f"wav2lip/{name}", (File(f"{name}.pth", None, size, sha256),), LICENCE, HOME)


@dataclass(frozen=True)
class Wav2LipParams:
    """What a rule may set."""

    model: str = "wav2lip_gan"  # or wav2lip: softer, and calmer in silence; or a path
    reference: Literal["closed", "same"] = "closed"  # the mouth that is shown beside: a shut one, or the frame's own
    mel_shift: float = -0.04  # s from a frame to the sound that it is drawn from: as in training (see docs)
    pads: tuple[float, float, float, float] = (
        0.0,
        0.08,
        0.0,
        0.0,
    )  # top, bottom, left, right: shares of the face's box
    min_face: int = 60  # px from ear to ear under which a face is left alone

    def __post_init__(self) -> None:
        refuse(self._faults())

    def _faults(self) -> Iterator[str]:
        if not (math.isfinite(self.mel_shift) and abs(self.mel_shift) <= 1):
            yield f"mel_shift is in seconds, -1 to 1, not {self.mel_shift}"
        if any(not -0.3 <= pad <= 1 for pad in self.pads):
            yield "pads are shares of the face's box, -0.3 to 1"


@dataclass(frozen=True)
class _Step:
    """One frame's face: `index` into its crops, the index of the face shown `beside` it, and how much it counts."""

    crops: Crops
    index: int
    beside: int
    weight: float


@dataclass
class _Waiting:
    """What has been read for the next batch: frame, step, where its patch goes, the picture there, the faces."""

    frames: list[tuple[int, _Step, Area, Pixels]] = field(default_factory=list)
    faces: list[Pixels] = field(default_factory=list)  # (96, 96, 6)

    def full(self, most: int) -> bool:
        return len(self.frames) >= most or sum(base.nbytes for *_, base in self.frames) >= HELD


class Wav2Lip(Engine[Shot, Made]):
    """Prajwal et al. 2020, by a module of our own that loads the published weights."""

    name: ClassVar[str] = "wav2lip"
    stage: ClassVar[str] = "lipsync"
    summary: ClassVar[str] = "the lower face drawn from the sound"
    licence: ClassVar[str] = f"Apache-2.0; weights: {LICENCE}"
    Params: ClassVar[type[Any]] = Wav2LipParams
    model_params: ClassVar[tuple[str, ...]] = ("model",)
    precisions = ("fp32", "fp16", "bf16")
    published: ClassVar[Mapping[str, Model]] = {
        "wav2lip": _model("wav2lip", 435_807_851, "b78b681b68ad9fe6c6fb1debc6ff43ad05834a8af8a62ffc4167b7b34ef63c37"),
        "wav2lip_gan": _model(
            "wav2lip_gan", 435_801_865, "ca9ab7b7b812c0e80a6e70a5977c545a1e8a365a6c49d5e533023c034d7ac3d8"
        ),
    }
    batch: ClassVar[int] = 32  # faces in one call of the network

    @classmethod
    def revision(cls) -> str:
        return "2"

    @classmethod
    def missing(cls) -> str | None:
        return None if importlib.util.find_spec("torch") else "pip install 'dubd[wav2lip]'"

    @classmethod
    def models(cls, params: Wav2LipParams) -> tuple[Needed, ...]:
        return (chosen(params.model, cls.published),)

    @classmethod
    def vram(cls, params: Wav2LipParams, precision: str | None) -> Vram | None:  # noqa: ARG003  (one size of model)
        """Weights and activations by their bytes, for any resolution: fp32 139 + 15 a face, else half, in MiB."""
        size = BYTES.get(precision or "fp16", 4)
        return Vram(model=math.ceil(PARAMETERS * size / 2**20), per_item=math.ceil(ACTIVATIONS * size / 4))

    def load(self, device: str, params: Wav2LipParams) -> None:
        import cv2
        import torch

        from dubd.engines import wav2lip_weights

        cv2.setNumThreads(1)
        self.params, self.device = params, device
        self.kind = self.precision or ("fp32" if device == "cpu" else "fp16")
        if self.kind not in BYTES:
            raise DubdError(
                f"Wav2Lip does not run in {self.kind}", stage=self.stage, remedy=f"one of {', '.join(BYTES)}"
            )
        (needed,) = self.models(params)
        file = needed.files[0].path if isinstance(needed, Model) else "wav2lip_gan.pth"
        net = wav2lip_weights.load(store.file(needed, file))
        self.dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[self.kind]
        self.net = net.to(dtype=self.dtype).to(device=device, memory_format=torch.channels_last)

    def run(self, batch: Sequence[Shot]) -> list[Made | Exception]:
        return each(self._sync, batch)

    def _sync(self, shot: Shot) -> Made:
        """Write the shot's patches; facts are the mode, tracks, changed frames and references shown."""
        assert shot.faces is not None and shot.out is not None
        assert shot.speech is not None and shot.original is not None
        tracks = Tracks.load(shot.faces)
        picture = picture_of(shot.video)
        size = int(picture["width"]), int(picture["height"])
        steps = self._plan(shot, tracks)
        beside = (
            {(id(step.crops), step.beside) for step in steps.values()} if self.params.reference == "closed" else set()
        )
        if steps:
            shot.out.mode = self.name
            self._write(shot, steps, size)
        return {
            "mode": self.name if steps else "none",
            "tracks": tracks.count,
            "changed": len(steps),
            "references": len(beside),
        }

    def _plan(self, shot: Shot, tracks: Tracks) -> dict[int, _Step]:
        """What becomes of which frame: one face in each, and most frames of a silent stretch not at all."""
        assert shot.speech is not None and shot.original is not None
        rate = float(Fraction(shot.rate))
        speech = visemes.level(shot.speech, tracks.frames, rate) > visemes.SPEECH
        steps: dict[int, _Step] = {}
        for turn in turns(tracks, speech, shot.original, shot.timing, rate, self.params.min_face):
            face = crops(turn.shape, rate, self.params.pads)
            for run in turn.runs():
                indices = np.searchsorted(turn.shape.frames, run)
                beside = indices
                if self.params.reference == "closed":
                    beside = wav2lip_reference.choose(turn.shape, indices, rate)
                for frame, index, other, weight in zip(run, indices, beside, turn.fade(run, FADE), strict=True):
                    steps[int(frame)] = _Step(face, int(index), int(other), float(weight))
        return steps

    def _write(self, shot: Shot, steps: Mapping[int, _Step], size: tuple[int, int]) -> None:
        assert shot.out is not None and shot.speech is not None
        areas = {frame: jaw_mask.area(step.crops, step.index, *size) for frame, step in steps.items()}
        shot.out.shrink(
            (max(x1 - x0 for x0, _, x1, _ in areas.values()), max(y1 - y0 for _, y0, _, y1 in areas.values()))
        )
        part = _around(
            [step.crops.corners(index) for step in steps.values() for index in {step.index, step.beside}], size
        )
        others = self._others(shot, steps, part, size)
        sound = mel.heard(mel.resampled(shot.speech), shot.frames, Fraction(shot.rate), self.params.mel_shift)
        declared = self.vram(self.params, self.kind)
        assert declared is not None
        most = self.room.items(declared.per_item, declared.at(0))
        most = min(most, ON_CPU) if self.device == "cpu" else most
        waiting, last = _Waiting(), max(steps)
        for frame, pixels in enumerate(frames_bgr(shot.video, *size, part)):
            if step := steps.get(frame):
                face = step.crops.cut(pixels, part[:2], step.index)
                other = others.get((id(step.crops), step.beside), face)
                waiting.faces.append(np.concatenate([face, other], axis=2))
                x0, y0, x1, y1 = where = areas[frame]
                base = pixels[y0 - part[1] : y1 - part[1], x0 - part[0] : x1 - part[0]].copy()
                waiting.frames.append((frame, step, where, base))
            if waiting.frames and (waiting.full(most) or frame == last):
                self._flush(shot, waiting, sound)
                waiting = _Waiting()
            if frame == last:
                return

    def _others(self, shot: Shot, steps: Mapping[int, _Step], part: Part, size: tuple[int, int]) -> dict[Key, Pixels]:
        """The faces that are shown beside others, where those are not their own frame's: some dozens of 27 KiB."""
        if self.params.reference == "same":
            return {}
        wanted: dict[int, dict[Key, Crops]] = {}
        for step in steps.values():
            frame = int(step.crops.shape.frames[step.beside])
            wanted.setdefault(frame, {})[id(step.crops), step.beside] = step.crops
        found: dict[Key, Pixels] = {}
        for frame, pixels in enumerate(frames_bgr(shot.video, *size, part)):
            for key, face in wanted.get(frame, {}).items():
                found[key] = face.cut(pixels, part[:2], key[1])
            if frame == max(wanted):
                break
        return found

    def _flush(self, shot: Shot, waiting: _Waiting, sound: Heard) -> None:
        """Draw the faces that wait, and store their patches."""
        assert shot.out is not None
        pieces = np.stack([sound.chunk(frame) for frame, *_ in waiting.frames])[:, None]
        for drawn, (frame, step, where, base) in zip(
            self.draw(pieces, np.stack(waiting.faces)), waiting.frames, strict=True
        ):
            patch = jaw_mask.lay(base, where, step.crops, step.index, drawn, step.weight)
            shot.out.add_bgra(frame, *where[:2], patch)

    def draw(self, pieces: npt.NDArray[np.float32], faces: Pixels) -> npt.NDArray[np.float32]:
        """Faces (B, 96, 96, 3) in 0..255 BGR; `pieces` (B, 1, 80, 16) of sound, `faces` (B, 96, 96, 6) with the others.

        The lower half of the first is taken away before the network sees it.
        """
        import torch

        with torch.inference_mode():
            heard = torch.from_numpy(pieces).to(self.device, self.dtype)
            seen = torch.from_numpy(faces).to(self.device).to(self.dtype).div_(255)
            seen[:, SIDE // 2 :, :, :3] = 0
            # (B, H, W, C) as it lies in memory is what channels-last means.
            drawn = self.net(heard, seen.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
            return np.asarray(drawn.float().mul_(255).cpu().contiguous().numpy(), np.float32)


def _around(corners: Iterable[npt.NDArray[np.float64]], size: tuple[int, int]) -> Part:
    """The smallest part of the picture with all the corners in it, even; crops may reach out of the picture."""
    points = np.concatenate(list(corners))
    low, high = np.floor(points.min(0)).astype(int) - 2, np.ceil(points.max(0)).astype(int) + 2
    x0, y0 = (int(np.clip(low[axis], 0, size[axis] - 2)) // 2 * 2 for axis in (0, 1))
    x1, y1 = (int(np.clip(high[axis], 2, size[axis])) for axis in (0, 1))
    width, height = max(2, x1 - x0), max(2, y1 - y0)
    return x0, y0, width + width % 2, height + height % 2
