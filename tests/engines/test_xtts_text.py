"""xtts_text, xtts_voices: codes, limits, signs, and which voice of the catalogue stands for whom."""

from __future__ import annotations

import pytest

from dubd.engines import xtts_text, xtts_voices


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("hi", "hi"),
        ("pt-BR", "pt"),
        ("zh", "zh-cn"),
        ("zh-Hans", "zh-cn"),
        ("es-419", "es"),
        ("kn", None),
        ("ta", None),
    ],
)
def test_regions_are_left_out_and_what_it_lacks_has_no_code(language: str, code: str | None) -> None:
    assert xtts_text.code(language) == code


def test_rupees_quotes_and_other_digits_become_what_the_librarys_cleaners_know() -> None:
    assert xtts_text.readable("“₹500” — it’s ٢٥…", "en") == '"500 rupees" — it\'s 25...'
    assert xtts_text.readable("₹५०० का", "hi") == "पाँच सौ रुपये का"


def test_every_language_has_a_word_for_rupees() -> None:
    for language in xtts_text.LIMITS:
        assert "₹" not in xtts_text.readable("₹500", language)


def test_there_are_58_voices_and_each_once() -> None:
    assert len(xtts_voices.VOICES) == len(set(xtts_voices.VOICES)) == 58


def test_a_speaker_gets_a_voice_of_like_pitch_and_always_the_same() -> None:
    assert xtts_voices.alike(110.0, 0, xtts_voices.VOICES) in xtts_voices.MEN
    assert xtts_voices.alike(210.0, 0, xtts_voices.VOICES) in xtts_voices.WOMEN
    voices = [xtts_voices.alike(110.0, number, xtts_voices.VOICES) for number in range(8)]
    assert len(set(voices)) == 8
    assert voices == [xtts_voices.alike(110.0, number, xtts_voices.VOICES) for number in range(8)]


def test_a_catalogue_of_other_names_is_used_in_order() -> None:
    assert [xtts_voices.alike(110.0, number, {"B": 0, "A": 0}) for number in range(3)] == ["A", "B", "A"]
