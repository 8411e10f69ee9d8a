"""Translate with Apertium, a rule-based system whose dictionaries come as small Debian packages."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from shutil import which
from typing import Any, Final

from dubd.engines.contract import Engine, Sentence, Translation
from dubd.engines.numerals import localised
from dubd.engines.placeholders import Shielded, shield
from dubd.media.killed import ProgramKilled, require_alive

_MODES: Final = Path("/usr/share/apertium/modes")
_CODES: Final = {"ca": "cat", "en": "eng", "es": "spa", "fr": "fra", "gl": "glg", "it": "ita", "pt": "por"}
_TIMEOUT: Final = 120.0  # s
_RESERVED: Final = re.compile(r"([\[\]{}^$@\\/<>~])")  # characters of Apertium's stream format
_CUT: Final = re.compile(r"\.?\[\]\[\n#\d+\n\]")  # what separates sentences: a blank that no rule moves
_WORD: Final = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")
_TOKEN: Final = re.compile(r"( ?)\^((?:[^/\\]|\\.)+?)/((?:[^$\\]|\\.)*)\$")
_ALONE: Final = re.compile(rf"(?<![\w@./#-]){_WORD.pattern}(?![\w@/-]|\.\w)")  # no part of an address
_SENTENCE: Final = re.compile(r"(?<=[.!?…])(?<!\b(?:Dr|Sr|Mr|Ms|St)\.)(?<!Mrs\.)(?<!Sra\.)\s+")
_TITLED: Final = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|Prof)\.?\s+([A-Z][\w'-]*\w)")
_SPOKEN: Final = (  # what the English dictionary lacks or takes apart wrongly
    (re.compile(r"\b(g)onna\b", re.I), r"\1oing to"),
    (re.compile(r"\b(w)anna\b", re.I), r"\1ant to"),
    (re.compile(r"\b(?:(have|has|'ve|'s) )?gotta\b", re.I), "have to"),
    (re.compile(r"\blet's (?=[a-z])"), "we are going to "),  # Spanish says "vamos a"
    (re.compile(r"\bLet's (?=[a-z])"), "We are going to "),
    (re.compile(r"\b(who|where|how)'s\b", re.I), r"\1 is"),
    (re.compile(r"\bi(?=['\s]|$)"), "I"),
)


class Apertium(Engine[Sentence, Translation]):
    """Each sentence on its own; a batch is one run of the pipeline, about .3 s whatever its size."""

    name = "apertium"
    stage = "translate"
    summary = "Apertium's rules and dictionaries: fast and steady, rough beyond simple sentences"
    licence = "GPL-2.0-or-later"
    batch = 64

    @classmethod
    def revision(cls) -> str:
        """That of the code here, and the content of all installed language data."""
        return f"5-{_installed()}"

    @classmethod
    def missing(cls) -> str | None:
        there = which("apertium") and which("lt-proc") and _mode("en", "es")
        return None if there else "apt-get install apertium-eng-spa"

    @classmethod
    def refuses(cls, source: str, target: str) -> str | None:
        if _mode(source, target):
            return None
        pair = f"{_code(source)}-{_code(target)}"
        return f"no Apertium data for {pair} here: apt-get install apertium-{pair} if there is one, or another engine"

    def load(self, device: str, params: Any) -> None:
        """Nothing to keep in memory."""

    def run(self, batch: Sequence[Sentence]) -> list[Translation | Exception]:
        made: list[Translation | Exception] = [ValueError("not translated")] * len(batch)
        routes: dict[tuple[str, ...], list[int]] = {}
        for index, sentence in enumerate(batch):
            route = (sentence.source, *([sentence.pivot] if sentence.pivot else []), sentence.target)
            routes.setdefault(route, []).append(index)
        for route, indexes in routes.items():
            try:
                translated = _translate([batch[index] for index in indexes], route)
            except (ValueError, OSError, subprocess.SubprocessError, ProgramKilled) as error:
                for index in indexes:
                    made[index] = error
            else:
                for index, one in zip(indexes, translated, strict=True):
                    made[index] = one
        return made


def _translate(sentences: Sequence[Sentence], route: tuple[str, ...]) -> list[Translation]:
    """`sentences` by way of each language of `route`; stand-ins stay in the text until the end."""
    english = _code(route[0]) == "eng"
    texts = [_plain(sentence.text, english) for sentence in sentences]
    mode = _mode(route[0], route[1])
    dictionary = _dictionary(mode) if mode else None
    names: list[list[str]] = [[] for _ in texts]
    if dictionary:
        texts = _raised(texts, dictionary)
        names = _surnames(texts, dictionary)
    held = [
        shield(text, sentence.glossary, found) for text, sentence, found in zip(texts, sentences, names, strict=True)
    ]
    stages = [[one.text for one in held]]
    for source, target in pairwise(route):
        mode = _mode(source, target)
        if mode is None:
            raise ValueError(Apertium.refuses(source, target))
        made = _whole(held, stages[-1], mode)
        stages.append([localised(text, source, target) for text in made])
    last = zip(sentences, held, stages[-2], stages[-1], strict=True)
    return [
        Translation(
            _finished(one.restore(after), sentence.text, route[-1]),
            one.between(before, sentence.pivots) if len(route) > 2 else None,
        )
        for sentence, one, before, after in last
    ]


def _whole(held: Sequence[Shielded], texts: Sequence[str], mode: str) -> list[str]:
    """`texts` translated; one that lost a stand-in is translated piece by piece around it."""
    made = [_settled(before, after) for before, after in zip(texts, _pipeline(texts, mode), strict=True)]
    for index, one in enumerate(held):
        if not one.intact(made[index]):
            pieces, holders = Shielded(texts[index], one.held).around()
            spoken = iter(_pipeline([piece for piece in pieces if _WORD.search(piece)], mode))
            done = [next(spoken) if _WORD.search(piece) else piece.strip() for piece in pieces]
            made[index] = " ".join(part for pair in zip(done, [*holders, ""], strict=True) for part in pair if part)
    return made


def _settled(before: str, after: str) -> str:
    """`after` without the capitals that Apertium moves along when it drops or reorders a first word.

    A capital inside a sentence stays where the word is the source's own, or the source has one there too.
    """
    old, new = _SENTENCE.split(before), _SENTENCE.split(after)
    if len(old) != len(new):
        return after
    return " ".join(_small_inside(one, other) for one, other in zip(old, new, strict=True))


def _small_inside(before: str, after: str) -> str:
    old, new = before.split(), after.split()
    capitals = any(word[0].isupper() and not re.match(r"I\b|Xqz", word) for word in old[1:])
    follows = len(new) > 1 and len(old) > 1 and old[0] == new[0] and old[1][0].islower()
    for at, word in enumerate(new):
        moved = at > 0 and word[0].isupper() and word[1:] == word[1:].lower() and word not in old
        if moved and (not capitals or (at == 1 and follows)):
            new[at] = word[0].lower() + word[1:]
    return " ".join(new)


def _pipeline(texts: Sequence[str], mode: str, *, last: bool = False) -> list[str]:
    """Each of `texts` through Apertium, in one process for all; a text that is lost gets a `last` one for itself."""
    if not texts:
        return []
    stream = "".join(f"{_escaped(text)}.[][\n#{index}\n]" for index, text in enumerate(texts))
    parts = _CUT.split(_apertium(["apertium", "-u", "-f", "none", mode], stream))
    if len(parts) != len(texts) + 1:
        if last:
            raise ValueError(f"apertium lost its place in {texts[0][:60]!r}")
        # One of the dozen programs in it may have been killed, which its exit code does not always tell.
        return [part for text in texts for part in _pipeline([text], mode, last=len(texts) == 1)]
    return [" ".join(re.sub(r"\\(.)", r"\1", part).split()) for part in parts[:-1]]


def _apertium(command: Sequence[str], text: str) -> str:
    done = subprocess.run(command, input=text, text=True, encoding="utf-8", capture_output=True, timeout=_TIMEOUT)
    require_alive(done.returncode, command[0])
    if done.returncode:
        raise ValueError(f"{command[0]} failed: {' '.join(done.stderr.split())[-200:]}")
    return done.stdout


def _plain(text: str, english: bool) -> str:
    """One line, straight apostrophes, and in English the contractions that the dictionary lacks spelled out."""
    text = " ".join(text.replace("’", "'").replace("\0", " ").split())
    for pattern, spelled in _SPOKEN if english else ():
        text = pattern.sub(spelled, text)
    return text


def _raised(texts: Sequence[str], dictionary: Path) -> list[str]:
    """`texts` with a capital for names written small: a recogniser says "london", the dictionary knows London."""
    words = sorted({word for text in texts for word in _WORD.findall(text) if word.islower() and len(word) > 2})
    small = _analysed(words, dictionary)
    capital = _analysed([word.capitalize() for word in words], dictionary)
    names = {
        word
        for word, one, other in zip(words, small, capital, strict=True)
        if len(one) == len(other) == 1 and one[0].unknown and not other[0].unknown
    }
    return [
        _ALONE.sub(lambda found: found.group().capitalize() if found.group() in names else found.group(), text)
        for text in texts
    ]


def _surnames(texts: Sequence[str], dictionary: Path) -> list[list[str]]:
    """Names of persons of which a part is a common word: "Mark Baker" would come back as a baker."""
    found: list[list[str]] = []
    for text, tokens in zip(texts, _analysed(texts, dictionary), strict=True):
        names: list[list[_Token]] = []
        for before, token in pairwise([None, *tokens]):
            if token is None:
                continue
            if names and before is names[-1][-1] and token.adjacent and token.surface[:1].isupper():
                names[-1].append(token)
            elif token.person:
                names.append([token])
        found.append([" ".join(token.surface for token in name) for name in names if len(name) > 1])
        found[-1] += _TITLED.findall(text)
    return found


@dataclass(frozen=True, eq=False)
class _Token:
    """What the dictionary knows of a word, or of several that it knows together."""

    surface: str
    analyses: str
    adjacent: bool  # only a space between it and the token before

    @property
    def unknown(self) -> bool:
        return self.analyses.startswith("*")

    @property
    def person(self) -> bool:
        """Whether it may be a first name: known as one, or a capital word that is not known at all."""
        return self.surface[:1].isupper() and len(self.surface) > 1 and ("<np><ant>" in self.analyses or self.unknown)


def _analysed(texts: Sequence[str], dictionary: Path) -> list[list[_Token]]:
    """The tokens of each one-line text."""
    if not texts:
        return []
    lines = _apertium(["lt-proc", str(dictionary)], "\n".join(_escaped(text) for text in texts) + "\n").split("\n")
    if len(lines) != len(texts) + 1:
        raise ValueError("apertium lost its place while looking words up")
    return [[_Token(found[2], found[3], found[1] == " ") for found in _TOKEN.finditer(line)] for line in lines[:-1]]


def _finished(text: str, source: str, language: str) -> str:
    """`text` with the case and the marks of a sentence: those of `source`, and Spanish opens its questions."""
    text = re.sub(r"\s+([.,;:!?…])", r"\1", " ".join(text.split()))
    first = _WORD.search(text)
    opening = _WORD.search(source)
    if first and opening and opening.group()[0].isupper():
        text = text[: first.start()] + text[first.start()].upper() + text[first.start() + 1 :]
    if _code(language) == "spa":
        return " ".join(_opened(part) for part in _SENTENCE.split(text))
    return text


def _opened(sentence: str) -> str:
    mark = {"?": "¿", "!": "¡"}.get(sentence.rstrip("\"'»)”")[-1:])
    first = _WORD.search(sentence)
    if mark is None or first is None or mark in sentence:
        return sentence
    at = len(sentence) - len(sentence.lstrip("\"'«(“-– "))
    return sentence[:at] + mark + sentence[at:]


def _escaped(text: str) -> str:
    return _RESERVED.sub(r"\\\1", text)


def _code(language: str) -> str:
    primary = language.split("-")[0].lower()
    return _CODES.get(primary, primary)


def _mode(source: str, target: str) -> str | None:
    """The name of the installed translation mode, None where there is none."""
    name = f"{_code(source)}-{_code(target)}"
    return name if (_MODES / f"{name}.mode").is_file() else None


@cache
def _dictionary(mode: str) -> Path | None:
    """The compiled monolingual dictionary that `mode` begins with."""
    found = re.search(r"'([^']+\.automorf\.bin)'", (_MODES / f"{mode}.mode").read_text("utf-8"))
    return Path(found[1]) if found else None


@cache
def _installed() -> str:
    digest = hashlib.sha256()
    for file in sorted(_MODES.parent.glob("apertium-*/*")):
        if file.suffix in (".bin", ".t1x", ".t2x", ".t3x", ".prob"):
            digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]
