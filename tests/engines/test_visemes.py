"""What the dub asks of a mouth."""

from __future__ import annotations

import numpy as np

from dubd.engines import visemes

RATE = 25.0


def tone(seconds: float, loud: list[tuple[float, float]]) -> np.ndarray:
    """A 1 kHz tone that sounds only in the given stretches."""
    at = np.arange(round(seconds * 48000)) / 48000
    on = np.zeros(len(at), bool)
    for start, end in loud:
        on |= (at >= start) & (at < end)
    return (0.3 * np.sin(2 * np.pi * 1000 * at) * on).astype(np.float32)


def test_the_level_is_high_in_sound_and_zero_in_silence() -> None:
    level = visemes.level(tone(2.0, [(0.5, 1.0)]), 50, RATE)

    assert level[14:24].min() > 0.9
    assert level[:10].max() == 0 and level[28:].max() == 0


def test_silence_asks_for_nothing() -> None:
    target = visemes.target(np.zeros(48000, np.float32), [], 25, RATE)

    assert not target.speech.any() and not target.closed.any() and target.open.max() == 0


def test_a_bilabial_closes_the_lips_for_two_frames() -> None:
    line = {"start": 0.2, "end": 1.0, "phonemes": [[0.2, "a"], [0.6, "b"], [0.64, "a"]]}

    target = visemes.target(tone(1.2, [(0.2, 1.0)]), [line], 30, RATE)

    assert target.closed.sum() == 2
    assert abs(np.flatnonzero(target.closed).mean() + 0.5 - 0.6 * RATE) <= 1


def test_an_open_vowel_opens_wider_than_a_close_one() -> None:
    line = {"start": 0.0, "end": 2.0, "phonemes": [[0.0, "u"], [1.0, "a"]]}

    target = visemes.target(tone(2.0, [(0.0, 2.0)]), [line], 50, RATE)

    assert target.open[30:45].mean() > 1.3 * target.open[5:20].mean()
    assert target.width[35] > target.width[10]


def test_a_line_whose_phonemes_are_unknown_follows_its_sound() -> None:
    line = {"start": 0.2, "end": 1.0, "phonemes": []}

    target = visemes.target(tone(1.2, [(0.2, 1.0)]), [line], 30, RATE)

    assert target.open[8:22].min() > 0.8 and not target.closed.any()
