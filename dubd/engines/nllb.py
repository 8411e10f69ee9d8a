"""Translate with NLLB-200: one model for 200 languages, straight or over a pivot, n best of each sentence."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, Final

from dubd import regular
from dubd.engines.contract import Engine, Sentence, Translation, Vram, refuse
from dubd.engines.flores import flores, unknown
from dubd.engines.nllb_route import Rendering, through
from dubd.errors import DubdError
from dubd.models import store
from dubd.models.model import File, Model, Needed, chosen, from_hub

if TYPE_CHECKING:
    from dubd.engines.nllb_model import Translator

_LICENCE: Final = "CC-BY-NC-4.0"
_BYTES: Final = {"fp32": 4, "fp16": 2, "bf16": 2}
_VOCABULARY: Final = 256_206
_TOKENS: Final = 64  # of a long sentence: what is declared for each; of longer ones fewer go at once
_LONGER: Final = 3  # times as many tokens as the source, and then some: no translation is longer
_SOME: Final = 20
_CONFIG: Final = 1 << 20  # bytes of a config.json
_SCORING: Final = 256  # MiB for going over the candidates once more (nllb_model.SCORED rows of the vocabulary)


def _published(word: str, revision: str, weights: File) -> Model:
    files = (
        File("config.json"),
        File("generation_config.json"),
        weights,
        File(
            "sentencepiece.bpe.model",
            None,
            4_852_054,
            "14bb8dfb35c0ffdea7bc01e56cea38b9e3d5efcdcb9c251d6b40538e1aab555a",
        ),
        File("tokenizer.json", None, 17_331_176, "e316b82de11d0f951f370943b3c438311629547285129b0b81dadabd01bca665"),
        File("tokenizer_config.json"),
        File("special_tokens_map.json"),
    )
    return from_hub(f"nllb/{word}", f"facebook/{word}", revision, files, _LICENCE)


@dataclass(frozen=True)
class Search:
    """What a rule may set. `beams` are followed at once; `alternatives` of them are kept beside the best."""

    model: str = "nllb-200-distilled-600M"
    beams: int = 4
    alternatives: int = 3

    def __post_init__(self) -> None:
        faults = [] if 1 <= self.beams <= 16 else [f"beams: between 1 and 16, not {self.beams}"]
        most = self.beams if not faults else 16
        if not 0 <= self.alternatives < most:
            faults.append(f"alternatives: fewer than the {most} beams, and not below 0, not {self.alternatives}")
        refuse(faults)


class Nllb(Engine[Sentence, Translation]):
    """Sentence by sentence, as it was trained; those of a whole call go through it sorted by length."""

    name = "nllb"
    stage = "translate"
    summary = "NLLB-200, 200 languages: fluent, sentence by sentence; the weights are for non-commercial use"
    licence = f"Apache-2.0 (code); weights {_LICENCE}"
    Params = Search
    model_params = ("model",)
    precisions = ("fp32", "fp16", "bf16")
    batch = 32
    published: ClassVar[dict[str, Model]] = {
        "nllb-200-distilled-600M": _published(
            "nllb-200-distilled-600M",
            "f8d333a098d19b4fd9a8b18f94170487ad3f821d",
            File(
                "pytorch_model.bin",
                None,
                2_460_457_927,
                "c266c2cfd19758b6d09c1fc31ecdf1e485509035f6b51dfe84f1ada83eefcc42",
            ),
        ),
        "nllb-200-distilled-1.3B": _published(
            "nllb-200-distilled-1.3B",
            "7be3e24664b38ce1cac29b8aeed6911aa0cf0576",
            File(
                "pytorch_model.bin",
                None,
                5_482_882_236,
                "7e40f838a5aad3d60e9254632ab876bda44340386ca7ebad3e099db7432b04e1",
            ),
        ),
        "nllb-200-1.3B": _published(
            "nllb-200-1.3B", "b0de46b488af0cf31749cd8da5ed3171e11b2309", File("pytorch_model.bin")
        ),
    }

    def __init__(self) -> None:
        self._params = Search()
        self._translator: Translator | None = None
        self._fixed = 0.0
        self._of: Callable[[int], float] = float  # MiB of a sentence of so many tokens

    @classmethod
    def revision(cls) -> str:
        """The version of the library that searches, and that of the code around it."""
        try:
            return f"{version('transformers')}-2"
        except PackageNotFoundError:
            return "absent"

    @classmethod
    def missing(cls) -> str | None:
        there = all(find_spec(name) for name in ("torch", "transformers", "sentencepiece"))
        return None if there else "pip install 'dubd[nllb]'"

    @classmethod
    def refuses(cls, source: str, target: str) -> str | None:
        return next((unknown(code) for code in (source, target) if flores(code) is None), None)

    @classmethod
    def models(cls, params: Search) -> tuple[Needed, ...]:
        return (chosen(params.model.removeprefix("facebook/"), cls.published),)

    @classmethod
    def vram(cls, params: Search, precision: str | None) -> Vram:
        """Weights, and for each sentence what one of _TOKENS tokens takes."""
        size, shape = _BYTES.get(precision or "fp16", 2), _shape(cls.models(params)[0])
        per_item = math.ceil(_sentence(shape, params.beams, size, _TOKENS))
        return Vram(model=shape[0] * size // 2**20 + _SCORING, per_item=per_item)

    def load(self, device: str, params: Search) -> None:
        """Errors: DubdError where the folder is no whole NLLB, or the precision none that it can do."""
        precision = self.precision or ("fp16" if device.startswith("cuda") else "fp32")
        if precision not in _BYTES:
            raise DubdError(
                f"nllb does not run in {precision}", stage=self.stage, remedy=f"precision: {', '.join(_BYTES)}"
            )
        from dubd.engines.nllb_model import Translator

        self._params = params
        self._translator = Translator(store.place(self.models(params)[0]), device, precision)
        needed = self.vram(params, precision)
        self._fixed = needed.model + needed.context
        self._of = partial(_sentence, _shape(self.models(params)[0]), params.beams, _BYTES[precision])

    def run(self, batch: Sequence[Sentence]) -> list[Translation | Exception]:
        made: list[Translation | Exception] = [ValueError("not translated")] * len(batch)
        routes: dict[tuple[str, ...], list[int]] = {}
        for index, one in enumerate(batch):
            pivot = one.pivot if one.pivot not in (one.source, one.target) else None
            routes.setdefault((one.source, *([pivot] if pivot else []), one.target), []).append(index)
        for route, indexes in routes.items():
            try:
                done = through([batch[index] for index in indexes], route, self._ask, self._params.alternatives)
            except ValueError as error:  # a code that the model has not: out of memory and bugs are the worker's
                for index in indexes:
                    made[index] = error
            else:
                for index, translation in zip(indexes, done, strict=True):
                    made[index] = translation
        return made

    def _ask(self, texts: Sequence[str], source: str, target: str, best: int) -> list[list[Rendering]]:
        assert self._translator is not None, "load comes first"
        codes = [flores(code) for code in (source, target)]
        if None in codes:
            raise ValueError(self.refuses(source, target))

        def at_once(tokens: int) -> int:
            return self.room.items(self._of(tokens), self._fixed)

        return self._translator.translate(texts, str(codes[0]), str(codes[1]), self._params.beams, best, at_once)


def longest(tokens: int) -> int:
    """The most tokens that a translation of so many may have."""
    return _LONGER * tokens + _SOME


def _sentence(shape: tuple[int, int, int], beams: int, size: int, tokens: int) -> float:
    """MiB of a sentence of so many tokens: beams x (key and value caches, and a row of the vocabulary's logits).

    Both caches (source and own tokens, as many as there may be) count twice, though only one layer's are there twice
    while beams change places: each token makes all of them anew and a little larger, in pieces that an allocator
    cannot fill again. What is alive at once was 52 to 55 % of this, counted on a processor. Log-probabilities are fp32.
    """
    _, layers, width = shape
    cache = 2 * layers * width * (tokens + longest(tokens)) * size * 2
    return beams * (cache + _VOCABULARY * (size + 8)) / 2**20


def _shape(model: Needed) -> tuple[int, int, int]:
    """Parameters, decoder layers and width. A model of one's own is asked; one that is not there is taken for small."""
    small = (615_073_792, 12, 1024)
    if isinstance(model, Model):
        return (1_370_638_336, 24, 1024) if "1.3B" in model.name else small
    try:
        config: dict[str, Any] = json.loads(regular.read(model.path / "config.json", _CONFIG).decode("utf-8"))
        kinds = (".safetensors", ".bin")  # transformers loads the first of them that is there
        files = next(filter(None, ([*model.path.glob(f"*{kind}")] for kind in kinds)), [])
        kept = 2 if "16" in str(config.get("torch_dtype") or config.get("dtype")) else 4
        count = sum(file.stat().st_size for file in files) // kept
        layers, width = int(config["decoder_layers"]), int(config["d_model"])
    except (OSError, DubdError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return small  # what is wrong with it is told when it is loaded
    return (count, layers, width) if layers > 0 and width > 0 else small
