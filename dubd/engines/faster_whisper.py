"""Recognise speech in 99 languages with Whisper in CTranslate2 (faster-whisper): the same model, sooner."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING

from dubd.engines.contract import Engine, Heard, OutOfMemory, Recording, Vram
from dubd.engines.whisper import WhisperParams
from dubd.engines.whisper_languages import refusal, unfit
from dubd.engines.whisper_published import CONVERTED, ct2_vram, shape
from dubd.models import store
from dubd.models.model import Needed, chosen

if TYPE_CHECKING:
    from dubd.engines.whisper_ct2 import Ct2Decoder


class FasterWhisper(Engine[Recording, Heard]):
    """Words with times and probabilities; all windows of a batch are encoded, decoded and timed together.

    `precision`: int8 on the CPU, fp16 on a GPU where the rule says nothing.
    """

    name = "faster-whisper"
    stage = "transcribe"
    summary = "OpenAI Whisper by CTranslate2, 99 languages; the one to choose where speed matters"
    licence = "MIT (code and models)"
    Params = WhisperParams
    model_params = ("model",)
    published = CONVERTED
    batch = 8

    def __init__(self) -> None:
        self._decoder: Ct2Decoder | None = None
        self._params = WhisperParams()
        self._vram: Vram | None = None  # on a GPU, of what is loaded

    @classmethod
    def revision(cls) -> str:
        """The libraries' versions and that of the code around them."""
        try:
            return f"{version('faster-whisper')}-{version('ctranslate2')}-3"
        except PackageNotFoundError:
            return "absent"

    @classmethod
    def missing(cls) -> str | None:
        here = find_spec("faster_whisper") and find_spec("ctranslate2")
        return None if here else "pip install 'dubd[faster-whisper]'"

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
        of = shape(needed, store.place(needed) / "model.bin")
        weight = {"fp32": 4, "int8": 1}.get(precision or "fp16", 2)
        return ct2_vram(of, weight, max(2, weight), params.beam)

    def load(self, device: str, params: WhisperParams) -> None:
        from dubd.engines import whisper_ct2

        (needed,) = self.models(params)
        folder = store.place(needed)
        self._params = params
        precision = self.precision or ("int8" if device == "cpu" else "fp16")
        load = partial(whisper_ct2.model, folder, self.stage, device, precision)
        self._decoder = whisper_ct2.Ct2Decoder(load, folder, beam=params.beam)
        self._vram = None if device == "cpu" else self.vram(params, precision)

    def run(self, batch: Sequence[Recording]) -> list[Heard | Exception]:
        from dubd.engines.whisper_batch import recognise

        if self._decoder is None:
            raise RuntimeError("faster-whisper is used before it is loaded")
        try:
            return recognise(batch, self._decoder, self.name, self.room.batch, detect=self._params.detect)
        except RuntimeError as error:  # CTranslate2 has no kind of its own for it
            if "out of memory" in str(error):
                raise OutOfMemory(str(error)) from error
            raise

    def held(self) -> int | None:
        """Its weights: CTranslate2's allocator tells nobody what it has."""
        return self._vram.model if self._vram else None

    def peak(self) -> int | None:
        """Its weights and the most windows that it had at once, as estimated."""
        if self._vram is None or self._decoder is None:
            return None
        return self._vram.model + self._vram.per_item * self._decoder.most
