"""Recognise English speech with CMU PocketSphinx, whose model comes inside its wheel: nothing to download."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from dubd.engines.contract import Engine, Heard, Recording, Word

if TYPE_CHECKING:
    from pocketsphinx import Decoder

RATE = 16_000  # Hz, what the acoustic model was trained at
MARGIN = 0.1  # s of the recording kept around a stretch: the model expects silence at both ends
PEAK = 0.5  # of full scale
SETTINGS = {"maxhmmpf": 3000, "maxwpf": 20, "topn": 2, "cmn": "batch", "loglevel": "FATAL"}


class Pocketsphinx(Engine[Recording, Heard]):
    """Words with times and confidence, stretch by stretch.

    A word's confidence is its posterior in the word lattice (the decoder's third pass).
    """

    name = "pocketsphinx"
    stage = "transcribe"
    summary = "CMU PocketSphinx with its built-in US English model; rough on noisy or accented speech"
    licence = "BSD-2-Clause"
    batch = 16

    def __init__(self) -> None:
        self._decoder: Decoder | None = None

    @classmethod
    def revision(cls) -> str:
        """The wheel's version (it holds the model) and that of the settings here."""
        try:
            return f"{version('pocketsphinx')}-1"
        except PackageNotFoundError:
            return "absent"

    @classmethod
    def missing(cls) -> str | None:
        return None if find_spec("pocketsphinx") else "pip install 'pocketsphinx>=5.1'"

    @classmethod
    def refuses(cls, source: str, target: str) -> str | None:  # noqa: ARG003
        if source.split("-")[0].lower() == "en":
            return None
        return f"pocketsphinx hears English only, not {source!r}: use another engine, or put subtitles beside the video"

    def load(self, device: str, params: Any) -> None:  # noqa: ARG002
        from pocketsphinx import Decoder

        self._decoder = Decoder(samprate=RATE, **SETTINGS)

    def run(self, batch: Sequence[Recording]) -> list[Heard | Exception]:
        return [self._attempt(recording) for recording in batch]

    def _attempt(self, recording: Recording) -> Heard | Exception:
        reason = self.refuses(recording.language, "")
        if reason:
            return ValueError(reason)
        seconds = len(recording.samples) / RATE
        words: list[Word] = []
        for start, end in recording.speech or ((0.0, seconds),):
            words += self._decode(recording.samples, max(0.0, start - MARGIN), min(seconds, end + MARGIN))
        return Heard(words, recording.language)

    def _decode(self, samples: np.ndarray, start: float, end: float) -> list[Word]:
        """The words of one stretch, in seconds on the recording's clock."""
        stretch = samples[round(start * RATE) : round(end * RATE)]
        loudest = float(np.abs(stretch).max(initial=0.0))
        decoder = self._decoder
        if decoder is None or loudest == 0.0:
            return []
        pcm = np.clip(stretch * (PEAK / loudest) * 32767, -32768, 32767).astype("<i2")
        decoder.start_utt()
        decoder.process_raw(pcm.tobytes(), full_utt=True)
        decoder.end_utt()
        if decoder.hyp() is None:
            return []
        return [
            Word(
                start + segment.start_frame / 100,
                start + (segment.end_frame + 1) / 100,
                segment.word.split("(")[0],
                round(min(1.0, max(0.0, segment.prob)), 3),
            )
            for segment in decoder.seg()
            if segment.word[0] not in "<["  # silence and noises
        ]
