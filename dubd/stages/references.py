"""Which stretches of the source show a speaker's voice most cleanly, and the file that holds them.

How long: XTTS conditions on 30 s at most (`gpt_cond_len` and `max_ref_len` of its published config.json) and its makers
ask for 6 s (coqui-tts, docs/models/xtts); a piece under 3 s says little of how somebody speaks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
from scipy.signal import resample_poly

from dubd.engines.contract import Reference
from dubd.errors import DubdError
from dubd.media import arrays, sound
from dubd.media.timeline import SAMPLE_RATE

RATE: Final = 24_000  # Hz
ENOUGH: Final = 30.0  # s of one speaker
_LEAST: Final = 6.0  # s that are taken even where some of it is much noisier than the best
_PIECE: Final = (1.0, 12.0)  # s
_SHORT: Final = 3.0  # s: shorter pieces only where there are not enough others
_WORSE: Final = 10.0  # dB under the cleanest piece, beyond which more speech does more harm than good
_CLIPPED: Final = 0.985  # of full scale
_CLIPS: Final = 1e-4  # of the samples that may be there: a peak, not a clipped recording

Times = tuple[float, float, str]  # start and end in s on the programme clock, and who speaks


@dataclass(frozen=True)
class Piece:
    """One stretch of one speaker: its samples in its segment's sound, and how clean they are."""

    audio: Path
    first: int
    last: int
    clipped: bool
    ratio: int  # dB of speech over the background, rounded so that a sample more or less decides nothing

    @property
    def seconds(self) -> float:
        return (self.last - self.first) / SAMPLE_RATE

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """Best first."""
        return self.clipped, self.seconds < _SHORT, -self.ratio


def pieces(audio: Path, utterances: Sequence[Times], offset: int) -> dict[str, list[Piece]]:
    """A segment's candidates by speaker, in order of time; `offset` is its first sample on the programme clock.

    Only times and speakers are looked at, no text; pieces begin and end where speech does, so that a time moved within
    a pause changes nothing. Where two speak at once, nobody's voice is taken.
    """
    samples, rate = soundfile.read(str(audio), dtype="float32", always_2d=True)
    if rate != SAMPLE_RATE:
        raise DubdError(f"sound at {rate} Hz, not {SAMPLE_RATE}", file=audio, stage="voice")
    mono = samples.mean(axis=1)
    level = sound.levels([mono], SAMPLE_RATE)
    spoken = sound.speech(level)
    hop = round(SAMPLE_RATE * sound.HOP)
    found: dict[str, list[Piece]] = {}
    for start, end, speaker in utterances:
        others = [(one[0], one[1]) for one in utterances if one[2] != speaker]
        for free in _without((start, end), others):
            first, last = (min(max(0, round(at / sound.HOP - offset / hop)), len(level)) for at in free)
            for begin, finish in _cut(spoken[first:last], level[first:last]):
                one = slice(first + begin, first + finish)
                cut = mono[one.start * hop : one.stop * hop]
                clipped = float(np.mean(np.abs(cut) >= _CLIPPED)) > _CLIPS
                # Between its sounds a voice leaves the background alone for moments, also where it makes no pause.
                quiet, loud = np.percentile(level[one], (5, 75))
                ratio = round(float(loud - quiet))
                found.setdefault(speaker, []).append(Piece(audio, one.start * hop, one.stop * hop, clipped, ratio))
    return found


def chosen(candidates: Sequence[Piece]) -> list[Piece]:
    """The cleanest, best first, some 30 s: after 6 s, none that is clipped, short or 10 dB noisier than the best."""
    ordered = sorted(candidates, key=lambda piece: piece.rank)  # stable: among equals the earlier
    taken: list[Piece] = []
    seconds = 0.0
    for piece in ordered:
        worse = piece.clipped or piece.seconds < _SHORT or piece.ratio < ordered[0].ratio - _WORSE
        if seconds >= ENOUGH or (seconds >= _LEAST and worse):
            break
        taken.append(piece)
        seconds += piece.seconds
    return taken


def write(path: Path, speakers: Mapping[str, Sequence[Piece]]) -> dict[str, float]:
    """`<speaker>/<nn>` as int16 at 24 kHz, best first; returns the seconds of each speaker. No piece: no entry."""
    made: dict[str, Any] = {}
    for speaker, taken in sorted(speakers.items()):
        for number, piece in enumerate(taken):
            samples, _ = soundfile.read(str(piece.audio), start=piece.first, stop=piece.last, always_2d=True)
            halved = resample_poly(samples.mean(axis=1), RATE, SAMPLE_RATE)
            made[f"{speaker}/{number:02d}"] = np.clip(np.round(32767 * halved), -32768, 32767).astype("<i2")
    with path.open("wb") as file:
        np.savez(file, **made)
    return {speaker: round(sum(piece.seconds for piece in taken), 1) for speaker, taken in speakers.items() if taken}


def read(path: Path, stage: str) -> dict[str, Reference]:
    """By speaker. Errors: DubdError where the file is not one that `write` makes."""
    found: dict[str, list[np.ndarray]] = {}
    try:
        for name, samples in sorted(arrays.read(path).items()):
            if samples.dtype != np.int16 or samples.ndim != 1:
                raise ValueError(f"{name} is no row of int16, which is mono sound at {RATE} Hz")
            found.setdefault(name.rpartition("/")[0], []).append(samples.astype(np.float32) / 32768)
    except (OSError, ValueError) as error:
        raise unreadable(path, stage, error) from error
    return {speaker: Reference(tuple(parts), RATE) for speaker, parts in found.items()}


def unreadable(path: Path, stage: str, error: Exception) -> DubdError:
    """What is said of a .npz that cannot be read."""
    return DubdError(f"cannot be read: {error}", file=path, stage=stage, remedy="delete it, it is made again")


def _without(span: tuple[float, float], others: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """What is left of `span` where none of `others` is."""
    left = [span]
    for start, end in others:
        left = [
            part
            for begin, finish in left
            for part in ((begin, min(finish, start)), (max(begin, end), finish))
            if part[1] - part[0] >= _PIECE[0]
        ]
        left = list(dict.fromkeys(left))
    return left


def _cut(spoken: np.ndarray, level: np.ndarray) -> list[tuple[int, int]]:
    """Hops from the first word to the last, in pieces of 12 s at most, parted at the quietest moment."""
    heard = np.flatnonzero(spoken)
    least, most = (round(seconds / sound.HOP) for seconds in _PIECE)
    if not len(heard):
        return []
    begin, finish = int(heard[0]), int(heard[-1]) + 1
    cuts = []
    while finish - begin > most:
        half = begin + most // 2
        at = half + int(np.argmin(level[half : begin + most]))
        cuts.append((begin, at))
        begin = at
    return [(first, last) for first, last in (*cuts, (begin, finish)) if last - first >= least]
