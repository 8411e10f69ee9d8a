"""Utterances: what one speaker says between two pauses, made from recognised words or from subtitles."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from dubd.engines.contract import Word
from dubd.media.subtitles import Cue

Span = tuple[float, float]  # s

PAUSE: Final = 0.3  # s of silence that end an utterance: a listener hears it as one
LONGEST: Final = 12.0  # s: a dub drifts from the picture in anything longer
_ROOM: Final = 0.3  # s between the edge of the sound and the nearest word, beyond which it was no speech
_MARGIN: Final = 0.1  # s by which a word may begin before its sound is loud enough to be seen, or end after it
_BELIEVED: Final = 0.03  # mean posterior: the worst line of a real clip that was partly right had .1
_SENTENCE: Final = 0.8  # s: a shorter sentence stays with its neighbour
_ENDS: Final = ".?!…।॥؟۔。！？｡։"
_QUOTES: Final = "\"'»”’)]」』"
_ABBREVIATED: Final = re.compile(r"(?i)(mr|mrs|ms|dr|st|prof|sr|sra|jr|vs|etc|no|fig|\w)\.")
_JOINS: Final = (
    re.compile(  # scripts without spaces between words: kana, Han, Thai, Lao, Khmer, Burmese and their marks
        r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]"
    )
)
# What ends a sentence in scripts that have a mark of their own for it, or none, by the last letter; else a full stop.
_STOPS: Final = (
    (re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]"), "。"),
    (re.compile(r"[\u0900-\u09ff\u0a00-\u0a7f\u0b00-\u0b7f]"), "।"),  # Devanagari, Bengali, Gurmukhi, Odia
    (re.compile(r"[\u0e00-\u0eff]"), ""),  # Thai and Lao
)
_SHORTEST: Final = 0.05  # s: less is no line of its own
_TOO_OFTEN: Final = 4  # times the same word and nothing else
_REACH: Final = 0.5  # s by which subtitles come early or stay late
_ASKING = re.compile(
    r"(who|what|when|where|why|how|whose|which) (is|are|was|were|do|does|did|can|could|will|would|should|has|have)\b"
    r"|(is|are|was|were|do|does|did|can|could|will|would|should|has|have) (i|you|he|she|it|we|they|this|that|there)\b"
    r"|how (many|much|long|old|far|often)\b"
)
_CAPITAL = re.compile(
    r"\b(i|(?:mon|tues|wednes|thurs|fri|satur|sun)day|january|february|april|june|july|august|september|october"
    r"|november|december|english|spanish|french|german|italian|american|british|european|african|asian|chinese)\b"
)


@dataclass(frozen=True)
class Utterance:
    """One line of a transcript; times in s from the segment's start."""

    start: float
    end: float
    text: str
    speaker: str
    confidence: float
    words: tuple[Word, ...] = ()

    def to_json(self, name: str, shift: float) -> dict[str, Any]:
        """As transcript.json has it: `shift` s later, on the programme clock."""
        return {
            "id": name,
            "start": round(self.start + shift, 3),
            "end": round(self.end + shift, 3),
            "speaker": self.speaker,
            "text": self.text,
            "confidence": round(self.confidence, 3),
            "words": [
                {
                    "start": round(word.start + shift, 3),
                    "end": round(word.end + shift, 3),
                    "text": word.text,
                    "confidence": round(word.confidence, 3),
                }
                for word in self.words
            ],
        }


def from_words(
    words: Sequence[Word], speech: Sequence[Span], speaker: str = "S1", *, language: str = "en"
) -> list[Utterance]:
    """Utterances of the recognised `words`; they begin and end where the sound of `speech` does.

    Left out is what no person said: a word over and over (music), or words of which none is believed.
    """
    made = []
    for start, end in joined(speech):
        held = tuple(word for word in words if start - _MARGIN <= (word.start + word.end) / 2 < end + _MARGIN)
        for part in (part for said in _sentences(held) for part in _short(said)):
            first, last = part[0], part[-1]
            sounding = [(a, b) for a, b in speech if start <= a and b <= end and b > first.start and a < last.end]
            begin, until = sounding[0][0] if sounding else start, sounding[-1][1] if sounding else end
            if first is not held[0] or first.start - begin > _ROOM:
                begin = first.start
            if last is not held[-1] or until - last.end > _ROOM:
                until = last.end
            confidence = math.exp(sum(math.log(max(word.confidence, 1e-3)) for word in part) / len(part))
            texts = [word.text for word in part]
            if confidence >= _BELIEVED and not (len(texts) >= _TOO_OFTEN and len(set(texts)) == 1):
                made.append(Utterance(begin, until, sentence(texts, language), speaker, confidence, part))
    return made


def from_cues(cues: Sequence[Cue], speech: Sequence[Span], seconds: float) -> list[Utterance]:
    """Utterances of the `cues` (s from the segment's start) whose middle falls within its `seconds`.

    A cue's times move to the edges of the speech inside it; a line that runs on into the next cue is joined.
    """
    mine = [cue for cue in cues if 0 <= (cue.start + cue.end) / 2 < seconds]
    made: list[Utterance] = []
    for cue in mine:
        start, end = _fitted(max(0.0, cue.start), min(seconds, cue.end), speech)
        speaker = cue.speaker or "S1"
        before = made[-1] if made and made[-1].speaker == speaker else None
        if before:  # nobody says two things at once, two people may
            start = max(start, before.end)
        if before and (end - start < _SHORTEST or (_runs_on(before, start) and end - before.start <= LONGEST)):
            made[-1] = replace(before, end=max(end, before.end), text=f"{before.text} {cue.text}")
        else:
            made.append(Utterance(start, max(end, start + _SHORTEST), cue.text, speaker, 1.0))
    return made


def sentence(words: Sequence[str], language: str = "en") -> str:
    """Words as a sentence: a capital first, its script's full stop; in English names of days and question marks too.

    Left as they are where the recogniser writes capitals or marks itself.
    """
    text = ""
    for word in words:
        text += word if not text or (_JOINS.match(text[-1]) and _JOINS.match(word)) else f" {word}"
    text = text.strip()
    if not text:
        return ""
    if text != text.lower() or any(_ended(word, "") for word in words):
        return text
    mark = next((mark for letters, mark in _STOPS if letters.match(text[-1])), ".")
    if language.startswith("mr"):
        mark = "."  # in Devanagari, with Latin marks
    if language.split("-")[0].lower() == "en":  # "i" is "and" in Polish, "the" in Italian
        mark = "?" if _ASKING.match(text) else "."
        text = _CAPITAL.sub(lambda found: found.group().capitalize(), text)
    return text[0].upper() + text[1:] + ("" if text[-1] in _ENDS else mark)


def joined(speech: Sequence[Span]) -> list[Span]:
    """Stretches with less than a pause between them as one."""
    joined: list[Span] = []
    for start, end in speech:
        if joined and start - joined[-1][1] < PAUSE:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _sentences(words: tuple[Word, ...]) -> list[tuple[Word, ...]]:
    """`words` as the sentences that their marks make of them; all of them where the recogniser writes no marks."""
    made: list[tuple[Word, ...]] = []
    first = 0
    for at in range(1, len(words)):
        until = words[at - 1].end
        long = until - words[first].start >= _SENTENCE and words[-1].end - words[at].start >= _SENTENCE
        if long and _ended(words[at - 1].text, words[at].text):
            made.append(words[first:at])
            first = at
    return [*made, words[first:]] if words else []


def _ended(word: str, following: str) -> bool:
    """Whether a sentence ends with this word: not with an abbreviation, nor before a small letter."""
    bare = word.rstrip(_QUOTES)
    return bare[-1:] in _ENDS and bare != "" and not _ABBREVIATED.fullmatch(bare) and not following[:1].islower()


def _short(words: tuple[Word, ...]) -> list[tuple[Word, ...]]:
    """`words` in parts of at most `LONGEST`, broken at the longest silence between two of them."""
    if not words:
        return []
    if len(words) == 1 or words[-1].end - words[0].start <= LONGEST:
        return [words]
    middle = (words[0].start + words[-1].end) / 2
    at = max(
        range(1, len(words)),
        key=lambda at: (words[at].start - words[at - 1].end) - 0.05 * abs(words[at].start - middle),
    )
    return _short(words[:at]) + _short(words[at:])


def _fitted(start: float, end: float, speech: Sequence[Span]) -> Span:
    """The span of the speech heard between `start` and `end`, or they themselves where none is."""
    inside = [(a, b) for a, b in speech if min(b, end) - max(a, start) > 0.05]
    if not inside:
        return start, end
    first, last = inside[0][0], inside[-1][1]
    return (first if first > start - _REACH else start), (last if last < end + _REACH else end)


def _runs_on(before: Utterance, start: float) -> bool:
    return start - before.end < PAUSE and before.text[-1] not in ".?!…\"')»”"
