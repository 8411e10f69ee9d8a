"""From utterances to sentences, through each language of a route, and back: glossary terms kept, n best put together.

No model is known here: `ask` translates plain sentences. A term is kept by a stand-in that no language has a word
for; where it does not come back exactly once, by a number; and where that fails too, the sentence is translated
with the term in it, and what the model makes of the term alone is looked for and replaced.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from dubd.engines.contract import Sentence, Translation
from dubd.engines.numerals import localised
from dubd.engines.placeholders import Shielded, first, occurring, shield
from dubd.engines.sentences import joined, split

_SPREAD: Final = 16  # renderings of an utterance that are followed while its sentences are put together
_MARKS: Final = " .,;:!?…।。、，؟؛\"'“”«»()"
_FIRST_NUMBER: Final = 731  # three digits: no language groups them


@dataclass(frozen=True)
class Rendering:
    """One way to say a text, and the mean log-probability of its tokens."""

    text: str
    score: float = 0.0


Ask = Callable[[Sequence[str], str, str, int], list[list[Rendering]]]
"""Texts, source, target, how many of each: renderings of each, best first, at least one."""


@dataclass
class _Line:
    """An utterance on its way."""

    held: Shielded
    pivots: tuple[tuple[str, str], ...]  # terms as they shall read between two hops
    missed: set[str]
    texts: list[str]  # after each hop, the best; stand-ins still in it
    found: list[Rendering]  # after the last hop, best first


def through(sentences: Sequence[Sentence], route: Sequence[str], ask: Ask, alternatives: int) -> list[Translation]:
    """`sentences` by way of each language of `route`, a hop is one call of `ask`, and more where a term is lost."""
    lines = []
    for one in sentences:
        held = shield(" ".join(one.text.split()), one.glossary)
        lines.append(_Line(held, one.pivots, set(), [held.text], []))
    hops = list(pairwise(route))
    for number, (source, target) in enumerate(hops):
        best = alternatives + 1 if number == len(hops) - 1 else 1
        cuts = [split(line.texts[-1]) for line in lines]
        pieces = [(line, piece) for line, cut in zip(lines, cuts, strict=True) for piece in cut]
        done = iter(_Hop(hops[: number + 1], ask, best).translated(pieces))
        for line, cut in zip(lines, cuts, strict=True):
            merged = _merged([next(done) for _ in cut], cut, target, best)
            line.found = [Rendering(localised(one.text, source, target), one.score) for one in merged]
            line.texts.append(line.found[0].text)
    return [_finished(line, len(hops) > 1) for line in lines]


def _finished(line: _Line, pivoted: bool) -> Translation:
    texts = {line.held.restore(one.text): one.score for one in reversed(line.found)}
    ranked = list(reversed(texts))
    scores = tuple(round(texts[text], 4) for text in ranked)
    pivot = line.held.between(line.texts[-2], line.pivots) if pivoted else None
    return Translation(ranked[0], pivot, tuple(ranked[1:]), scores, tuple(sorted(line.missed)))


def _merged(parts: Sequence[Sequence[Rendering]], source: Sequence[str], language: str, best: int) -> list[Rendering]:
    """The `best` renderings of an utterance from those of its sentences, best first.

    The best by score is kept, then the shortest and the longest, which the choice by time needs, then what follows by
    score. A score is the mean over the sentences, by their length.
    """
    whole: list[tuple[float, tuple[str, ...]]] = [(0.0, ())]
    for renderings, piece in zip(parts, source, strict=True):
        more = [(sum_ + one.score * len(piece), (*texts, one.text)) for sum_, texts in whole for one in renderings]
        more.sort(key=lambda each: -each[0])
        by_length = sorted(more, key=lambda each: sum(map(len, each[1])))
        whole = list(dict.fromkeys([*more[: _SPREAD - 4], *by_length[:2], *by_length[-2:]]))
    length = max(1, sum(map(len, source)))
    found = [Rendering(joined(list(texts), language), total / length) for total, texts in whole]
    found.sort(key=lambda one: -one.score)
    first = [found[0], min(found, key=lambda one: len(one.text)), max(found, key=lambda one: len(one.text))]
    chosen = list(dict.fromkeys([*first, *found]))[:best]
    return sorted(chosen, key=lambda one: -one.score)


class _Hop:
    """One hop for all sentences; `hops` ends with it."""

    def __init__(self, hops: Sequence[tuple[str, str]], ask: Ask, best: int) -> None:
        self.hops, self.ask, self.best = hops, ask, best
        self.source, self.target = hops[-1]

    def translated(self, pieces: Sequence[tuple[_Line, str]]) -> list[list[Rendering]]:
        """The renderings of each piece; a piece without words, or with nothing but stand-ins, is its own."""
        done: dict[int, list[Rendering]] = {}
        spoken = []
        for index, (line, piece) in enumerate(pieces):
            if any(any(map(str.isalnum, part)) for part in Shielded(piece, line.held.held).around()[0]):
                spoken.append(index)
            else:
                done[index] = [Rendering(piece)]
        for attempt in (self._words, self._numbers):
            texts = [attempt(*pieces[index]) for index in spoken]
            answers = self._asked([text for text, _ in texts])
            for index, (_, back), renderings in zip(list(spoken), texts, answers, strict=True):
                line, piece = pieces[index]
                own = Shielded(piece, _within(line.held, piece))
                named = [Rendering(back(one.text), one.score) for one in renderings]
                if kept := [one for one in named if own.intact(one.text)]:
                    done[index] = kept
            spoken = [index for index in spoken if index not in done]
        for index in spoken:
            done[index] = self._afterwards(*pieces[index])
        return [done[index] for index in range(len(pieces))]

    def _asked(self, texts: Sequence[str], best: int | None = None) -> list[list[Rendering]]:
        """Each different text once."""
        different = list(dict.fromkeys(texts))
        made = self.ask(different, self.source, self.target, best or self.best) if different else []
        answers = dict(zip(different, made, strict=True))
        return [answers[text] for text in texts]

    def _words(self, line: _Line, piece: str) -> tuple[str, Callable[[str], str]]:  # noqa: ARG002
        return piece, lambda text: text

    def _numbers(self, line: _Line, piece: str) -> tuple[str, Callable[[str], str]]:
        """`piece` with numbers for stand-ins, and what puts the stand-ins back."""
        names = Shielded(piece, line.held.held).around()[1]
        free = (str(number) for number in range(_FIRST_NUMBER, 1000) if str(number) not in piece)
        numbers = dict(zip(names, free, strict=False))
        for name, number in numbers.items():
            piece = piece.replace(name, number)

        def back(text: str) -> str:
            plain = "".join(str(unicodedata.digit(one)) if one.isdecimal() else one for one in text)
            for name, number in numbers.items():
                plain = re.sub(rf"(?<!\d){number}(?!\d)", name, plain)
            return plain

        return piece, back

    def _afterwards(self, line: _Line, piece: str) -> list[Rendering]:
        """The renderings with the terms said in words, each replaced by its stand-in where it can be found."""
        names = Shielded(piece, line.held.held).around()[1]
        said = {name: self._said(name, line) for name in names}
        plain = piece
        for name in names:
            plain = plain.replace(name, said[name])
        made, lost = [], []
        alone = {name: self._asked([said[name]], 1)[0][0].text.strip(_MARKS) for name in names}
        for one in self._asked([plain])[0]:
            text, gone = one.text, set()
            for name in names:
                original, wanted = line.held.held[name.lower()]
                at = first(wanted, text) or first(alone[name], text)
                if at:
                    text = text[: at[0]] + name + text[at[1] :]
                else:
                    gone.add(original)
            made.append(Rendering(text, one.score))
            lost.append(gone)
        fewest = min(lost, key=len)
        line.missed |= fewest
        return [one for one, gone in zip(made, lost, strict=True) if gone == fewest]

    def _said(self, name: str, line: _Line) -> str:
        """The term behind a stand-in in the language that this hop starts from: as a person says, or the model."""
        term = line.held.held[name.lower()][0]
        if len(self.hops) > 1 and occurring(term, line.pivots):
            return line.held.between(name, line.pivots)
        for source, target in self.hops[:-1]:
            term = self.ask([term], source, target, 1)[0][0].text.strip(_MARKS)
        return term


def _within(held: Shielded, piece: str) -> dict[str, tuple[str, str]]:
    names = {name.lower() for name in Shielded(piece, held.held).around()[1]}
    return {name: value for name, value in held.held.items() if name in names}
