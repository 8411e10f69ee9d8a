from __future__ import annotations

import pytest

from dubd.engines.sentences import halves, joined, split


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("He left! Did he? Yes.", ["He left!", "Did he?", "Yes."]),
        ("No. I will not.", ["No.", "I will not."]),
        ("यह घर है। मैं यहाँ हूँ।ठीक?", ["यह घर है।", "मैं यहाँ हूँ।", "ठीक?"]),
        ("ಇದು ನನ್ನ ಮನೆ. ಧನ್ಯವಾದಗಳು.", ["ಇದು ನನ್ನ ಮನೆ.", "ಧನ್ಯವಾದಗಳು."]),
        ("你好。我很好！「真的？」是的。", ["你好。", "我很好！", "「真的？」", "是的。"]),
        ("ماذا؟ نعم. لا", ["ماذا؟", "نعم.", "لا"]),
        ("یہ گھر ہے۔ شکریہ۔", ["یہ گھر ہے۔", "شکریہ۔"]),
        ("What?! Really…? Yes", ["What?!", "Really…?", "Yes"]),
    ],
)
def test_every_script_ends_its_sentences_in_its_own_way(text: str, wanted: list[str]) -> None:
    assert split(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "Dr. Smith paid 3.5 dollars at 5 p.m. on Monday",
        "J. R. R. Tolkien wrote it, e.g. in No. 7 of St. Giles",
        "She said... well, nothing",
        "Vea la pág. 12 de la Sra. Ruiz",
        "visit example.com today",
        "",
    ],
)
def test_abbreviations_decimals_initials_and_pauses_end_none(text: str) -> None:
    assert split(text) == [text] * bool(text)


def test_a_closing_quote_belongs_to_its_sentence() -> None:
    assert split('He said "Go." She went. (Far.) Then?') == ['He said "Go."', "She went.", "(Far.)", "Then?"]


def test_chinese_and_japanese_are_joined_without_a_space() -> None:
    assert joined(["你好。", "谢谢。"], "zh-Hant") == "你好。谢谢。" == joined(["你好。", "谢谢。"], "zho_Hant")
    assert joined(["ನಮಸ್ಕಾರ.", "", " ಧನ್ಯವಾದ."], "kn") == "ನಮಸ್ಕಾರ. ಧನ್ಯವಾದ."


def test_a_long_text_is_cut_at_the_clause_nearest_its_middle() -> None:
    assert halves("one two three, four five six seven") == ("one two three,", "four five six seven")
    assert halves("one two three four") == ("one two", "three four")
    assert halves("abcdefgh") == ("abcd", "efgh")
