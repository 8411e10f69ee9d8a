"""Which face speaks."""

from __future__ import annotations

import numpy as np

from dubd.engines.talker import talker

RATE = 25.0


def line(start: float, end: float) -> dict[str, object]:
    return {"slot": [start, end], "start": start, "end": end}


def syllables(frames: int, seed: int) -> np.ndarray:
    """A loudness that rises and falls some four times a second, not quite regularly."""
    random = np.random.default_rng(seed)
    return np.abs(np.sin(np.cumsum(random.uniform(0.3, 0.7, frames))))


def test_the_only_face_speaks_while_a_line_is_spoken() -> None:
    gaps = np.full((1, 100, 1), 0.1)

    who = talker(gaps, np.zeros(100), [line(1.0, 2.0)], RATE)

    assert (who[25:50] == 0).all()
    assert (who[:18] == -1).all() and (who[57:] == -1).all()


def test_of_two_moving_faces_the_one_that_moves_with_the_sound_speaks() -> None:
    level = syllables(120, 0)
    other = syllables(120, 1)
    first = np.where(np.arange(120) < 60, level, other) * 0.1
    second = np.where(np.arange(120) < 60, other, level) * 0.1

    who = talker(np.stack([first, second])[..., None], level, [line(0.0, 2.4), line(2.4, 4.8)], RATE)

    assert (who[5:50] == 0).mean() > 0.95
    assert (who[70:115] == 1).mean() > 0.95


def test_a_face_that_is_not_seen_does_not_speak() -> None:
    gaps = np.full((2, 50, 1), 0.1)
    gaps[0] = np.nan
    gaps[1, 30:] = np.nan

    who = talker(gaps, np.zeros(50), [line(0.0, 2.0)], RATE)

    assert (who[:30] == 1).all() and (who[30:] == -1).all()
