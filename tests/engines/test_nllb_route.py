"""Sentences on their way through a model that keeps no stand-in and no number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dubd.engines.contract import Sentence, Translation
from dubd.engines.nllb_route import Ask, Rendering, through


def model(says: Mapping[str, Mapping[str, str]]) -> Ask:
    """What it says in each language; of anything else it makes nothing, so stand-ins and numbers are lost."""

    def ask(texts: Sequence[str], source: str, target: str, best: int) -> list[list[Rendering]]:  # noqa: ARG001
        return [[Rendering(says[target].get(text, "..."))] for text in texts]

    return ask


def english(text: str, *glossary: tuple[str, str]) -> Sentence:
    return Sentence(text, "en", "es", None, glossary)


def spanish(says: Mapping[str, str], text: str, *glossary: tuple[str, str]) -> Translation:
    (made,) = through([english(text, *glossary)], ("en", "es"), model({"es": says}), 0)
    return made


def test_a_lost_term_is_replaced_by_what_it_became_alone() -> None:
    says = {"the mouse bites": "el ratón muerde", "mouse": "Ratón."}
    made = spanish(says, "the mouse bites", ("mouse", "roedor"))
    assert (made.text, made.missed) == ("el roedor muerde", ())


def test_what_only_holds_the_letters_of_a_lost_term_is_left_alone() -> None:
    says = {"the sun of Santa Fe": "el sol de Santa Fe, sola", "sun": "sol"}
    assert spanish(says, "the sun of Santa Fe", ("sun", "astro")).text == "el astro de Santa Fe, sola"
    says = {"the sun of Santa Fe": "el consolado", "sun": "sol"}
    made = spanish(says, "the sun of Santa Fe", ("sun", "astro"))
    assert (made.text, made.missed) == ("el consolado", ("sun",))


def test_the_glossarys_word_of_the_pivot_is_taken_where_it_is_the_sources_too() -> None:
    english = {"Xqzbb ಹೇಳಿತು": "Xqzbb said", "NASA": "Nassau"}
    spanish = {"NASA said": "NASA dijo", "NASA": "NASA", "Nassau said": "Nassau dijo", "Nassau": "Bahamas"}
    one = Sentence("NASA ಹೇಳಿತು", "kn", "es", "en", (("NASA", "la NASA"),), (("NASA", "NASA"),))
    (made,) = through([one], ("kn", "en", "es"), model({"en": english, "es": spanish}), 0)
    assert (made.text, made.pivot, made.missed) == ("la NASA dijo", "NASA said", ())
