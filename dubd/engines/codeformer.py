"""Restore faces by CodeFormer: only those that lip sync changed, only within its patches, and steady over time.

Each patch is laid into its frame, its face on the template (`aligned`), and a batch of such faces goes through the
network. What comes back is the change that the network makes, not a new picture: its coarse part is averaged along the
face (`flicker`), it is brought back to the patch's own planes and added to them. The mask stays what it was, so that
nothing outside it can change.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from dubd.engines.contract import Engine, Shot, Vram, each, refuse
from dubd.errors import DubdError
from dubd.models import store
from dubd.models.model import File, Model, Needed, chosen

if TYPE_CHECKING:
    from dubd.engines.flicker import Steady, Stretch
    from dubd.engines.patched import Patched, Seat
    from dubd.media.patches import Patch

Floats = npt.NDArray[np.float32]

PUBLISHED = Model(
    "codeformer/codeformer",
    (
        File(
            "codeformer.pth",
            "https://github.com/sczhou/CodeFormer/releases/download/v0.1.0/codeformer.pth",
            376_637_898,
            "1009e537e0c2a07d4cabce6355f53cb66767cd4b4297ec7a4a64ca4b8a5684b7",
        ),
    ),
    "S-Lab License 1.0 (non-commercial)",
    "https://github.com/sczhou/CodeFormer",
)

# Parameters of the published network: what works on pictures, and what chooses codes (in 32 bits always).
PICTURES, CODES = 74_137_539, 19_975_168
_BYTES = {"fp32": 4, "bf16": 2}
# The last level of the generator has the largest tensors: its input and that normed (128 channels of 512 x 512 each)
# and what the first convolution makes of it (64); a quarter more for what a convolution works in.
ITEM = {name: 5 * 64 * 512 * 512 * size * 5 // 4 for name, size in _BYTES.items()}

_LOOK = 128  # px: size at which flicker is measured


@dataclass(frozen=True)
class CodeFormerParams:
    """What a rule may set."""

    model: str = "codeformer"  # a published model, or the path of a checkpoint
    fidelity: float = 0.8  # the network's w: 0 makes a new face of codes, 1 keeps closest to the input
    blend: float = 0.7  # share of the network's change that is put on the patch
    memory: float = 0.2  # s: time constant of the average of light and colour; 0 averages nothing
    min_face: int = 64  # pixels from ear to ear under which a face is left alone
    sharp: float = 0.9  # a face whose patches have that share of their frame's detail, or more, is left alone

    def __post_init__(self) -> None:
        refuse(self._faults())

    def _faults(self) -> Iterator[str]:
        for name in ("fidelity", "blend"):
            if not 0 <= getattr(self, name) <= 1:
                yield f"{name} is from 0 to 1, not {getattr(self, name)}"
        for name in ("memory", "min_face", "sharp"):
            if not 0 <= getattr(self, name) < math.inf:
                yield f"{name} is 0 or more, not {getattr(self, name)}"


class CodeFormer(Engine[Shot, Mapping[str, Any]]):
    """CodeFormer of release v0.1.0, on the faces under patches."""

    name: ClassVar[str] = "codeformer"
    stage: ClassVar[str] = "restore"
    summary: ClassVar[str] = "CodeFormer on the faces that lip sync changed (non-commercial weights)"
    licence: ClassVar[str] = "Apache-2.0; weights: S-Lab License 1.0 (non-commercial)"
    Params: ClassVar[type[Any]] = CodeFormerParams
    model_params: ClassVar[tuple[str, ...]] = ("model",)
    precisions = ("fp32", "bf16")
    published: ClassVar[Mapping[str, Model]] = {"codeformer": PUBLISHED}
    batch: ClassVar[int] = 4  # faces at once, too

    @classmethod
    def missing(cls) -> str | None:
        return None if importlib.util.find_spec("torch") else "pip install 'dubd[codeformer]'"

    @classmethod
    def models(cls, params: CodeFormerParams) -> tuple[Needed, ...]:
        return (chosen(params.model, cls.published),)

    @classmethod
    def vram(cls, params: CodeFormerParams, precision: str | None) -> Vram | None:  # noqa: ARG003  (a narrower one needs less)
        kind = precision if precision in _BYTES else "fp32"
        model = PICTURES * _BYTES[kind] + CODES * 4
        return Vram(model=math.ceil(model / 2**20), per_item=math.ceil(ITEM[kind] / 2**20))

    def load(self, device: str, params: CodeFormerParams) -> None:
        import cv2

        cv2.setNumThreads(1)
        self.params, self.device = params, device
        self.kind = self.precision or "fp32"
        file = store.file(chosen(params.model, self.published), "codeformer.pth")
        if self.kind not in _BYTES:
            raise DubdError(
                f"codeformer does not run in {self.kind}: its values leave the range",
                stage=self.stage,
                remedy="precision: bf16 or fp32",
            )
        import torch

        from dubd.engines import checkpoint, codeformer_net

        read = checkpoint.read(file, self.stage)
        try:
            net = codeformer_net.build(checkpoint.weights(read, "params_ema"))
        except ValueError as error:
            remedy = "model: codeformer (dubd models pull), or the path of that checkpoint"
            raise DubdError(str(error), file=file, stage=self.stage, remedy=remedy) from error
        if self.kind == "bf16":
            net.pictures(torch.bfloat16)
        self.net = net.to(device)

    def run(self, batch: Sequence[Shot]) -> list[Mapping[str, Any] | Exception]:
        return each(self._restore, batch)

    def _restore(self, shot: Shot) -> dict[str, Any]:
        from dubd.engines import patched
        from dubd.engines.tracks import Tracks
        from dubd.media.ffmpeg import picture_of
        from dubd.media.patches import matrix

        assert shot.faces is not None and shot.patches is not None and shot.out is not None
        tracks = Tracks.load(shot.faces)
        found = patched.seats(tracks, shot.patches.places)
        large = patched.large(tracks, self.params.min_face)
        seats = [seat if seat and seat.track in large else None for seat in found]
        sharp = patched.sharp(shot, seats, self.params.sharp)
        seats = [None if seat and seat.track in sharp else seat for seat in seats]
        picture = picture_of(shot.video)
        codes = matrix(picture.get("color_space", "unknown"), picture.get("color_range", "tv"))
        paste = _Paste(self.params, float(Fraction(shot.rate)), codes)
        vram = self.vram(self.params, self.kind)
        assert vram is not None
        most = self.room.items(vram.per_item, vram.model + vram.context)
        for faces in _batches(patched.faces(shot, seats, (int(picture["width"]), int(picture["height"])), codes), most):
            wanted = [face.planes for face in faces if face.planes is not None]
            made = iter(self._through([paste.bgr(planes) for planes in wanted]))
            for face in faces:
                patch = face.patch if face.planes is None else paste(face, next(made))
                shot.out.add(face.frame, face.x, face.y, patch)
        return {
            "restored": sum(seat is not None for seat in seats),
            "without_face": sum(seat is None for seat in found),
            "small": sum(seat is not None and seat.track not in large for seat in found),
            "sharp": sum(seat is not None and seat.track in sharp for seat in found),
            **paste.flicker_facts(),
        }

    def _through(self, faces: Sequence[Floats]) -> Floats:
        """BGR faces (512, 512, 3) in 0..255 to restored ones (n, 512, 512, 3), in one pass of the network."""
        import torch

        if not faces:
            return np.zeros((0, 512, 512, 3), np.float32)
        rgb = np.stack(faces)[..., ::-1].transpose(0, 3, 1, 2) / np.float32(127.5) - 1
        with torch.inference_mode():
            given = torch.from_numpy(np.ascontiguousarray(rgb)).to(self.device)
            made = self.net(given, self.params.fidelity).clamp_(-1, 1).cpu().numpy()
        return np.asarray((made.transpose(0, 2, 3, 1)[..., ::-1] + 1) * np.float32(127.5), np.float32)


class _Paste:
    """Puts the network's changes on the patches, in the order of frames."""

    def __init__(self, params: CodeFormerParams, rate: float, codes: Floats) -> None:
        """`codes` is the video's `patches.matrix`."""
        from dubd.engines.flicker import Flicker

        self.codes = codes
        self._blend = np.float32(params.blend)
        self._share = 1 - math.exp(-1 / (params.memory * rate)) if params.memory > 0 else 1.0
        self._runs: dict[int, tuple[int, Steady, Stretch]] = {}  # by track: its run now
        self._flicker = Flicker()

    def bgr(self, planes: Floats) -> Floats:
        from dubd.engines.aligned import bgr_of

        return bgr_of(planes, self.codes)

    def __call__(self, face: Patched, restored: Floats) -> Patch:
        """The patch with its share of the change from what the network was given to `restored`."""
        import cv2

        from dubd.engines import aligned

        assert face.seat is not None and face.planes is not None
        steady, stretch = self._run(face.seat)
        change = cv2.transform(restored - self.bgr(face.planes), self.codes[:, :3])
        change = steady(np.asarray(change, np.float32)) * self._blend
        affine, (width, height) = face.seat.affine, face.patch.size
        lumas = np.dstack([face.planes[..., 0], change[..., 0]])
        before, by = cv2.split(cv2.resize(lumas, (_LOOK, _LOOK), interpolation=cv2.INTER_AREA))
        mask = aligned.mask(face.patch.alpha, affine, face.x, face.y, _LOOK)
        stretch.add(np.stack([before, by, before + by]), mask)
        changes = aligned.returned(change, affine, face.x, face.y, width, height)
        planes = (face.patch.luma, face.patch.cb, face.patch.cr)
        # OpenCV rounds and saturates in one pass.
        made = [np.asarray(cv2.add(*pair, dtype=cv2.CV_8U), np.uint8) for pair in zip(planes, changes, strict=True)]
        return replace(face.patch, luma=made[0], cb=made[1], cr=made[2])

    def _run(self, seat: Seat) -> tuple[Steady, Stretch]:
        from dubd.engines.flicker import Steady

        if seat.track not in self._runs or self._runs[seat.track][0] != seat.run:
            self._runs[seat.track] = (seat.run, Steady(self._share), self._flicker.stretch())
        return self._runs[seat.track][1:]

    def flicker_facts(self) -> dict[str, float]:
        """Levels of luma, within the masks: of the faces as they came, of the change, and of both together."""
        names = ("flicker_before", "flicker_of_change", "flicker_after")
        return {name: round(value, 3) for name, value in zip(names, self._flicker.means() or (), strict=False)}


def _batches(faces: Iterator[Patched], most: int) -> Iterator[list[Patched]]:
    """In order, `most` for the network at once; what goes on unchanged does not make them wait without end."""
    batch: list[Patched] = []
    for face in faces:
        batch.append(face)
        if sum(one.planes is not None for one in batch) == most or len(batch) >= 4 * most:
            yield batch
            batch = []
    if batch:
        yield batch
