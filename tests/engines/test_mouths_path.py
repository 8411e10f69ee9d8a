"""The choice of mouths."""

from __future__ import annotations

import numpy as np

from dubd.engines import mouths_path
from dubd.engines.visemes import MouthTarget
from tests.engines.faces_drawn import speaker

RATE = 25.0


def asked(openness: np.ndarray, closed: tuple[int, ...] = ()) -> MouthTarget:
    shut = np.zeros(len(openness), bool)
    shut[list(closed)] = True
    return MouthTarget(openness > 0, openness, np.full(len(openness), 0.5), shut)


def test_the_chosen_mouths_follow_what_is_asked() -> None:
    shape = speaker(0.1 + 0.1 * np.sin(np.arange(200) * 0.37))
    openness = 0.5 + 0.5 * np.sin(np.arange(60) * 0.5)

    path = mouths_path.choose(shape, np.arange(200), np.arange(60), asked(openness), RATE)

    got = shape.gap[path.chosen] + path.bend
    assert np.corrcoef(path.wanted, got)[0, 1] > 0.95
    assert np.corrcoef(openness, got)[0, 1] > 0.9


def test_lips_meet_where_they_must() -> None:
    shape = speaker(0.1 + 0.1 * np.sin(np.arange(200) * 0.37))
    path = mouths_path.choose(shape, np.arange(200), np.arange(40), asked(np.full(40, 0.9), (20, 21)), RATE)

    got = shape.gap[path.chosen] + path.bend
    assert got[20:22].max() < 0.03
    assert got[10:16].min() > 0.1


def test_a_library_is_bounded_spread_and_without_turned_heads() -> None:
    shape = speaker(np.full(100, 0.1))
    shape.yaw[:50] = 50.0

    members = mouths_path.library(shape, 10)

    assert len(members) == 10 and members.min() >= 50 and members.max() == 99
