"""A Whisper window: at most 30 s of a recording; where a longer one is cut, and which words in it were spoken."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np

from dubd.engines.contract import Recording, Word

Span = tuple[float, float]  # s

RATE: Final = 16_000  # Hz
LONGEST: Final = 30.0  # s, the model's window
FRAMES: Final = 100  # of its spectrogram in a second
_EARLIEST: Final = 10.0  # s of a window before which it is not cut: the model hears best with something before
_NEAR: Final = 0.3  # s beside a stretch of speech where a word is still taken for part of it: word times are that rough
_SHORTEST: Final = 0.02  # s, the model's own resolution
_PAUSE: Final = 0.3  # s: stretches closer than this are one to a word
_OPENING: Final = "\"'“¿([{-"  # whisper.timing's: they belong to the word that follows
_CLOSING: Final = "\"'.。,，!！?？:：”)]}、।॥؟،…"  # and these to the word before; the Indic and Arabic marks added


@dataclass(frozen=True, eq=False)
class Window:
    """Mono float32 at 16 kHz, always 30 s (silence is added); `sound` s of them are of the recording, from `start` s.

    `speech` is relative to the window.
    """

    samples: np.ndarray
    start: float
    sound: float
    speech: tuple[Span, ...]

    @property
    def seed(self) -> int:
        """From the sound alone, so that drawing at random gives the same again."""
        return zlib.crc32(self.samples.tobytes())


@dataclass(frozen=True)
class Timed:
    """A word as the model wrote it, with its leading space; s from the window's start."""

    text: str
    start: float
    end: float
    probability: float


def windows(recording: Recording, start: float = 0.0, end: float | None = None) -> list[Window]:
    """The recording from `start` to `end` s as one window, or as several where it is longer than one takes.

    Cut in the middle of the longest silence from 10 to 30 s of each window; where nobody pauses, at 30 s.
    """
    until = len(recording.samples) / RATE if end is None else end
    made = []
    while until - start > LONGEST:
        cut = _cut(recording.speech, start)
        made.append(_window(recording, start, cut))
        start = cut
    if until - start > _SHORTEST:
        made.append(_window(recording, start, until))
    return made


def _cut(speech: Sequence[Span], start: float) -> float:
    first, last = start + _EARLIEST, start + LONGEST
    gaps = pairwise(speech)
    silences = [(max(a, first), min(b, last)) for (_, a), (b, _) in gaps]
    length, middle = max(((b - a, (a + b) / 2) for a, b in silences if b > a), default=(0.0, last))
    return middle if length > 0 else last


def _window(recording: Recording, start: float, end: float) -> Window:
    samples = np.zeros(round(LONGEST * RATE), np.float32)
    sound = recording.samples[round(start * RATE) : round(end * RATE)][: len(samples)]
    samples[: len(sound)] = sound
    inside = [(max(0.0, a - start), min(end, b) - start) for a, b in recording.speech if b > start and a < end]
    return Window(samples, start, len(sound) / RATE, tuple(inside) if recording.speech else ((0.0, len(sound) / RATE),))


def unheard(window: Window, after: float) -> float:
    """s of speech in the window later than `after`."""
    return sum(max(0.0, end - max(start, after)) for start, end in window.speech)


def written(timed: Sequence[Timed]) -> list[Timed]:
    """Words with their punctuation: a mark that stands alone joins the word that it belongs to."""
    made: list[Timed] = []
    waiting = ""
    for one in timed:
        text = one.text.strip()
        if not text:
            continue
        if made and not waiting and not one.text.startswith(" ") and text in _CLOSING:
            made[-1] = replace(made[-1], text=made[-1].text + text)
        elif one.text.startswith(" ") and text in _OPENING:
            waiting += text
        else:
            made.append(replace(one, text=waiting + text))
            waiting = ""
    return made


def spoken(timed: Sequence[Timed], window: Window) -> list[Word]:
    """The words where somebody speaks, in s of the recording; the rest is what the model made of silence.

    A word's times are drawn in to the stretch of speech that it lies in: the model lets the first word after a pause
    begin in the pause.
    """
    stretches = _near(window.speech)
    words = []
    for one in timed:
        start, end = min(one.start, one.end), max(one.start, one.end)
        near = [(min(end, b) - max(start, a), a, b) for a, b in stretches if start < b + _NEAR and end > a - _NEAR]
        if near:
            _, first, last = max(near)
            begin = min(max(start, first), last - _SHORTEST)
            until = max(min(end, last), begin + _SHORTEST)
            probability = round(min(1.0, max(0.0, one.probability)), 3)
            words.append(Word(window.start + begin, window.start + until, one.text, probability))
    return words


def _near(speech: Sequence[Span]) -> list[Span]:
    made: list[Span] = []
    for start, end in speech:
        if made and start - made[-1][1] < _PAUSE:
            made[-1] = (made[-1][0], end)
        else:
            made.append((start, end))
    return made
