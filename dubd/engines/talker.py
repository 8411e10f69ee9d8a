"""Which of the visible faces is the one that speaks, frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from dubd.engines.band import band_pass

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

CHUNK = 2.5  # seconds of a line that are judged together
PAD = 0.25  # seconds around a line in which its speaker's mouth may still move
LEADS = (0.0, 0.04, 0.08, 0.12)  # seconds by which a mouth goes before its sound (Chandrasekaran et al. 2009)
BAND = (0.7, 8.0)  # Hz: syllables
SHORTEST = 15  # frames: too few to compare a syllable's rise and fall
SWITCH = 0.1  # correlation by which another face must be better than the one that spoke just before
SEEN = 0.5  # of a chunk in which a face must be seen to be its speaker


def talker(motions: Array, level: Array, timing: Sequence[dict[str, Any]], rate: float) -> Indices:
    """The track that speaks in each frame (N,), -1 where none does.

    `motions` (T, N, F) says how a mouth moves by F measures, NaN where a track is not seen or not usable;
    `level` (N,) is the source sound's envelope; `timing` lines as in speech.json. One visible face is
    taken to be the speaker; among several, the one whose mouth went with the sound while the line was spoken.
    """
    count = motions.shape[1]
    who = np.full(count, -1, np.int64)
    if not len(motions):
        return who
    seen = np.asarray(np.isfinite(motions).all(axis=2))
    likeness = _likeness(motions, level, rate) if len(motions) > 1 else None
    lines = [_chunks(line, count, rate) for line in timing]
    scores = [[_score(seen, likeness, part) for part in pairwise(edges)] for _, edges in lines]
    for (span, edges), score in zip(lines, _by_speaker(timing, scores), strict=True):
        choice = _choose(score)
        edges[0], edges[-1] = span
        for track, (start, stop) in zip(choice, pairwise(edges), strict=True):
            who[start:stop] = np.where(seen[track, start:stop], track, -1)
    return who


def _chunks(line: dict[str, Any], count: int, rate: float) -> tuple[tuple[int, int], list[int]]:
    """Frames in which a line may move a mouth, and the edges between the chunks of what the source spoke."""
    first, last = line.get("slot") or (line["start"], line["end"])
    begin = min(count, max(0, round((min(first, line["start"]) - PAD) * rate)))
    end = min(count, max(begin, round((max(last, line["end"]) + PAD) * rate)))
    spoken = np.clip(np.rint(np.array([first, last]) * rate), begin, end)
    parts = max(1, round((last - first) / CHUNK))
    return (begin, end), [int(edge) for edge in np.linspace(spoken[0], spoken[1], parts + 1).round()]


def _by_speaker(timing: Sequence[dict[str, Any]], scores: list[list[Array]]) -> list[list[Array]]:
    """Scores that take in how well each face fits all that the same speaker says, where speakers are told apart."""
    names = [str(line.get("speaker")) for line in timing]
    if len(set(names)) < 2:
        return scores
    whole = {
        name: np.mean([s for n, line in zip(names, scores, strict=True) if n == name for s in line], 0)
        for name in names
    }
    return [
        [score + np.where(np.isfinite(whole[n]), whole[n], 0.0) for score in line]
        for n, line in zip(names, scores, strict=True)
    ]


def _likeness(motions: Array, level: Array, rate: float) -> Array:
    """Products (T, leads, N, F) of the band-passed movement and sound, whose mean is their correlation."""
    tracks, count, measures = motions.shape
    made = np.zeros((tracks, len(LEADS), count, measures))
    band = (BAND[0], min(BAND[1], 0.45 * rate))
    if count <= SHORTEST:
        return made  # too short to tell

    def syllables(values: Array) -> Array:
        return band_pass(values, band, rate, 2)

    sound = syllables(level)
    for track in range(tracks):
        for measure in range(measures):
            at = np.flatnonzero(np.isfinite(motions[track, :, measure]))
            if not len(at):
                continue
            mouth = syllables(np.interp(np.arange(count), at, motions[track, at, measure]))
            for index, lead in enumerate(LEADS):
                heard = np.roll(sound, -round(lead * rate))
                made[track, index, :, measure] = mouth * heard / (mouth.std() * heard.std() + 1e-9)
    return made


def _score(seen: npt.NDArray[np.bool_], likeness: Array | None, part: tuple[int, int]) -> Array:
    """How well each track fits (T,): -inf where it is hardly seen."""
    where = np.s_[part[0] : max(part[0] + 1, part[1])]
    fit = np.zeros(len(seen)) if likeness is None else likeness[:, :, where].mean(2).max(1).mean(1)
    return np.where(seen[:, where].mean(1) >= SEEN, fit, -np.inf)


def _choose(scores: Sequence[Array]) -> list[int]:
    """The best track for each chunk with few switches (Viterbi)."""
    total = scores[0].copy()
    back = []
    for score in scores[1:]:
        best = int(total.argmax())
        stay = total >= total[best] - SWITCH
        back.append(np.where(stay, np.arange(len(total)), best))
        total = np.where(stay, total, total[best] - SWITCH) + score
    path = [int(total.argmax())]
    for previous in reversed(back):
        path.append(int(previous[path[-1]]))
    return path[::-1]
