from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dubd.engines import apertium
from dubd.engines.apertium import Apertium
from dubd.engines.contract import Sentence, Translation
from dubd.media.killed import ProgramKilled

installed = pytest.mark.skipif(Apertium.missing() is not None, reason=f"needs: {Apertium.missing()}")


def spanish(*texts: str, glossary: tuple[tuple[str, str], ...] = ()) -> list[str]:
    made = Apertium().run([Sentence(text, "en", "es", None, glossary) for text in texts])
    assert all(isinstance(one, Translation) for one in made), made
    return [one.text for one in made if isinstance(one, Translation)]


@installed
def test_it_translates_a_batch_in_order() -> None:
    assert spanish("Good morning.", "I am from Barcelona.") == ["Buenos días.", "Soy de Barcelona."]


@installed
def test_numbers_names_and_addresses_survive() -> None:
    kept = ["35", "$20", "10:30", "50%", "ann@example.org", "www.example.com", "Jordi Mas", "H264", "a/b"]
    made = spanish(*(f"We have seen {one} in the house." for one in kept))
    assert [one for one, text in zip(kept, made, strict=True) if one not in text] == []


@installed
def test_numbers_are_written_as_the_target_does() -> None:
    assert spanish("We have 1,000 houses and 3.5 dogs.", "It is 10:30.") == [
        "Tenemos 1.000 casas y 3,5 perros.",
        "Es 10:30.",
    ]
    (address,) = spanish("It is at www.example.com/1,000 and in talk-1.5.")
    assert "www.example.com/1,000" in address


@installed
def test_characters_of_its_stream_format_are_only_text() -> None:
    odd = ["{", "^a$", "\\", "<b>", "~x~", "@", "/", "#1", "[]", ".[][", "Xqzbb"]
    made = spanish(*(part for one in odd for part in (f"The {one} is here.", "Good morning.")))
    assert [one for one, text in zip(odd, made[::2], strict=True) if one not in text] == []
    assert set(made[1::2]) == {"Buenos días."}


@installed
def test_spanish_opens_questions_and_exclamations() -> None:
    assert spanish("Do you speak English? Wow! Yes.") == ["¿Hablas inglés? ¡Uau! Sí."]


@installed
def test_surnames_that_are_common_words_are_not_translated() -> None:
    (text,) = spanish("I saw Mark Baker, Dr. Smith and Tim Cook in the White House.")
    assert all(name in text for name in ("Mark Baker", "Smith", "Tim Cook"))
    assert "Casa Blanca" in text


@installed
def test_names_written_small_are_known() -> None:
    (text,) = spanish("I live in london.")
    assert "Londres" in text


@installed
def test_a_term_of_the_glossary_is_rendered_so() -> None:
    glossary = (("machine learning", "aprendizaje automático"),)
    (text,) = spanish("Machine learning is great.", glossary=glossary)
    assert text.startswith("Aprendizaje automático es")


@installed
def test_capitals_stay_where_a_sentence_begins() -> None:
    assert spanish("Hello and welcome.", "Then we go.") == ["Hola y bienvenido.", "Entonces vamos."]


@installed
def test_nothing_becomes_nothing() -> None:
    assert spanish("", "...", "Good morning.")[::2] == ["", "Buenos días."]


@installed
def test_one_language_that_it_lacks_fails_alone() -> None:
    made = Apertium().run([Sentence("Hi.", "en", "kn"), Sentence("Good morning.", "en", "es")])
    assert isinstance(made[0], ValueError) and "eng-kn" in str(made[0])
    assert made[1] == Translation("Buenos días.")


@installed
def test_a_pivot_is_told() -> None:
    (made,) = Apertium().run([Sentence("Buenos días, Xavier.", "es", "es", "en")])
    assert isinstance(made, Translation)
    assert made.pivot == "Good morning, Xavier."
    assert made.text == "Buenos días, Xavier."


def test_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "apertium-eng-kn" in str(Apertium.refuses("en", "kn"))
    monkeypatch.setattr(apertium, "which", lambda _: None)
    assert Apertium.missing() == "apt-get install apertium-eng-spa"


@pytest.mark.skipif(shutil.which("apertium") is None, reason="needs apertium")
def test_the_revision_is_that_of_the_data(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "apertium-eng-xxx").mkdir()
    data = tmp_path / "apertium-eng-xxx" / "eng-xxx.autobil.bin"
    monkeypatch.setattr(apertium, "_MODES", tmp_path / "modes")
    seen = set()
    for content in (b"1", b"2"):
        data.write_bytes(content)
        apertium._installed.cache_clear()
        seen.add(Apertium.revision())
    apertium._installed.cache_clear()
    assert len(seen) == 2


@pytest.mark.parametrize("which", ["automorf", "autobil", "autogen"])
def test_a_program_of_its_pipeline_that_was_killed_costs_no_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    died, program = tmp_path / "died", tmp_path / "lt-proc"
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *{which}*) [ -e {died} ] || {{ touch {died}; kill -9 $$; }};; esac\n'
        f'exec {shutil.which("lt-proc")} "$@"\n'
    )
    program.chmod(0o755)
    (tmp_path / "apertium-wblank-mode").symlink_to(shutil.which("apertium-wblank-mode") or "")
    monkeypatch.setenv("APERTIUM_PATH", str(tmp_path))
    (made,) = Apertium().run([Sentence("Good morning.", "en", "es")])
    assert died.exists()
    # The script's exit code tells of it or does not: then it is the task that is tried once more.
    assert isinstance(made, ProgramKilled) or (isinstance(made, Translation) and made.text == "Buenos días.")
