"""Of several renderings of an utterance, the one that can be said in its time: predicted length against its slot."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final

from dubd.engines.contract import Translation
from dubd.stages.fit import Room, Utterance, rooms

SHORTEST, LONGEST = 0.85, 1.10  # predicted / slot that the voice's tempo makes up for without being heard
WEIGHT: Final = 2.0  # how much score one unit of |ln(predicted / slot)| beyond these is worth
WORSE: Final = 0.5  # below the best by more than this (nats a token) a rendering may say something else
_MARKS: Final = ".,;:!?…।、。，！？；：؟،؛"
_PAUSE: Final = 0.25  # s at a mark inside a text
_DIGIT: Final = 0.25  # s; "2024" is said in four words or so
_LETTERS: Final = {  # s a letter, signs aside
    "LATIN": 0.065, "CYRILLIC": 0.061, "GREEK": 0.057, "ARMENIAN": 0.07, "GEORGIAN": 0.074, "HEBREW": 0.083,
    "ARABIC": 0.093, "DEVANAGARI": 0.117, "BENGALI": 0.135, "GURMUKHI": 0.12, "GUJARATI": 0.12, "ORIYA": 0.12,
    "TAMIL": 0.103, "TELUGU": 0.131, "KANNADA": 0.134, "MALAYALAM": 0.13, "SINHALA": 0.13, "ETHIOPIC": 0.13,
    "HIRAGANA": 0.11, "KATAKANA": 0.11, "HANGUL": 0.175, "CJK": 0.19, "THAI": 0.08,
}  # fmt: skip
"""Measured with eSpeak NG at its natural rate on article 1 of the Declaration of Human Rights, pauses taken off.

Latin is the mean of en, es, de, pt, it, pl, tr, id and vi (0.061 to 0.076); CJK is 5.18 syllables a second of
Mandarin (Pellegrino, Coupé and Marsico 2011); ARMENIAN, GURMUKHI to ORIYA, MALAYALAM, SINHALA and THAI are set by their
neighbours'. A first guess only: the renderings of one sentence are in one script, and it is they that are compared.
"""
_QUICKER: Final = {"fr": 0.048 / 0.065}  # languages that leave many letters unsaid


def seconds(text: str, language: str) -> float:
    """How long it takes to say `text` at a natural pace, by its letters."""
    spoken = 0.0
    for letter in text:
        kind = unicodedata.category(letter)[0]
        if kind == "L":
            spoken += _LETTERS.get(unicodedata.name(letter, "").split(" ")[0], _LETTERS["LATIN"])
        elif kind == "N":
            spoken += _DIGIT
    inside = text.strip().rstrip(_MARKS)
    pauses = sum(one in _MARKS for one in inside)
    return spoken * _QUICKER.get(language.split("-")[0], 1.0) + _PAUSE * pauses


def best(made: Translation, language: str, slot: float, spill: float) -> Translation:
    """`made` with that rendering as its text which fits best into `slot` s and the `spill` s of silence after it.

    The score is the engine's less WEIGHT |ln| of what is missing or too much; the engine's order decides among equals.
    What was the text before is the first of the alternatives then. Without alternatives, or a time, nothing changes.
    """
    texts = (made.text, *made.alternatives)
    scores = made.scores if len(made.scores) == len(texts) else (0.0,) * len(texts)
    if len(texts) == 1 or slot <= 0:
        return made

    def worth(index: int) -> float:
        return scores[index] - WEIGHT * misfit(seconds(texts[index], language), slot, spill)

    able = [index for index in range(len(texts)) if scores[index] >= scores[0] - WORSE and texts[index].strip()]
    chosen = max(able or [0], key=lambda index: (worth(index), -index))
    order = [chosen, *(index for index in range(len(texts)) if index != chosen)]
    ranked = [texts[index] for index in order]
    marks = tuple(made.scores[index] for index in order) if made.scores else ()
    return Translation(ranked[0], made.pivot, tuple(ranked[1:]), marks, made.missed)


def misfit(spoken: float, slot: float, spill: float) -> float:
    """By how much, as |ln| of a ratio, `spoken` s are outside what `slot` and `spill` can take; 0 within."""
    ratio = spoken / slot
    longest = max(LONGEST, (slot + spill) / slot)
    if ratio <= 0:
        return math.inf
    return max(0.0, math.log(ratio / longest), math.log(SHORTEST / ratio))


def spaces(utterances: Sequence[Mapping[str, Any]]) -> list[Room]:
    """The silence around each utterance of a transcript, in the order of their starts: nothing after the last."""
    lines = [Utterance(str(one["speaker"]), float(one["start"]), float(one["end"]), 0.0) for one in utterances]
    if not lines:
        return []
    order = sorted(range(len(lines)), key=lambda index: (lines[index].start, lines[index].end))
    begin, finish = lines[order[0]].start, max(line.end for line in lines)
    found = rooms([lines[index] for index in order], begin, finish)
    return [room for _, room in sorted(zip(order, found, strict=True), key=lambda pair: pair[0])]
