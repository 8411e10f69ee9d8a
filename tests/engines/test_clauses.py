"""clauses: texts that are too long, parted where a speaker would breathe."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from dubd.engines.clauses import split

HINDI = "पहले हम नींव रखते हैं, फिर दीवारें उठाते हैं; और अंत में छत डालते हैं। यह काम आसान नहीं है लेकिन मेहनत से सब कुछ संभव है।"


def texts(text: str, most: int) -> list[str]:
    return [piece.text for piece in split(text, most)]


def test_a_text_that_fits_is_said_in_one_go() -> None:
    assert texts("One. Two. Three.", 20) == ["One. Two. Three."]


def test_sentences_part_first() -> None:
    assert texts(HINDI, 90) == [HINDI[: HINDI.index("।") + 1], HINDI[HINDI.index("।") + 2 :]]


def test_then_clauses_and_then_conjunctions() -> None:
    assert texts(HINDI, 50) == [
        "पहले हम नींव रखते हैं, फिर दीवारें उठाते हैं;",
        "और अंत में छत डालते हैं।",
        "यह काम आसान नहीं है लेकिन मेहनत से सब कुछ संभव है।",
    ]
    assert texts("we went home because it was late", 20) == ["we went home", "because it was late"]


def test_pauses_are_as_long_as_the_mark_asks_for() -> None:
    assert [piece.pause for piece in split(HINDI, 50)] == [0.25, 0.35, 0.0]
    assert [piece.pause for piece in split("first this, then that", 12)] == [0.15, 0.0]


def test_a_decimal_number_is_no_sentence_end() -> None:
    assert all("3.14" in piece or "3" not in piece for piece in texts("the number is 3.14 and no more of it", 20))


def test_a_script_without_spaces_parts_at_its_own_marks() -> None:
    assert texts("今天天气很好。我们去公园吧，好不好？", 12) == ["今天天气很好。", "我们去公园吧，好不好？"]


def test_a_word_is_cut_only_where_nothing_else_helps_and_never_from_its_signs() -> None:
    pieces = texts("क्षत्रियाणांसमूहेषुनिश्चितम्" * 4, 20)
    assert "".join(pieces) == "क्षत्रियाणांसमूहेषुनिश्चितम्" * 4
    assert not any(unicodedata.category(piece[0]).startswith("M") for piece in pieces)


def test_nothing_is_no_piece() -> None:
    assert split("  ", 10) == []


@given(st.text(alphabet="ab क्षि.,;!?।— 漢。、\n", max_size=200), st.integers(8, 60))
def test_no_piece_is_too_long_and_no_letter_is_lost(text: str, most: int) -> None:
    pieces = split(text, most)
    assert all(0 < len(piece.text) <= most for piece in pieces)
    assert "".join("".join(piece.text.split()) for piece in pieces) == "".join(text.split())
