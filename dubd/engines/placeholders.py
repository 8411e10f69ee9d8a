"""Keep names, addresses and glossary terms out of a rule-based translator's reach: a word it cannot know stands in."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

_LETTERS: Final = "bcdfghjklmnpqrstvwxz"  # no vowels: no dictionary has an ending for it
_STEM: Final = "Xqz"
_HOLDER: Final = re.compile(rf"{_STEM}[{_LETTERS}]{{2}}", re.IGNORECASE)
# Vowel signs of Indic scripts, which are no \w to Python, and scripts that write words without spaces.
_SIGNS: Final = "".join(chr(code) for code in range(0x900, 0xE00) if unicodedata.category(chr(code)) in ("Mn", "Mc"))
_UNSPACED: Final = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_VERBATIM: Final = re.compile(
    r"""(?<!\w)(?:
        (?:https?://|www\.)[^\s<>"]+[^\s<>".,;:!?)\]]   # addresses of pages
      | [\w.+-]+@[\w-]+(?:\.[\w-]+)+                    # of people
      | [@\#][A-Za-z_]\w*                               # handles and tags
      | [\w-]+(?:\.[\w-]+)*\.(?:com|org|net|edu|gov|io|dev|eu|uk|es|de|fr|in)(?!\w)
      | [A-Za-z]*\d+[A-Za-z]+[\w-]*(?<!\dst)(?<!\dnd)(?<!\drd)(?<!\dth) | [A-Za-z]+-?\d[\w-]*   # H264, mp4, COVID-19
      | \w+(?:/\w+)+                                    # and/or, 24/7, 10/12/2023
      | [^\W\d_]\+\+ | \S*[~^{}<>\\|]\S*
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Shielded:
    """A text with stand-ins, and for each of them what was there and what shall be."""

    text: str
    held: dict[str, tuple[str, str]] = field(default_factory=dict)

    def intact(self, translated: str) -> bool:
        """Whether every stand-in came through, once."""
        return sorted(found.lower() for found in _HOLDER.findall(translated)) == sorted(self.held)

    def between(self, translated: str, pivots: Iterable[tuple[str, str]] = ()) -> str:
        """The text of a language in between, for people: with the terms of `pivots`, else as they were."""
        given = {_key(source): (source, pivot) for source, pivot in pivots}

        def term(found: re.Match[str]) -> str:
            was = self.held.get(found.group().lower(), (found.group(), ""))[0]
            return _cased(was, *given[_key(was)]) if _key(was) in given else was

        return _HOLDER.sub(term, translated)

    def restore(self, translated: str) -> str:
        """`translated` with the target terms in place of the stand-ins.

        What looks like one and stands for nothing, as a model may make up, stays as it is.
        """

        def term(found: re.Match[str]) -> str:
            return self.held.get(found.group().lower(), (found.group(),) * 2)[1]

        return _HOLDER.sub(term, translated)

    def around(self) -> tuple[list[str], list[str]]:
        """The texts between the stand-ins (one more than these), and the stand-ins."""
        return _HOLDER.split(self.text), _HOLDER.findall(self.text)


def shield(text: str, glossary: Iterable[tuple[str, str]] = (), names: Iterable[str] = ()) -> Shielded:
    """`text` with stand-ins for glossary terms (longest first, whole words), addresses, codes and `names`.

    A term's rendering takes the case of what it stands for: Capital, ALL CAPITALS or as the glossary has it. That of a
    term which is ALL CAPITALS in the glossary, as WHO is, is as the glossary has it.
    """
    held: dict[str, tuple[str, str]] = {}

    def holder(found: str, rendering: str) -> str:
        if len(held) == len(_LETTERS) ** 2:
            return found
        first, second = divmod(len(held), len(_LETTERS))
        name = f"{_STEM}{_LETTERS[first]}{_LETTERS[second]}"
        held[name.lower()] = (found, rendering)
        return name if found[:1].isupper() else name.lower()

    text = _HOLDER.sub(lambda found: holder(found.group(), found.group()), text)  # what looks like one already
    terms = sorted((pair for pair in glossary if pair[0].strip()), key=lambda pair: (-len(pair[0]), pair))
    rendering = {_key(source): (source, target.strip()) for source, target in reversed(terms)}
    if terms:
        text = _words(source for source, _ in terms).sub(
            lambda found: holder(found.group(), _cased(found.group(), *rendering[_key(found.group())])), text
        )
    text = _outside(text, lambda part: _VERBATIM.sub(lambda found: holder(found.group(), found.group()), part))
    known = sorted(set(names), key=lambda name: (-len(name), name))
    if known:
        pattern = _words(known, exact=True)
        text = _outside(text, lambda part: pattern.sub(lambda found: holder(found.group(), found.group()), part))
    return Shielded(text, held)


def occurring(text: str, glossary: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The pairs of `glossary` whose source term is in `text`, in a stable order."""
    return tuple(sorted(pair for pair in glossary if pair[0].strip() and _words([pair[0]]).search(text)))


def first(term: str, text: str) -> tuple[int, int] | None:
    """Where `term` first is in `text` as whole words, its case aside."""
    found = _words([term]).search(text) if term.strip() else None
    return found.span() if found else None


def _key(found: str) -> str:
    return " ".join(found.split()).casefold()


def _words(terms: Iterable[str], *, exact: bool = False) -> re.Pattern[str]:
    """Any of `terms` as whole words, the first that fits; spaces match any white space."""
    choices = "|".join(_whole(r"\s+".join(map(re.escape, term.split())), term.strip()) for term in terms)
    return re.compile(f"(?:{choices})", 0 if exact else re.IGNORECASE)


def _whole(pattern: str, term: str) -> str:
    """`pattern` where it is a word of its own: at either end where its script puts spaces between words."""
    before = "" if _UNSPACED.match(term[0]) else rf"(?<![\w{_SIGNS}])"
    after = "" if _UNSPACED.match(term[-1]) else rf"(?![\w{_SIGNS}])"
    return before + pattern + after


def _cased(found: str, source: str, rendering: str) -> str:
    """`rendering` of the glossary's `source`, in the case that `found` has."""
    if source.isupper():
        return rendering
    if len(found) > 1 and found.isupper() and any(letter.islower() for letter in rendering):
        return rendering.upper()
    return rendering[:1].upper() + rendering[1:] if found[:1].isupper() else rendering


def _outside(text: str, change: Callable[[str], str]) -> str:
    """`text` changed everywhere but in the stand-ins."""
    parts, holders = _HOLDER.split(text), [*_HOLDER.findall(text), ""]
    return "".join(change(part) + holder for part, holder in zip(parts, holders, strict=True))
