"""Whisper in CTranslate2, by the faster-whisper library. Imported by an engine's `load` alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens

from dubd.engines.contract import OutOfMemory
from dubd.engines.whisper_batch import HOTTER, Decoded
from dubd.engines.whisper_window import FRAMES, LONGEST, Timed, Window
from dubd.errors import DubdError
from dubd.models import store

_FILES: Final = ("model.bin", "config.json", "tokenizer.json")  # without the last the library asks the hub
_REMEDY: Final = "dubd models pull, or name a folder with model.bin, config.json and tokenizer.json"
_INITIAL: Final = 50  # of 20 ms: the first time a window may begin with, as whisper has it
_CONVERT: Final = "ct2-transformers-converter --copy_files tokenizer.json preprocessor_config.json"
_TYPES: Final = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16", "int8": "int8"}


def model(folder: Path, stage: str, device: str, precision: str) -> WhisperModel:
    """The converted model in `folder`. Errors: DubdError with what it lacks."""
    if not folder.is_dir():
        what = "a file; a converted model is a folder" if folder.exists() else "not there"
        raise DubdError(f"the model is {what}", file=folder, stage=stage, remedy=_REMEDY)
    lacking = [name for name in _FILES if not (folder / name).is_file()]
    if lacking:
        remedy = _REMEDY
        if any((folder / name).exists() for name in ("model.safetensors", "pytorch_model.bin")):
            remedy = f"it is one of transformers; convert it: {_CONVERT} --model {folder} --output_dir NEW"
        raise DubdError(f"no {' and no '.join(lacking)} in the model's folder", file=folder, stage=stage, remedy=remedy)
    kind = _TYPES.get(precision, precision)
    if kind == "int8" and device != "cpu":
        kind = "int8_float16"
    try:
        name, _, index = device.partition(":")
        return WhisperModel(str(folder), device=name, device_index=int(index or 0), compute_type=kind)
    except ValueError as error:  # the precision, mostly
        raise DubdError(f"cannot be loaded as {kind}: {error}", file=folder, stage=stage) from error
    except Exception as error:  # tokenizers raises Exception itself
        if "out of memory" in str(error):
            raise OutOfMemory(str(error)) from error
        raise DubdError(
            f"not a whole CTranslate2 model: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
            file=folder,
            stage=stage,
            remedy=f"it may be cut short: {store.again(folder)}",
        ) from error


class Ct2Decoder:
    """`whisper_batch.Decoder` with a CTranslate2 model. `encode` returns audio features, (windows, 1500, state).

    They lie in the computer's memory, as faster-whisper has them for several cards: on a GPU they cannot be cut.
    """

    def __init__(self, load: Callable[[], WhisperModel], folder: Path, *, beam: int) -> None:
        self._load = load
        self._model = load()
        self._beam = beam
        self._folder = folder
        self.limit = self._model.max_length // 2
        tokenizer = self._tokenizer("en")
        self.eot, self.timestamp = tokenizer.eot, tokenizer.timestamp_begin
        self._drew = False  # its generator is no longer fresh
        self.most = 0  # windows that were encoded at once so far

    def knows(self, language: str) -> bool:
        if not self._model.model.is_multilingual:
            return language == "en"
        return self._model.hf_tokenizer.token_to_id(f"<|{language}|>") is not None

    def encode(self, windows: Sequence[Window]) -> np.ndarray:
        frames = round(LONGEST * FRAMES)
        mels = [self._model.feature_extractor(window.samples, padding=0)[:, :frames] for window in windows]
        self.most = max(self.most, len(mels))
        # On a processor one by one: what a window needs stays in its caches (a fifth less time).
        turn = 1 if self._model.model.device == "cpu" else len(mels)
        return np.concatenate([self._encoded(mels[at : at + turn]) for at in range(0, len(mels), turn)])

    def _encoded(self, mels: Sequence[np.ndarray]) -> np.ndarray:
        view = ctranslate2.StorageView.from_array(np.stack(mels).astype(np.float32))
        encoded = self._model.model.encode(view, to_cpu=True)
        if encoded.dtype == ctranslate2.DataType.bfloat16:  # which numpy lacks
            encoded = encoded.to(ctranslate2.DataType.float32)
        return np.array(encoded)

    def choose(self, encoded: np.ndarray, which: Sequence[int]) -> np.ndarray:
        return encoded[list(which)]

    def languages(self, encoded: np.ndarray) -> list[tuple[str, float]]:
        if not self._model.model.is_multilingual:
            return [("en", 1.0)] * len(encoded)
        found = self._model.model.detect_language(_view(encoded))
        if not all(found):
            raise ValueError(
                f"{self._folder / 'config.json'} has no lang_ids, so that the model cannot detect a language: "
                "convert it with its tokenizer, or leave out detect"
            )
        return [(one[0][0][2:-2], float(one[0][1])) for one in found]

    def decode(self, encoded: np.ndarray, language: str, temperature: float, seeds: Sequence[int]) -> list[Decoded]:
        tokenizer = self._tokenizer(language)
        prompt = list(tokenizer.sot_sequence)
        search: dict[str, Any] = {"beam_size": self._beam}
        if temperature > 0:
            if temperature == HOTTER[0]:
                self._seeded(sum(seeds) & 0xFFFFFFFF)
            self._drew = True
            search = {"beam_size": 1, "sampling_topk": 0, "sampling_temperature": temperature}
        made = self._model.model.generate(
            _view(encoded),
            [prompt] * len(encoded),
            max_length=2 * self.limit,  # the library writes half of it, leaving the other half to a text before
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=list(get_suppressed_tokens(tokenizer, [-1])),
            max_initial_timestamp_index=_INITIAL,
            **search,
        )
        decoded = []
        for one in made:
            tokens = tuple(one.sequences_ids[0])
            text = tokenizer.decode([token for token in tokens if token < self.eot]).strip()
            # The score is a mean over the tokens; whisper's counts the end of the text as one more.
            sure = one.scores[0] * len(tokens) / (len(tokens) + 1)
            decoded.append(Decoded(tokens, text, float(sure), float(one.no_speech_prob)))
        return decoded

    def align(
        self, encoded: np.ndarray, texts: Sequence[Sequence[int]], frames: Sequence[int], language: str
    ) -> list[list[Timed]]:
        found = self._model.find_alignment(
            self._tokenizer(language), [list(text) for text in texts], _view(encoded), list(frames)
        )
        return [
            [Timed(one["word"], float(one["start"]), float(one["end"]), float(one["probability"])) for one in words]
            for words in found
        ]

    def _seeded(self, seed: int) -> None:
        """CTranslate2 draws from a generator that each of its threads seeds as it first draws: only new threads, with a
        model of their own, begin anew.
        """
        ctranslate2.set_random_seed(seed)
        if self._drew:
            self._model.model.unload_model()  # so that there is never room taken for two
            self._model = self._load()

    def _tokenizer(self, language: str) -> Tokenizer:
        return Tokenizer(self._model.hf_tokenizer, self._model.model.is_multilingual, "transcribe", language)


def _view(encoded: np.ndarray) -> ctranslate2.StorageView:
    return ctranslate2.StorageView.from_array(np.ascontiguousarray(encoded))
