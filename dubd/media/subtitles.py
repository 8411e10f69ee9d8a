"""Subtitle files: read .srt and .vtt as people have them, write them as people can read them."""

from __future__ import annotations

import codecs
import html
import math
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pysubs2

from dubd import regular
from dubd.errors import DubdError, Exit

# Netflix timed text style guide, general requirements: line length, lines and shortest event;
# reading speed 21 characters a second is BBC's and TED's upper bound for adults.
LINE = 42
LINES = 2
SPEED = 21.0
SHORTEST = 5 / 6  # s
MOST_BYTES = 16 << 20  # a day of speech has one or two
_MOST_CUES = 100_000
_MOST_TEXT = 2_000  # characters of one cue
_MOST_LINE = 500  # characters of a line with a time, settings and all
GAP = 0.08  # s between cues that follow one another: two frames at 25 fps

_STAMP = r"-?\s*(?:\d{1,4}:)?\d{1,2}:\d{1,2}(?:[.,]\d{1,3})?"
_ARROW = re.compile(rf"^\s*({_STAMP})\s*-+>\s*({_STAMP})(\s.*)?$")
# None of these may take longer than its text is long: no part of one begins with what it may contain.
_VOICE = re.compile(r"<v(?:\.[^\s<>]*+)?\s++([^<>]+)>")
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<\d[\d:.]*>|\{\\[^{}]*\}")
_ASIDE = re.compile(r"^\s*\([^)]*\)\s*")
_UNSPOKEN = re.compile(r"\[[^\[\]]*\]|\([^()]*\)|\s+")
_MUSIC = "♪♫"
_BRACKETED = re.compile(r"^\s*\[([^\]\n]{1,30})\]\s*:?\s*(?=\S)")
_PREFIX = re.compile(r"^\s*[-–]?\s*([A-Z][\w.'-]*(?:\s[A-Z0-9][\w.'-]*){0,2})\s*:\s+(?=\S)")


@dataclass(frozen=True)
class Cue:
    """One subtitle: times in s on the file's clock, text without markup, who speaks where the file says so."""

    start: float
    end: float
    text: str
    speaker: str | None = None


def read(path: Path) -> list[Cue]:
    """The cues of a .srt or .vtt file by start time, those without text or length left out.

    Takes UTF-8 and UTF-16 with or without a mark, else Windows-1252. Raises DubdError with the
    line where a time cannot be read, where there is no cue at all, and where there is more than anyone says.
    """
    try:
        text = _decode(regular.read(path, MOST_BYTES))
    except OSError as error:
        raise DubdError(
            f"cannot be read: {error.strerror}", file=path, remedy="check its permissions", exit=Exit.INPUT
        ) from error
    subtitles = pysubs2.SSAFile.from_string(
        _plain(text.splitlines(), path), format_="srt", keep_html_tags=True, keep_unknown_html_tags=True
    )
    cues = [_cue(event) for event in subtitles]
    kept = sorted((cue for cue in cues if cue.text and cue.end > cue.start), key=lambda cue: (cue.start, cue.end))
    if not kept:
        raise DubdError("no subtitle in the file", file=path, remedy="give a .srt or .vtt file, or remove it")
    return kept


def write(path: Path, cues: Iterable[Cue], format: str) -> None:
    """Write `cues` as "srt" or "vtt", UTF-8, as they are: see `lay_out` for cues that fit a screen."""
    subtitles = pysubs2.SSAFile()
    for cue in cues:
        text = cue.text.replace("{", "(").replace("}", ")")  # braces would be read as ASS commands
        if format == "vtt":
            text = html.escape(text, quote=False)
        subtitles.append(pysubs2.SSAEvent(round(cue.start * 1000), round(cue.end * 1000), text.replace("\n", r"\N")))
    path.write_text(subtitles.to_string(format), encoding="utf-8", newline="\n")


def lay_out(cues: Sequence[Cue], length: float = math.inf) -> list[Cue]:
    """The same text as cues of at most two lines of 42 characters, in time order and never overlapping.

    None lasts beyond `length` (s): a cue that does makes the whole file longer than its picture.

    A long cue is split at a clause or a word and its time shared by length. A cue that is too
    quick to read stays until 21 characters a second are reached or the next one comes; one that
    leaves the next no time at all pushes it back. Nothing that is said is left out.
    """
    parts = [part for cue in sorted(cues, key=lambda cue: (cue.start, cue.end)) for part in _split(cue)]
    laid: list[Cue] = []
    for index, part in enumerate(parts):
        start = max(part.start, laid[-1].end) if laid else part.start
        end = max(part.end, start + SHORTEST, start + len(part.text) / SPEED)
        if index + 1 < len(parts):
            room = max(start + min(SHORTEST, part.end - part.start), parts[index + 1].start - GAP)
            end = min(end, max(room, min(part.end, parts[index + 1].start)))
        end = max(start, min(end, length))
        laid.append(replace(part, start=start, end=end, text=_two_lines(part.text)))
    return laid


def _decode(data: bytes) -> str:
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    if data[:200].count(0) > 20:
        return data.decode("utf-16-le" if data[1:2] == b"\0" else "utf-16-be", "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _plain(lines: Sequence[str], path: Path) -> str:
    """The cues alone: numbers, names, notes and settings would end up in the text of the cue before."""
    kept: list[str] = []
    inside = False
    cues = letters = 0
    for number, line in enumerate(lines, 1):
        if "->" in line and len(line) <= _MOST_LINE and (arrow := _ARROW.match(line)):
            kept += ["", " --> ".join(_stamp(arrow.group(side)) for side in (1, 2))]
            inside, letters, cues = True, 0, cues + 1
        elif "-->" in line:
            raise DubdError(f"line {number}: no subtitle time in {line.strip()[:60]!r}", file=path, remedy="mend it")
        elif not line.strip():
            inside = False
        elif inside:
            letters += len(line)
            kept.append(line)
        if letters > _MOST_TEXT:
            raise DubdError(f"line {number}: more than {_MOST_TEXT:,} letters at once", file=path, remedy="split it")
        if cues > _MOST_CUES:
            raise DubdError(f"more than {_MOST_CUES:,} subtitles", file=path, remedy="remove it, or split the video")
    return "\n".join(kept)


def _stamp(text: str) -> str:
    """A time as pysubs2 knows it; before the beginning is the beginning."""
    if text.startswith("-"):
        return "00:00:00,000"
    clock, _, fraction = text.replace(".", ",").partition(",")
    return f"{clock if clock.count(':') == 2 else '00:' + clock},{(fraction or '0').ljust(3, '0')}"


def _cue(event: pysubs2.SSAEvent) -> Cue:
    text = event.text.replace(r"\N", "\n")
    speaker = None
    if _unspoken(text):
        return Cue(event.start / 1000, event.end / 1000, "")
    text = _ASIDE.sub("", text)
    if voice := _VOICE.search(text):
        speaker = voice.group(1)
    text = html.unescape(_TAG.sub("", text)).replace(r"\h", " ").strip()
    for pattern in (_BRACKETED, _PREFIX):
        if speaker is None and (named := pattern.match(text)):
            speaker, text = named.group(1), text[named.end() :]
    return Cue(event.start / 1000, event.end / 1000, " ".join(text.split()), speaker.strip() if speaker else None)


def _unspoken(text: str) -> bool:
    """Whether nothing in `text` is said: only [this], (this), ♪ this ♪ and # this #."""
    rest = _UNSPOKEN.sub(" ", text).strip()
    marks = _MUSIC + "#"
    return all(letter in _MUSIC for letter in rest) or (len(rest) > 1 and rest[0] in marks and rest[-1] in marks)


def _split(cue: Cue) -> list[Cue]:
    """`cue` in as few pieces as fit two lines, about equally long, broken after a comma where one is near."""
    text = " ".join(cue.text.split())
    lines = textwrap.wrap(text, LINE)
    pieces = [" ".join(lines[at : at + LINES]) for at in range(0, len(lines), LINES)]
    for count in range(max(1, len(pieces) - 1), len(lines)):
        equal = _pieces(text, count)
        if all(len(textwrap.wrap(piece, LINE)) <= LINES for piece in equal):
            pieces = equal
            break
    total = sum(map(len, pieces))
    span = cue.end - cue.start
    parts, at = [], 0
    for piece in pieces:
        start, end = cue.start + span * at / total, cue.start + span * (at + len(piece)) / total
        parts.append(replace(cue, start=start, end=end, text=piece))
        at += len(piece)
    return parts


def _pieces(text: str, count: int) -> list[str]:
    """`text` in about `count` pieces of about equal length."""
    pieces: list[str] = []
    while count > 1 and " " in text:
        ideal = len(text) / count
        spaces = [at for at, letter in enumerate(text) if letter == " "]
        cut = min(spaces, key=lambda at: abs(at - ideal) - (ideal / 4 if text[at - 1] in ".,;:!?…" else 0))
        pieces.append(text[:cut])
        text, count = text[cut + 1 :], count - 1
    return [*pieces, text] if text else pieces


def _two_lines(text: str) -> str:
    """`text` as it is where it fits one line, else broken near its middle."""
    if len(text) <= LINE:
        return text
    breaks = [at for at, letter in enumerate(text) if letter == " " and max(at, len(text) - at - 1) <= LINE]
    if not breaks:
        return "\n".join(textwrap.wrap(text, LINE))
    at = min(breaks, key=lambda at: abs(at - len(text) / 2))
    return f"{text[:at]}\n{text[at + 1 :]}"
