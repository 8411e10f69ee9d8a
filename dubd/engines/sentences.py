"""Cut a text into sentences, whatever its script, and put translated ones together again."""

from __future__ import annotations

import re
from typing import Final

# Ends that need a space after them, and may be part of something else (3.5, e.g., J. Smith).
_WESTERN: Final = ".?!…"
# Ends that nothing else uses: danda (Indic), Urdu and Arabic, Armenian, Ethiopic, Khmer, Burmese, Tibetan.
_SURE: Final = "।॥۔؟։።፧៕။༎"
_WIDE: Final = "。！？｡"  # Chinese and Japanese: no space follows
_CLOSING: Final = "\"'”’»›)\\]」』）】"
_END: Final = re.compile(
    rf"(?:[{_WESTERN}]+[{_CLOSING}]*(?=\s)|[{_SURE}]+[{_CLOSING}]*(?=\s|\w)|[{_WIDE}]+[{_CLOSING}]*)\s*"
)
# English, Spanish, French, German, Portuguese and Italian abbreviations that a capital may follow, and those that
# only a number follows.
_TITLES: Final = """
mr mrs ms dr prof st sr sra srta jr vs etc e.g i.e approx dept est inc ltd co corp gen lt col sgt capt rev hon gov sen
rep ave blvd mt u.s u.k a.m p.m d dª ud uds ej avda mme mlle m bzw z.b d.h u.a usw ca vgl sig sig.ra dott ing avv
exmo exma ed
"""
_COUNTED: Final = "no nos vol fig p pp pág núm av nr art tel cap ref jan feb mar apr jun jul aug sep sept oct nov dec"
_SHORT: Final = frozenset(_TITLES.split())
_NUMBERED: Final = frozenset(_COUNTED.split())
_WORD_BEFORE: Final = re.compile(r"[^\s(\[\"'“‘«¿¡]+$")
_CLAUSE: Final = re.compile(r"[,;:](?=\s)|[，、；：،؛—–]")
_SPACE: Final = re.compile(r"\s+")
_UNSPACED: Final = frozenset(("zh", "zho", "cmn", "ja", "jpn", "yue"))


def split(text: str) -> list[str]:
    """The sentences of `text`, each with its closing marks, white space around it taken off; none is empty.

    Decimals, initials and abbreviations end none, and nor do three dots before a small letter. Kannada and the
    other scripts of the south use the full stop, so that they are split as Latin is.
    """
    found, start = [], 0
    for end in _END.finditer(text):
        if _ends(text, end):
            found.append(text[start : end.end()].strip())
            start = end.end()
    found.append(text[start:].strip())
    return [one for one in found if one]


def halves(text: str) -> tuple[str, str]:
    """`text` in two, at the clause or space nearest its middle: for what is too long for a model."""
    middle, last = len(text) // 2, len(text) - 1
    for pattern in (_CLAUSE, _SPACE):
        cuts = [found.end() for found in pattern.finditer(text) if last / 4 < found.end() < 3 * last / 4]
        if cuts:
            middle = min(cuts, key=lambda cut: abs(cut - len(text) / 2))
            break
    return text[:middle].strip(), text[middle:].strip()


def joined(parts: list[str], language: str) -> str:
    """Sentences as one text: a space between them, none in Chinese and Japanese."""
    mark = "" if language.split("-")[0].split("_")[0].lower() in _UNSPACED else " "
    return mark.join(part.strip() for part in parts if part.strip())


def _ends(text: str, end: re.Match[str]) -> bool:
    """Whether a full stop ends a sentence; what looks like one within a sentence does not."""
    marks, after = end.group().strip(), text[end.end() :]
    if not after or marks[0] not in ".…":
        return True
    if marks.startswith(("..", "…")):
        return not after.lstrip("\"'“‘«(").startswith(tuple("abcdefghijklmnopqrstuvwxyz"))
    before = _WORD_BEFORE.search(text[: end.start()])
    word = before.group().lower() if before else ""
    if len(marks) > 1 and marks[1:].strip():  # a full stop and a closing quote
        return True
    initial = len(word) == 1 and word.isalpha() and before is not None and before.group().isupper()
    numbered = word in _NUMBERED and after[0].isdecimal()
    return not (initial or numbered or word in _SHORT or after[0].islower())
