"""Speak with XTTS v2: the speaker's own voice in another language, 17 of them, or one of 58 voices of its own."""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from dubd.engines import clauses, listening, registry, xtts_text, xtts_voices
from dubd.engines.contract import Engine, Latents, Line, Reference, Spoken, Vram, refuse
from dubd.errors import DubdError
from dubd.models import store
from dubd.models.model import File, Needed, chosen, from_hub

if TYPE_CHECKING:
    from dubd.engines.xtts_model import Model, Uttered, Voice

_CATALOGUE: Final = "speakers_xtts.pth"
PUBLISHED: Final = {
    "xtts_v2": from_hub(
        "xtts/xtts_v2",
        "coqui/XTTS-v2",
        "6c2b0d75eae4b7047358e3b6bd9325f857d43f77",
        (
            File("model.pth", None, 1_867_929_118, "c7ea20001c6a0a841c77e252d8409f6a74fb423e79b3206a0771ba5989776187"),
            File("config.json", None, 4_368, "ef262b1454dd2a77e1461b0b2cd53e19b8a7624cc131b837d36df67356bc75e8"),
            File("vocab.json", None, 361_219, "928260878a59da8a72a2a5b7687fea29d5106137669d90945430fe17e415304a"),
            File(
                "speakers_xtts.pth", None, 7_754_818, "f0f6137c19a4eab0cbbe4c99b5babacf68b1746e50da90807708c10e645b943b"
            ),
        ),
        "CPML-1.0: non-commercial use of the model and of what it says",
    )
}
_MODULES: Final = ("torch", "torchaudio", "torchcodec", "TTS", "six")
_EDGE: Final = 0.03  # s of silence that is left at the ends of a piece
_FADE: Final = 0.005  # s
_QUIET: Final = 10 ** (-45 / 20)  # of the peak: what is quieter at the ends is no speech
_COOLER: Final = 0.75  # the temperature of the last tries, in parts of the rule's: fewer surprises
_KEPT: Final = 64  # lines whose latents are kept for another rate: some 1 MB each

# Parameters of the published model: 466.9 M, of which 441.0 M are the GPT. 4 bytes each; under autocast its weights
# have a copy of 2 bytes beside them.
_WEIGHTS, _GPT = 466_900_000, 441_000_000
# One text at its longest (605 audio tokens after 402 of text and 32 of the voice): keys and values of 30 layers of
# 1024 channels, 2 x 30 x 1039 x 1024 x 4 bytes, and 28 s of sound in the vocoder, whose last stage has 32 channels at
# 24 kHz, six such tensors at once.
_CACHE, _VOCODER = 2 * 30 * 1039 * 1024 * 4, 6 * 32 * 28 * 24_000 * 4


@dataclass(frozen=True)
class Manner:
    """What a rule may set. `voice`: "auto" clones where the rule has `consent: true`, and else takes a voice of the
    catalogue that is as high as the speaker's; "clone" insists; else the name of a voice of the catalogue.
    """

    model: str = "xtts_v2"
    voice: str = "auto"
    temperature: float = 0.75  # this and the next four as in the published config.json
    length_penalty: float = 1.0
    repetition_penalty: float = 5.0
    top_k: int = 50
    top_p: float = 0.85
    retries: int = 3  # further tries for a line that came out wrong

    def __post_init__(self) -> None:
        refuse(self._faults())

    def _faults(self) -> Iterator[str]:
        if self.model in PUBLISHED and self.voice not in ("auto", "clone", *xtts_voices.VOICES):
            close = difflib.get_close_matches(self.voice, ("auto", "clone", *xtts_voices.VOICES), n=1)
            hint = f"did you mean {close[0]}?" if close else "auto, clone, or a name as in docs/engines/xtts.md"
            yield f"no voice {self.voice!r}: {hint}"
        for name in ("temperature", "repetition_penalty", "top_k"):
            if getattr(self, name) <= 0:
                yield f"{name} must be above 0"
        if not 0 < self.top_p <= 1:
            yield "top_p must be above 0 and at most 1"
        if self.retries < 0:
            yield "retries must be 0 or more"

    def settings(self, temperature: float) -> dict[str, Any]:
        """For the sampler."""
        return {
            "temperature": temperature,
            "length_penalty": self.length_penalty,
            "repetition_penalty": self.repetition_penalty,
            "top_k": self.top_k,
            "top_p": self.top_p,
        }


@dataclass(frozen=True)
class _Try:
    uttered: Uttered
    samples: np.ndarray
    doubts: tuple[str, ...]


class Xtts(Engine[Line, Spoken]):
    """One text at a time: what a line sounds like depends on its words, its voice and nothing else."""

    name = "xtts"
    stage = "speak"
    summary = "XTTS v2: clones the speaker's voice, 17 languages, non-commercial"
    licence = "code MPL-2.0; model CPML-1.0 (Coqui Public Model License): non-commercial, its output too"
    Params = Manner
    model_params = ("model",)
    precisions = ("fp32", "fp16", "bf16")
    clone_params = ()
    published: ClassVar = PUBLISHED
    rates: ClassVar[tuple[float, float]] = (0.9, 1.15)
    parallel: ClassVar[int] = 2  # a token at a time leaves most of a card idle

    def __init__(self) -> None:
        self._params = Manner()
        self._model: Model | None = None
        self._said: OrderedDict[tuple[str, str], list[_Try]] = OrderedDict()

    @classmethod
    def revision(cls) -> str:
        """That of the library which reads the text and runs the model, and of the code here."""
        return f"{_library()}-1"

    @classmethod
    def missing(cls) -> str | None:
        return None if all(map(importlib.util.find_spec, _MODULES)) else "pip install 'dubd[xtts]'"

    @classmethod
    def refuses(cls, source: str, target: str) -> str | None:
        code = xtts_text.code(target)
        if code is None:
            others = [name for name in registry.names("speak") if _speaks(name, source, target)]
            able = f"{' and '.join(others)} can: speak: {{engine: {others[0]}}}" if others else "no engine here does"
            return f"its 17 languages are {' '.join(xtts_text.LIMITS)}; {able}"
        if (reader := xtts_text.reader(code)) and importlib.util.find_spec(reader[0]) is None:
            return f"pip install 'coqui-tts[{reader[1]}]'"
        return None

    @classmethod
    def models(cls, params: Manner) -> tuple[Needed, ...]:
        return (chosen(params.model, PUBLISHED),)

    @classmethod
    def vram(cls, params: Manner, precision: str | None) -> Vram:  # noqa: ARG003
        copies = 0 if precision == "fp32" else 2 * _GPT
        return Vram((4 * _WEIGHTS + copies) >> 20, (_CACHE + _VOCODER) >> 20)

    @classmethod
    def clones(cls, params: Manner) -> bool:
        return params.voice in ("auto", "clone")

    def load(self, device: str, params: Manner) -> None:
        from dubd.engines.xtts_model import Model

        folder = store.place(chosen(params.model, PUBLISHED))
        self._params = params
        self._said.clear()
        self._model = Model(folder, device, self.precision or ("fp32" if device == "cpu" else "fp16"))
        if params.voice not in ("auto", "clone", *self._model.catalogue):
            near = difflib.get_close_matches(params.voice, self._model.catalogue, n=1)
            remedy = (
                f"did you mean {near[0]}?" if near else f"it has {', '.join(sorted(self._model.catalogue)) or 'none'}"
            )
            raise DubdError(f"no voice {params.voice!r} in the model", file=folder, stage="speak", remedy=remedy)

    def condition(self, references: Sequence[Reference]) -> list[Latents | Exception]:
        return [self._conditioned(reference) for reference in references]

    def _conditioned(self, reference: Reference) -> Latents | Exception:
        try:
            return Latents.of(self._loaded().condition(reference.pieces, reference.rate).arrays())
        except (RuntimeError, ValueError) as error:
            return error

    def run(self, batch: Sequence[Line]) -> list[Spoken | Exception]:
        return [self._attempt(line) for line in batch]

    def _attempt(self, line: Line) -> Spoken | Exception:
        try:
            return self._spoken(line)
        except (RuntimeError, ValueError, KeyError, DubdError) as error:
            return error

    def _loaded(self) -> Model:
        if self._model is None:
            raise RuntimeError("XTTS was not loaded")
        return self._model

    def _spoken(self, line: Line) -> Spoken:
        from dubd.engines.xtts_model import RATE

        model, language = self._loaded(), xtts_text.code(line.language)
        if language is None:
            raise ValueError(f"XTTS does not speak {line.language!r}")
        named, voice = self._voice(line)
        pieces = self._pieces(line.text, language)
        key = (f"{language} {named}", line.text)
        if key not in self._said:
            self._said[key] = [self._best(piece.text, language, named, voice) for piece in pieces]
            while len(self._said) > _KEPT:
                self._said.popitem(last=False)
        tries = self._said[key]
        parts: list[np.ndarray] = []
        for piece, one in zip(pieces, tries, strict=True):
            samples = one.samples if line.rate == 1.0 else model.sound(one.uttered, voice, line.rate)
            parts += [_trimmed(samples, RATE), np.zeros(round(piece.pause / line.rate * RATE), np.float32)]
        doubts = dict.fromkeys(doubt for one in tries for doubt in one.doubts)
        return Spoken(np.concatenate(parts[:-1]), RATE, doubts=tuple(doubts))

    def _voice(self, line: Line) -> tuple[str, Voice]:
        """Whose voice says the line, and what is unmistakably its own."""
        from dubd.engines.xtts_model import Voice

        model, wanted = self._loaded(), line.voice if line.voice != "auto" else self._params.voice
        if wanted in ("auto", "clone"):
            if line.latents is not None:
                return line.latents.digest, Voice.of(line.latents.arrays)
            if not model.catalogue:
                raise ValueError("the model has no speakers_xtts.pth, and no voice is cloned without consent: true")
            wanted = xtts_voices.alike(line.pitch, line.speaker, model.catalogue)
        if wanted not in model.catalogue:
            raise ValueError(f"the model has no voice {wanted!r}")
        return wanted, model.catalogue[wanted]

    def _pieces(self, text: str, language: str) -> list[clauses.Piece]:
        """What is said in one go each, none longer than the model takes. ValueError where nothing is left to say."""
        model = self._loaded()
        cleaned = model.cleaned(xtts_text.readable(text, language), language)
        if not xtts_text.says_something(cleaned):
            raise ValueError(f"nothing in {text!r} that XTTS could say in {language}")
        most = xtts_text.LIMITS[language]
        pieces = clauses.split(cleaned, most)
        while most > 1 and not all(model.fits(piece.text, language) for piece in pieces):
            most = most * 3 // 4
            pieces = clauses.split(cleaned, most)
        return pieces

    def _best(self, text: str, language: str, named: str, voice: Voice) -> _Try:
        """The first try that nothing is wrong with, or the one with the fewest doubts; the later half drawn cooler."""
        best: _Try | None = None
        for number in range(self._params.retries + 1):
            cool = number > 0 and 2 * number > self._params.retries
            one = self._tried(text, language, named, voice, number, _COOLER if cool else 1.0)
            if best is None or len(one.doubts) < len(best.doubts):
                best = one
            if not one.doubts:
                break
        assert best is not None
        if any(doubt.startswith(("no sound", "not a sound", "silence")) for doubt in best.doubts):
            raise ValueError(f"{best.doubts[0]} in {self._params.retries + 1} tries at {text!r}")
        return best

    def _tried(self, text: str, language: str, named: str, voice: Voice, number: int, heat: float) -> _Try:
        from dubd.engines.xtts_model import RATE

        model = self._loaded()
        drawn = hashlib.sha256("\0".join((text, language, named, str(number))).encode()).digest()
        settings = self._params.settings(heat * self._params.temperature)
        uttered = model.utter(text, language, voice, int.from_bytes(drawn[:4], "big"), settings)
        samples = model.sound(uttered, voice, 1.0)
        doubts = listening.doubts(samples, RATE, len(text), xtts_text.LIMITS[language])
        if not uttered.ended:
            doubts.append("cut off: the model did not come to an end")
        if listening.stuck(uttered.tokens):
            doubts.append("the model went round in circles")
        return _Try(uttered, samples, tuple(doubts))


@cache
def _library() -> str:
    """The version of coqui-tts, "absent" where it is not installed."""
    try:
        return version("coqui-tts")
    except PackageNotFoundError:
        return "absent"


def _speaks(name: str, source: str, target: str) -> bool:
    try:
        other = registry.find("speak", name)
        return other.name != "xtts" and other.missing() is None and other.refuses(source, target) is None
    except DubdError:
        return False


def _trimmed(samples: np.ndarray, rate: int) -> np.ndarray:
    """Without the silence at its ends but for 30 ms, faded in and out over 5 ms."""
    loud = np.flatnonzero(np.abs(samples) > _QUIET * float(np.abs(samples).max(initial=0.0)))
    if not len(loud):
        return samples
    edge, fade = round(_EDGE * rate), round(_FADE * rate)
    kept = samples[max(0, int(loud[0]) - edge) : int(loud[-1]) + 1 + edge].astype(np.float32)
    if len(kept) > 2 * fade:
        ramp = np.linspace(0, 1, fade, dtype=np.float32)
        kept[:fade] *= ramp
        kept[-fade:] *= ramp[::-1]
    return kept
