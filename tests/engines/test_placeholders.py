from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubd.engines.placeholders import occurring, shield


@pytest.mark.parametrize(
    "kept",
    [
        "www.example.com/a?b=1",
        "ann@example.org",
        "https://example.org/x_y",
        "@dubd",
        "#dub",
        "H264",
        "mp4",
        "24/7",
        "C++",
    ],
)
def test_what_must_stay_verbatim_is_out_of_reach(kept: str) -> None:
    shielded = shield(f"Please see {kept}, my friend.")
    assert kept not in shielded.text
    assert shielded.restore(shielded.text) == f"Please see {kept}, my friend."


def test_the_longest_term_wins_and_only_whole_words_count() -> None:
    glossary = (("learning", "X"), ("machine learning", "aprendizaje automático"))
    shielded = shield("Machine  learning beats learnings and learning.", glossary)
    assert shielded.restore(shielded.text) == "Aprendizaje automático beats learnings and X."


@pytest.mark.parametrize(
    ("found", "rendered"), [("pear", "pera verde"), ("Pear", "Pera verde"), ("PEAR", "PERA VERDE")]
)
def test_a_rendering_takes_the_case_of_what_it_stands_for(found: str, rendered: str) -> None:
    shielded = shield(f"a {found}", (("pear", "pera verde"),))
    assert shielded.restore(shielded.text) == f"a {rendered}"


def test_an_abbreviations_rendering_is_not_put_in_capitals() -> None:
    terms = (("WHO", "Organización Mundial de la Salud"),)
    shielded = shield("ask the WHO", terms)
    assert shielded.restore(shielded.text) == "ask the Organización Mundial de la Salud"
    assert shielded.between(shielded.text, terms) == "ask the Organización Mundial de la Salud"


def test_names_go_only_where_they_are_written_so() -> None:
    shielded = shield("Tim Cook can cook", names=["Tim Cook"])
    assert shielded.text.endswith("can cook")
    assert not shielded.text.startswith("Tim")


def test_a_lost_or_doubled_stand_in_is_noticed() -> None:
    shielded = shield("see H264 and mp4")
    assert shielded.intact(shielded.text)
    assert not shielded.intact("ver y")
    assert not shielded.intact(shielded.text * 2)


def test_only_terms_in_the_text_occur() -> None:
    pairs = (("pear", "pera"), ("apple", "manzana"))
    assert occurring("An Apple a day, no spear", pairs) == (("apple", "manzana"),)


@given(st.text(alphabet="aB1./@#~^[{ Xqz'bc", max_size=40))
def test_restoring_the_shielded_text_gives_the_text_back(text: str) -> None:
    shielded = shield(text)
    assert shielded.restore(shielded.text) == text
    assert shielded.between(shielded.text) == text
    assert shielded.intact(shielded.text)


def test_a_term_is_a_whole_word_in_scripts_with_vowel_signs_too() -> None:
    pairs = [("ಮನ", "mind"), ("ಮನೆ", "house")]
    assert occurring("ಇದು ಮನೆ.", pairs) == (("ಮನೆ", "house"),)


def test_scripts_without_spaces_have_terms_inside_a_run_of_letters() -> None:
    held = shield("我喜欢苹果手机。", [("苹果", "Apple")])
    assert held.text == "我喜欢xqzbb手机。" and held.restore(held.text) == "我喜欢Apple手机。"


def test_what_only_looks_like_a_stand_in_stays() -> None:
    assert shield("This is my house.").restore("यह मेरा xqzbb है।") == "यह मेरा xqzbb है।"


def test_in_a_language_in_between_a_term_reads_as_it_is_given_there_else_as_it_was() -> None:
    held = shield("Casa y CASA y árbol, X1", [("casa", "maison"), ("árbol", "arbre")])
    assert held.between(held.text) == "Casa y CASA y árbol, X1"
    assert held.between(held.text, [("casa", "house")]) == "House y HOUSE y árbol, X1"
    assert held.restore(held.text) == "Maison y MAISON y arbre, X1"
