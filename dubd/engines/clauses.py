"""Cut a text into pieces that a voice model takes: at sentence ends, else at clause marks, else between words."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

# Where a text may be cut, best first, and the pause in s that the ear expects there. A cut lies behind the match.
_CUTS: Final = (
    (re.compile(r"[.!?…؟।॥]+[\"'”’»)\]]*\s+|[。！？]+[」』”]*\s*"), 0.35),
    (re.compile(r"[;:؛]\s+|\s[—–-]\s+|—|[；：]"), 0.25),
    (re.compile(r"[,،]\s+|[，、]"), 0.15),
    (
        re.compile(  # before a word that begins a clause
            r"\s+(?=(?:and|but|or|because|that|which|और|लेकिन|पर|या|क्योंकि|कि|जो|तो|y|pero|o|porque|que|et|mais|ou|parce"
            r"|und|aber|oder|weil|dass|e|ma|perché|che|mas|i|ale|lub|że|и|но|или|что|en|maar|of|omdat|ve|ama|veya|a|nebo"
            r"|protože|és|de|vagy|hogy|و|لكن|أو)\s)",
            re.IGNORECASE,
        ),
        0.08,
    ),
    (re.compile(r"\s+"), 0.04),
)
_MIDDLE: Final = 0.2  # a better mark is taken where it leaves at least this share of the text on both sides


@dataclass(frozen=True)
class Piece:
    """What is said in one go, and the silence in s that follows it."""

    text: str
    pause: float


def split(text: str, most: int) -> list[Piece]:
    """Pieces of `most` characters at most that are the whole of `text`, spaces at the cuts left out.

    A text that fits is one piece, however many sentences it has. A longer one is halved, near its middle, at the best
    mark there is, and its halves again: pieces of like length sound alike. A word is cut only where it is longer than
    `most` by itself, and never within a character and its marks.
    """
    text = text.strip()
    if not text:
        return []
    return _split(text, most, 0.0)


def _split(text: str, most: int, pause: float) -> list[Piece]:
    if len(text) <= most:
        return [Piece(text, pause)]
    at, between = _cut(text, most)
    return [*_split(text[:at].rstrip(), most, between), *_split(text[at:].lstrip(), most, pause)]


def _cut(text: str, most: int) -> tuple[int, float]:
    half = len(text) / 2
    least = min(_MIDDLE * len(text), most / 2)
    for mark, pause in _CUTS:
        ends = [found.end() for found in mark.finditer(text) if least <= found.end() <= len(text) - least]
        if ends:
            return min(ends, key=lambda end: abs(end - half)), pause
    ends = [found.end() for found in _CUTS[-1][0].finditer(text)]  # a word at an end that leaves no middle
    if ends:
        return min(ends, key=lambda end: abs(end - half)), _CUTS[-1][1]
    at = min(round(half), most)
    while at > 1 and (unicodedata.category(text[at]).startswith("M") or text[at - 1] in "\u094d\u200c\u200d"):
        at -= 1
    return at, 0.0
