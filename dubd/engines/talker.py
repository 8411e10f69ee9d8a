"""Which of the visible faces is the one that speaks, frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

WINDOW = 0.8  # seconds over which a face must match the sound
PAD = 0.25  # seconds around a line in which its speaker's mouth may still move
SWITCH = 12.0  # what it costs to jump to another face within a line, in frames of certainty


def talker(gaps: Array, level: Array, timing: Sequence[dict[str, Any]], rate: float) -> npt.NDArray[np.int64]:
    """The track that speaks in each frame (N,), -1 where none does.

    `gaps` (T, N) inner-lip opening, NaN where a track is not seen or not usable; `level` (N,) the source
    sound's envelope in 0..1; `timing` lines as in speech.json. One visible face is taken to be the
    speaker; among several, the one whose mouth moves with the sound while the line was spoken.
    """
    count = gaps.shape[1]
    who = np.full(count, -1, np.int64)
    if not len(gaps):
        return who
    score = _evidence(gaps, level, max(3, round(WINDOW * rate)))
    for line in timing:
        first, last = line["slot"] if line.get("slot") else (line["start"], line["end"])
        begin = max(0, round((min(first, line["start"]) - PAD) * rate))
        end = min(count, round((max(last, line["end"]) + PAD) * rate))
        if end > begin:
            who[begin:end] = _follow(score[:, begin:end])
    return who


def _evidence(gaps: Array, level: Array, window: int) -> Array:
    """How well each face fits the sound around each frame (T, N): -inf where it is not seen."""
    from scipy.ndimage import convolve1d

    seen = np.isfinite(gaps)
    score = np.full(gaps.shape, -np.inf)
    kernel = np.hanning(window + 2)[1:-1]
    kernel /= kernel.sum()

    def around(values: Array) -> Array:
        return np.asarray(convolve1d(values, kernel, mode="nearest"))

    sound = level - around(level)
    for row in range(len(gaps)):
        at = np.flatnonzero(seen[row])
        if not len(at):
            continue
        gap = np.interp(np.arange(gaps.shape[1]), at, gaps[row, at])
        mouth = gap - around(gap)
        both, own, heard = around(mouth * sound), around(mouth**2), around(sound**2)
        likeness = both / np.sqrt(own * heard + 1e-12)
        motion = around(np.abs(np.gradient(gap))) / (np.abs(np.gradient(gap)).mean() + 1e-6)
        score[row, at] = (likeness + 0.3 * np.minimum(motion, 2.0))[at]
    return score


def _follow(score: Array) -> npt.NDArray[np.int64]:
    """The best sequence of tracks with few switches (Viterbi); -1 where no track is seen."""
    tracks, count = score.shape
    gain = np.where(np.isfinite(score), score, -10.0)
    total = gain[:, 0].copy()
    back = np.zeros((tracks, count), np.int64)
    for frame in range(1, count):
        best = int(total.argmax())
        stay = total >= total[best] - SWITCH
        back[:, frame] = np.where(stay, np.arange(tracks), best)
        total = np.where(stay, total, total[best] - SWITCH) + gain[:, frame]
    path = np.empty(count, np.int64)
    path[-1] = int(total.argmax())
    for frame in range(count - 1, 0, -1):
        path[frame - 1] = back[path[frame], frame]
    path[~np.isfinite(score[path, np.arange(count)])] = -1
    return path
