"""Recognise many recordings with one call of a Whisper model: gates, second tries and word times for both engines."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Protocol

import numpy as np

from dubd.engines.contract import Heard, Recording, Word
from dubd.engines.whisper_languages import code, refusal
from dubd.engines.whisper_window import FRAMES, LONGEST, Timed, Window, spoken, unheard, windows, written

# The defaults of whisper.transcribe() (openai-whisper 20250625; section 4.5 of Radford et al. 2022, arXiv 2212.04356).
HOTTER: Final = (0.2, 0.4, 0.6, 0.8, 1.0)  # temperatures after 0
_REPEATS: Final = 2.4  # compression ratio above which a text goes round in circles
_UNSURE: Final = -1.0  # mean log probability of its tokens below which it is not believed
_SILENT: Final = 0.6  # probability of no speech above which, where also unsure, nothing was said
_ELSE: Final = 0.8  # probability of another language above which the rule's is taken to be wrong
_LEFT: Final = 1.5  # s of speech after the last word that are worth another window
_FORWARD: Final = 1.0  # s by which such a window begins later than the one before, so that there is an end to them


@dataclass(frozen=True)
class Decoded:
    """What the model wrote for a window: text tokens and times, and how sure it was."""

    tokens: tuple[int, ...]  # up to the end of the text, times included
    text: str
    sure: float  # mean log probability of a token
    silent: float  # probability that nobody speaks


class Decoder(Protocol):
    """A loaded model. `limit`: the most tokens it writes for one window; `timestamp`: the first token that is a
    time; `eot`: the first one that is no text.

    What `encode` returns is its own affair; the others take it back.
    """

    limit: int
    eot: int
    timestamp: int

    def knows(self, language: str) -> bool:
        """Whether it can be told that this is spoken: a model for English alone cannot be told another."""

    def encode(self, windows: Sequence[Window]) -> Any:
        """All windows in one pass."""

    def choose(self, encoded: Any, which: Sequence[int]) -> Any:
        """Some of the windows."""

    def languages(self, encoded: Any) -> list[tuple[str, float]]:
        """The likeliest language of each window, and its probability."""

    def decode(self, encoded: Any, language: str, temperature: float, seeds: Sequence[int]) -> list[Decoded]:
        """All windows in one batch; above temperature 0 each draws from its own seed, as far as the library can."""

    def align(self, encoded: Any, texts: Sequence[Sequence[int]], frames: Sequence[int], language: str) -> list[
        list[Timed]
    ]:  # fmt: skip
        """The words of each window's text tokens, with times; `frames` are those that hold sound."""


@dataclass
class _Work:
    """A recording on its way: words so far."""

    recording: Recording
    language: str
    words: list[Word]
    failed: Exception | None = None


def recognise(
    batch: Sequence[Recording], decoder: Decoder, name: str, at_once: int, *, detect: bool = False
) -> list[Heard | Exception]:
    """One entry per recording; `at_once` windows go to the model in one call.

    `detect`: let the model say which language it hears; a recording in another one than told fails.
    """
    works = [_accepted(recording, decoder, name) for recording in batch]
    waiting = [(work, window) for work in works if work.failed is None for window in windows(work.recording)]
    while waiting:
        group, waiting = _taken(waiting, at_once)
        _recognised(group, decoder, waiting, detect)
    return [
        work.failed or Heard(sorted(work.words, key=lambda word: word.start), work.recording.language) for work in works
    ]


def repetition(text: str) -> float:
    """How many times smaller the text gets when packed, with one byte a letter: its place within its script's block.

    In UTF-8, as published, ordinary Kannada comes to 2.5 and fails the gate, because each letter's first two bytes
    are always the same. For English the two agree to the last digit.
    """
    packed = bytes(ord(letter) & 0xFF for letter in text)
    return len(packed) / len(zlib.compress(packed)) if packed else 0.0


def _accepted(recording: Recording, decoder: Decoder, name: str) -> _Work:
    work = _Work(recording, code(recording.language) or "", [])
    if reason := refusal(name, recording.language):
        work.failed = ValueError(reason)
    elif not decoder.knows(work.language):
        work.failed = ValueError(f"this model does not know {recording.language!r}: choose another (dubd models list)")
    elif not np.isfinite(recording.samples).all():
        work.failed = ValueError("the sound holds values that are no numbers")
    return work


def _taken(
    waiting: list[tuple[_Work, Window]], most: int
) -> tuple[list[tuple[_Work, Window]], list[tuple[_Work, Window]]]:
    """The first `most` windows of one language, and the others."""
    language = waiting[0][0].language
    indices = set(islice((n for n, (work, _) in enumerate(waiting) if work.language == language), most))
    group = [waiting[n] for n in sorted(indices)]
    return group, [pair for n, pair in enumerate(waiting) if n not in indices]


def _recognised(
    group: list[tuple[_Work, Window]], decoder: Decoder, waiting: list[tuple[_Work, Window]], detect: bool
) -> None:
    """Add the group's words to its works, and to `waiting` what was left unheard."""
    language = group[0][0].language
    encoded = decoder.encode([window for _, window in group])
    if detect:
        for (work, _), (found, probability) in zip(group, decoder.languages(encoded), strict=True):
            if found != language and probability >= _ELSE:
                work.failed = ValueError(
                    f"this is spoken in {found!r} ({probability:.2f}), not {language!r}: "
                    "change languages.source, or leave out detect"
                )
    heard = _heard(encoded, decoder, language, [window.seed for _, window in group])
    saying = {n: one for n, one in enumerate(heard) if one and _text(one, decoder)}
    if not saying:
        return
    texts = [_text(one, decoder) for one in saying.values()]
    frames = [max(2, round(group[n][1].sound * FRAMES)) for n in saying]
    chosen = encoded if len(saying) == len(group) else decoder.choose(encoded, list(saying))
    for n, timed in zip(saying, decoder.align(chosen, texts, frames, language), strict=True):
        work, window = group[n]
        words, rest = _kept(written(timed), saying[n], window, decoder)
        work.words += spoken(words, window)
        if rest is not None:
            waiting += [
                (work, more) for more in windows(work.recording, window.start + rest, window.start + window.sound)
            ]


def _heard(encoded: Any, decoder: Decoder, language: str, seeds: Sequence[int]) -> list[Decoded | None]:
    """What each window says, or None: those that fail a gate are decoded again, together at each temperature."""
    tries = [[one] for one in decoder.decode(encoded, language, 0.0, seeds)]
    for temperature in HOTTER:
        again = [n for n, made in enumerate(tries) if _fails(made[-1]) and not _is_silence(made[-1])]
        if not again:
            break
        chosen = decoder.choose(encoded, again)
        for n, one in zip(again, decoder.decode(chosen, language, temperature, [seeds[n] for n in again]), strict=True):
            tries[n].append(one)
    return [_believed(made) for made in tries]


def _believed(tries: Sequence[Decoded]) -> Decoded | None:
    """The first try that passes the gates, else the surest that does not repeat itself; None where nothing was said."""
    if _is_silence(tries[-1]):
        return None
    if not _fails(tries[-1]):
        return tries[-1]
    honest = [one for one in tries if repetition(one.text) <= _REPEATS]
    return max(honest, key=lambda one: one.sure, default=None)


def _fails(one: Decoded) -> bool:
    return repetition(one.text) > _REPEATS or one.sure < _UNSURE


def _is_silence(one: Decoded) -> bool:
    return one.silent > _SILENT and one.sure < _UNSURE


def _text(one: Decoded, decoder: Decoder) -> list[int]:
    return [token for token in one.tokens if token < decoder.eot]


def _kept(words: list[Timed], one: Decoded, window: Window, decoder: Decoder) -> tuple[list[Timed], float | None]:
    """The words to keep, and from where (s of the window) to listen again, if at all.

    A window whose text met the token limit is kept as far as its last time (all of it where it has none), one that
    ended before the speech did is kept whole; the rest of either is heard as a window of its own.
    """
    if not words:
        return words, None
    full = len(one.tokens) >= decoder.limit
    times = [n for n, token in enumerate(one.tokens) if token >= decoder.timestamp]
    reached = words[-1].end
    if full and len(times) > 1 and times[-1] < len(one.tokens) - 1:
        reached = min(reached, (one.tokens[times[-1]] - decoder.timestamp) * 0.02)
    if reached < _FORWARD or unheard(window, reached) < _LEFT or window.sound > LONGEST:
        return words, None
    return [word for word in words if (word.start + word.end) / 2 < reached], reached
