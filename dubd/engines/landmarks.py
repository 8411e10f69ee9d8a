"""Find and follow faces with dlib: HOG detector now and then, 68 landmarks in every frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from dubd.engines.contract import Engine, Shot, each
from dubd.models import store

if TYPE_CHECKING:
    from dubd.engines.landmarks_follow import Grey
    from dubd.engines.tracks import Tracks

MODEL = "shape_predictor_68_face_landmarks.dat"
FOLDERS = ("/usr/share/dlib", "/usr/local/share/dlib")


@dataclass(frozen=True)
class DlibParams:
    """What a rule may set."""

    detect: int = 640  # longer side in pixels of the picture that the detector sees
    every: int = 8  # frames from one detection to the next, twice as many where all that is followed was confirmed


class Dlib(Engine[Shot, "Tracks"]):
    """HOG face detector and the 68-point regression-tree predictor of dlib."""

    name: ClassVar[str] = "dlib"
    stage: ClassVar[str] = "faces"
    summary: ClassVar[str] = "dlib HOG detector and 68 landmarks"
    licence: ClassVar[str] = "code BSL-1.0, model CC0-1.0"
    Params: ClassVar[type[Any]] = DlibParams

    @classmethod
    def revision(cls) -> str:
        return "3"

    @classmethod
    def missing(cls) -> str | None:
        return None if model() else "apt install libdlib-data (or put its 68-point model where `dubd models path` says)"

    def load(self, device: str, params: DlibParams) -> None:  # noqa: ARG002  (dlib runs on the processor)
        import dlib

        path = model()
        if path is None:
            raise FileNotFoundError(2, f"no {MODEL}; {self.missing()}", MODEL)
        self.params = params
        self._dlib = dlib
        self._find = dlib.get_frontal_face_detector()
        self._place = dlib.shape_predictor(str(path))

    def run(self, batch: Sequence[Shot]) -> list[Tracks | Exception]:
        return each(self._tracks, batch)

    def _tracks(self, shot: Shot) -> Tracks:
        from dubd.media.ffmpeg import frames_grey, picture_of

        picture = picture_of(shot.video)
        frames = frames_grey(shot.video, int(picture["width"]), int(picture["height"]))
        return self.follow(frames, float(Fraction(shot.rate)))

    def follow(self, frames: Iterable[Grey], rate: float) -> Tracks:
        """Tracks of the faces in `frames` (grey, full size, streamed), `rate` of them a second."""
        from dubd.engines.landmarks_follow import Follower

        return Follower(self.params, self._dlib, self._find, self._place).follow(frames, rate)


def model() -> Path | None:
    """Where the landmark model lies: the folder of models, else where Debian's libdlib-data puts it."""
    for folder in (store.root(), *FOLDERS):
        if (path := Path(folder) / MODEL).is_file():
            return path
    return None
