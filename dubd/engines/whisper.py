"""Recognise speech in 99 languages with OpenAI's Whisper, as its own library has it (PyTorch)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING

from dubd.engines.contract import Engine, Heard, Recording, Vram
from dubd.engines.whisper_languages import refusal, unfit
from dubd.engines.whisper_published import OPENAI, shape, torch_vram
from dubd.errors import DubdError
from dubd.models import store
from dubd.models.model import Model, Needed, chosen

if TYPE_CHECKING:
    from dubd.engines.whisper_torch import TorchDecoder


@dataclass(frozen=True)
class WhisperParams:
    """`model`: a published name or a .pt file; `beam`: rows of the search, 1 is greedy.

    `detect`: let the model listen for the language too, and fail a segment that is surely in another than the rule's.
    """

    model: str = "large-v3"
    beam: int = 1
    detect: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.beam <= 10:
            raise ValueError(f"beam is {self.beam}, not from 1 to 10")


class Whisper(Engine[Recording, Heard]):
    """Words with times and probabilities; all windows of a batch are encoded and decoded together."""

    name = "whisper"
    stage = "transcribe"
    summary = "OpenAI Whisper, 99 languages; the reference, faster-whisper is sooner done"
    licence = "MIT (code and models)"
    Params = WhisperParams
    model_params = ("model",)
    precisions = ("fp32", "fp16")
    published = OPENAI
    batch = 8

    def __init__(self) -> None:
        self._decoder: TorchDecoder | None = None
        self._params = WhisperParams()

    @classmethod
    def revision(cls) -> str:
        """The library's version and that of the code around it."""
        try:
            return f"{version('openai-whisper')}-3"
        except PackageNotFoundError:
            return "absent"

    @classmethod
    def missing(cls) -> str | None:
        return None if find_spec("whisper") and find_spec("torch") else "pip install 'dubd[whisper]'"

    @classmethod
    def refuses(cls, source: str, target: str) -> str | None:  # noqa: ARG003
        return refusal(cls.name, source)

    @classmethod
    def unfit(cls, params: WhisperParams, source: str) -> tuple[str, str, str] | None:
        return unfit(params.model, source, cls.published)

    @classmethod
    def models(cls, params: WhisperParams) -> tuple[Needed, ...]:
        return (chosen(params.model, cls.published),)

    @classmethod
    def vram(cls, params: WhisperParams, precision: str | None) -> Vram:
        (needed,) = cls.models(params)
        own = None if isinstance(needed, Model) else needed.path
        return torch_vram(shape(needed, own), 4 if precision == "fp32" else 2, params.beam)

    def load(self, device: str, params: WhisperParams) -> None:
        if self.precision not in (None, "fp32", "fp16"):
            remedy = "precision: fp16 or fp32; faster-whisper has int8"
            raise DubdError(f"whisper does not run in {self.precision}", stage=self.stage, remedy=remedy)
        from dubd.engines import whisper_torch

        (needed,) = self.models(params)
        file = needed.files[0].path if isinstance(needed, Model) else "whisper.pt"
        half = self.precision == "fp16" or (self.precision is None and device != "cpu")
        self._params = params
        loaded = whisper_torch.model(
            store.file(needed, file),
            self.stage,
            device,
            half=half,
            published=params.model if isinstance(needed, Model) else None,
        )
        self._decoder = whisper_torch.TorchDecoder(loaded, half=half, beam=params.beam)

    def run(self, batch: Sequence[Recording]) -> list[Heard | Exception]:
        from dubd.engines.whisper_batch import recognise

        if self._decoder is None:
            raise RuntimeError("whisper is used before it is loaded")
        return recognise(batch, self._decoder, self.name, self.room.batch, detect=self._params.detect)
