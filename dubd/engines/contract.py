"""What an engine is: a declaration that costs nothing to read, and two calls, `load` and `run`.

Importing an engine's module must stay cheap: heavy libraries are imported in `load`. An engine is
one file with one class, and one entry-point line in the group of its stage:

    [project.entry-points."dubd.speak"]
    espeak = "dubd.engines.espeak:Espeak"

An engine that can use a GPU answers `vram`; the rest of the scheduler follows from that one answer.
All memory is in whole MiB.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

if TYPE_CHECKING:
    import numpy as np

    from dubd.media.patches import PatchReader, PatchWriter
    from dubd.models.model import Model, Needed

Item = TypeVar("Item")
Made = TypeVar("Made")


@dataclass(frozen=True)
class NoParams:
    """The parameters of an engine that has none."""


def refuse(faults: Iterable[str]) -> None:
    """For the check of a `Params`: ValueError with a line for each fault, so that a person hears of all at once."""
    if found := list(faults):
        raise ValueError("\n".join(found))


@dataclass(frozen=True)
class Vram:
    """What an engine needs on a GPU, in MiB; `context` is what CUDA itself takes in each process.

    300 to 400 MiB of context since CUDA 11.7 (pytorch issues #20532 and #107667).
    """

    model: int
    per_item: int
    context: int = 400

    def at(self, batch: int) -> int:
        """MiB for calls of at most `batch` items."""
        return self.model + self.per_item * batch + self.context


@dataclass(frozen=True)
class Room:
    """What a worker may use: `mib` is its lease (None on the CPU), `batch` the most items a call may hold.

    An engine that is handed more than `batch` items goes through them in turns: the ladder after an
    out-of-memory halves `batch`. A library with a limit of its own (`gpu_mem_limit` of ONNX Runtime) is given
    `mib` less the context; PyTorch is capped by the worker.
    """

    mib: int | None = None
    batch: int = 1

    def items(self, per_item: float, fixed: float) -> int:
        """How many items of `per_item` MiB fit beside `fixed` MiB (model and context): 1 to `batch`.

        Lip engines ask for each shot, with `per_item` from its frame and face size: one that does, and whose figures
        are right, stays within its lease. OutOfMemory where not even one item fits: the lease then grows.
        ValueError where `per_item` is not positive.
        """
        if per_item <= 0:
            raise ValueError(f"an item takes {per_item} MiB")
        if self.mib is None:
            return self.batch
        if fixed + per_item > self.mib:
            raise OutOfMemory(f"one item takes {fixed + per_item:.0f} MiB, the lease is {self.mib}", alone=True)
        return max(1, min(self.batch, math.floor((self.mib - fixed) / per_item)))


class OutOfMemory(Exception):
    """The device has no room for what was asked of it. An engine may raise it; PyTorch's own is recognised too.

    `alone`: a single item was too much, so that fewer at once would not help.
    """

    def __init__(self, said: str = "", *, alone: bool = False) -> None:
        super().__init__(said)
        self.alone = alone


def each(make: Callable[[Item], Made], batch: Sequence[Item]) -> list[Made | Exception]:
    """What `run` answers for an engine that makes one item after the other."""
    made: list[Made | Exception] = []
    for item in batch:
        try:
            made.append(make(item))
        except Exception as error:  # each fails for itself
            made.append(error)
    return made


class Engine(ABC, Generic[Item, Made]):
    """A model, or what stands for one. One instance lives in one worker process."""

    name: ClassVar[str]
    stage: ClassVar[str]  # transcribe, translate, speak, faces, lipsync or restore
    summary: ClassVar[str]  # one line for `dubd doctor` and the report
    licence: ClassVar[str]  # code and data, SPDX where there is a name
    commercial: ClassVar[bool | None] = None  # may it be used so; None: as dubd.models.licences knows `licence`
    Params: ClassVar[type[Any]] = NoParams  # frozen dataclass: what a rule may set, with defaults; see `refuse`
    # Those of its Params that say which model it is: a published name, or a path (/, ./, ../ or ~, relative to the
    # rule file). In a task's key stand the models in their place: what they hold and not where they lie.
    model_params: ClassVar[tuple[str, ...]] = ()
    # Those that start programs or read other files: a rule that lies beside a drop may not set them.
    operator_params: ClassVar[tuple[str, ...]] = ()
    # Those of its Params that change no byte of what it makes: they are in no task's key.
    upkeep_params: ClassVar[tuple[str, ...]] = ()
    # speak, where it clones: those of the others that `condition` reads; None: any of them may.
    clone_params: ClassVar[tuple[str, ...] | None] = None
    published: ClassVar[Mapping[str, Model]] = {}  # by the word that a rule uses: what `dubd models list` shows
    batch: ClassVar[int] = 1  # how many jobs one call may take
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "fp16", "bf16", "int8")  # those of a rule that it runs in
    # How many workers of it may run on one card at once: more than one where a call leaves most of the card's
    # compute idle. A second one starts only where more work waits than the first one's next batch.
    parallel: ClassVar[int] = 1
    rates: ClassVar[tuple[float, float]] = (1.0, 1.0)  # speak: slowest and quickest `Line.rate` it can do itself

    # Set by the worker before `load`.
    room: Room = Room()
    precision: str | None = None  # as in the rule: fp32, fp16, bf16 or int8; None: the engine's own choice

    @classmethod
    def revision(cls) -> str:
        """Changes whenever the same input may give other output; part of every task's key."""
        return "1"

    @classmethod
    def missing(cls) -> str | None:
        """None where the engine can run here, else what to install, as one command."""
        return None

    @classmethod
    def refuses(cls, source: str, target: str) -> str | None:  # noqa: ARG003  (for engines to answer)
        """None where the engine can do this pair of language codes, else the reason."""
        return None

    @classmethod
    def unfit(cls, params: Any, source: str) -> tuple[str, str, str] | None:  # noqa: ARG003  (for engines to answer)
        """Which of these `Params` cannot go with the language spoken, where its others can; why, and what to do."""
        return None

    @classmethod
    def models(cls, params: Any) -> tuple[Needed, ...]:  # noqa: ARG003  (for engines to answer)
        """The model files that it loads with these `Params`: tasks wait until they are here (`dubd models pull`).

        ValueError, with the names that it knows, where `params` names none of them.
        """
        return ()

    @classmethod
    def lacks(cls, params: Any) -> tuple[str, str] | None:  # noqa: ARG003  (for engines to answer)
        """What of the user's own it lacks, and what to do about it, where it can say more than a path; else None."""
        return None

    @classmethod
    def helpers(cls, params: Any) -> tuple[str, ...]:  # noqa: ARG003  (for engines to answer)
        """Engines of its own stage, by name, that it may run with these `Params`: their revisions are in its key."""
        return ()

    @classmethod
    def vram(cls, params: Any, precision: str | None) -> Vram | None:  # noqa: ARG003  (for engines to answer)
        """What it needs on a GPU with these `Params`; None where it runs on the CPU. An estimate: use is measured."""
        return None

    @classmethod
    def clones(cls, params: Any) -> bool:  # noqa: ARG003  (for engines to answer)
        """speak: whether with these `Params` it takes on a speaker's own voice, where the rule has `consent: true`."""
        return False

    def condition(self, references: Sequence[Reference]) -> list[Latents | Exception]:
        """speak, where `clones`: each voice as the engine itself conditions on it, once for a video."""
        return [ValueError(f"{self.name} clones no voices")] * len(references)

    @abstractmethod
    def load(self, device: str, params: Any) -> None:
        """Bring the model into memory. `device` is "cpu" or "cuda:0"; `params` is a `Params`."""

    @abstractmethod
    def run(self, batch: Sequence[Item]) -> list[Made | Exception]:
        """One entry per item, in order; an item that fails becomes its exception."""

    def peak(self) -> int | None:
        """The most MiB of the GPU it has held so far, without the context; None: as PyTorch tells, if it is in use."""
        return None

    def held(self) -> int | None:
        """MiB of the GPU, without the context, that it holds now and keeps throughout the next call.

        None: as PyTorch tells, if it is in use. Where it is not and the driver does not tell use by process (in a
        container, on a MIG instance), an engine that does not answer has its memory counted twice while it lives.
        """
        return None


# What goes in and out, stage by stage. Seconds are relative to the item unless said otherwise.


@dataclass(frozen=True)
class Recording:
    """transcribe in: mono float32 in -1..1 at 16 kHz, and the language spoken (a code such as "en").

    `speech` are the stretches (start, end in s) in which a voice was found; an engine need not
    look elsewhere.
    """

    samples: np.ndarray
    language: str
    speech: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Word:
    """One recognised word, in seconds from the start of the recording; confidence in 0..1."""

    start: float
    end: float
    text: str
    confidence: float


@dataclass(frozen=True)
class Heard:
    """transcribe out."""

    words: Sequence[Word]
    language: str


@dataclass(frozen=True)
class Sentence:
    """translate in: one utterance and the glossary as (source term, target term) pairs."""

    text: str
    source: str
    target: str
    pivot: str | None = None
    glossary: tuple[tuple[str, str], ...] = ()
    pivots: tuple[tuple[str, str], ...] = ()  # (source term, as it reads in the pivot's text), where a person says so


@dataclass(frozen=True)
class Translation:
    """translate out; `alternatives` are other renderings, best first.

    `scores`: how sure the engine is of `text` and of each alternative, as mean natural log of probability a token;
    none where it cannot tell. `missed` are the glossary's source terms that it could not put in.
    """

    text: str
    pivot: str | None = None
    alternatives: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    missed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reference:
    """clone in: what one speaker said most cleanly, mono float32 at `rate` Hz, the cleanest piece first."""

    pieces: tuple[np.ndarray, ...]
    rate: int


@dataclass(frozen=True)
class Latents:
    """clone out: a voice as an engine conditions on it, in arrays of its own; equal where all their bytes are."""

    arrays: Mapping[str, np.ndarray] = field(compare=False, repr=False)
    digest: str = ""

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> Latents:
        """With the digest of `arrays`."""
        digest = hashlib.sha256()
        for name, array in sorted(arrays.items()):
            digest.update(f"{name}{array.dtype}{array.shape}".encode() + array.tobytes())
        return cls(dict(arrays), digest.hexdigest())


@dataclass(frozen=True)
class Line:
    """speak in: text to say, its language, the voice (engine's own name), and the rate (1 = natural).

    `latents` is the speaker's own voice where it is to be cloned; without it, an engine with many voices tells
    speakers apart by `speaker`.
    """

    text: str
    language: str
    voice: str
    rate: float = 1.0
    pitch: float | None = None  # the source speaker's median f0 in Hz, where known
    speaker: int = 0  # the place of the source speaker's name among all of the video's
    latents: Latents | None = None


@dataclass(frozen=True)
class Spoken:
    """speak out: mono float32 at `rate` Hz; `phonemes` are (start in s, IPA) where the engine knows them.

    `doubts` is what an engine that listens to itself finds wrong with its best try.
    """

    samples: np.ndarray
    rate: int
    phonemes: tuple[tuple[float, str], ...] = ()
    doubts: tuple[str, ...] = ()


def _silent(fraction: float) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Shot:
    """faces, lipsync and restore in: one segment's picture and what is known of it.

    `speech` is the dubbed sound, `original` the source's, both mono float32 at 48 kHz on the
    segment's clock, and so are the times in `timing`, speech.json's list of lines. lipsync writes to `out`;
    restore reads `patches` and writes to `out`. An engine that takes minutes for one calls `progress` with the
    fraction done: each call is a word that keeps the worker from counting as hung.
    """

    video: Path
    rate: str  # frames per second as "30000/1001"
    frames: int
    faces: Path | None = None
    speech: np.ndarray | None = None
    original: np.ndarray | None = None
    timing: Sequence[dict[str, Any]] = field(default_factory=list)
    patches: PatchReader | None = None
    out: PatchWriter | None = None
    progress: Callable[[float], None] = _silent
