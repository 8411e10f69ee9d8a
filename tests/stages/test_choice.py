from __future__ import annotations

import pytest

from dubd.engines.contract import Translation
from dubd.stages.choice import best, misfit, seconds, spaces

SHORT, MIDDLE, LONG = "Ja.", "Das geht so nicht.", "Das geht so auf gar keinen Fall weiter."
ALL = Translation(MIDDLE, "no", (LONG, SHORT), (-0.3, -0.4, -0.5))


@pytest.mark.parametrize(("slot", "wanted"), [(0.2, SHORT), (0.9, MIDDLE), (2.1, LONG)])
def test_the_text_is_the_one_that_fits_its_time(slot: float, wanted: str) -> None:
    made = best(ALL, "de", slot, 0.0)
    assert made.text == wanted and made.pivot == "no"
    assert sorted((made.text, *made.alternatives)) == sorted((SHORT, MIDDLE, LONG))


def test_scores_stay_with_their_texts() -> None:
    made = best(ALL, "de", 2.1, 0.0)
    assert dict(zip((made.text, *made.alternatives), made.scores, strict=True)) == {
        MIDDLE: -0.3, LONG: -0.4, SHORT: -0.5,
    }  # fmt: skip


def test_silence_after_it_is_time_too() -> None:
    spoken = seconds(MIDDLE, "de")
    tight = spoken / 1.4
    assert best(ALL, "de", tight, 0.0).text == SHORT or misfit(spoken, tight, 0.0) > 0
    assert best(ALL, "de", tight, 0.5 * tight).text == MIDDLE


def test_what_the_engine_is_much_less_sure_of_is_not_taken_for_its_length() -> None:
    unsure = Translation(LONG, None, (SHORT,), (-0.2, -0.8))
    assert best(unsure, "de", 0.2, 0.0).text == LONG


def test_among_those_that_fit_the_engine_decides() -> None:
    two = Translation("Das geht so nicht.", None, ("So geht das nicht!",), (-0.3, -0.31))
    assert best(two, "de", 0.95, 0.0) == two


def test_without_alternatives_or_time_nothing_changes() -> None:
    alone = Translation("Hola")
    assert best(alone, "es", 0.1, 0.0) is alone and best(ALL, "de", 0.0, 0.0) is ALL


@pytest.mark.parametrize(
    ("text", "language", "spoken"),
    [  # eSpeak NG at its natural rate, s
        ("All human beings are born free and equal in dignity and rights.", "en", 3.4),
        ("सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।", "hi", 5.6),
        ("ಎಲ್ಲಾ ಮಾನವರೂ ಸ್ವತಂತ್ರರಾಗಿಯೇ ಹುಟ್ಟಿದ್ದಾರೆ.", "kn", 3.1),
        ("Tous les êtres humains naissent libres et égaux en dignité et en droits.", "fr", 2.9),
    ],
)
def test_a_text_takes_about_as_long_as_it_is_predicted_to(text: str, language: str, spoken: float) -> None:
    assert seconds(text, language) == pytest.approx(spoken, rel=0.25)


def test_marks_inside_take_time_and_those_at_the_end_none() -> None:
    assert seconds("a, b", "en") == pytest.approx(seconds("ab", "en") + 0.25)
    assert seconds("ab.", "en") == seconds("ab", "en") and seconds("...", "en") == 0.0


def test_the_next_utterance_bounds_the_silence() -> None:
    said = [{"speaker": "S1", "start": 5.0, "end": 6.0}, {"speaker": "S2", "start": 0.0, "end": 2.0}]
    assert [room.spill for room in spaces(said)] == [0.0, 0.5]
    assert spaces([]) == []
