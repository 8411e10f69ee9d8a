"""What a licence's words say about commercial use."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubd.cli.licences import licences, terms
from dubd.graph import needed, rules
from dubd.models.licences import commercial, together


@pytest.mark.parametrize(
    "licence", ["MIT", "Apache-2.0", "GPL-3.0-or-later", "code BSL-1.0, model CC0-1.0", "MIT (code and models)"]
)
def test_it_is_allowed_where_every_part_allows_it(licence: str) -> None:
    assert commercial(licence) is True


@pytest.mark.parametrize(
    "licence",
    ["CC-BY-NC-4.0", "Apache-2.0 (code); weights CC-BY-NC-4.0", "code MIT, weights CPML-1.0", "noncommercial research"],
)
def test_one_part_that_does_not_is_enough(licence: str) -> None:
    assert commercial(licence) is False


@pytest.mark.parametrize("licence", ["Acme-1.0", "MIT, weights Acme-1.0", "see the publisher's page", ""])
def test_what_is_not_in_the_table_is_not_known(licence: str) -> None:
    assert commercial(licence) is None


def test_an_engine_or_model_that_says_so_itself_goes_first() -> None:
    assert commercial("Acme-1.0", True) is True
    assert commercial("MIT", False) is False


def test_the_whole_is_as_free_as_its_least_free_part() -> None:
    assert together([True, None, False]) is False
    assert together([True, None]) is None
    assert together([True, True]) is True
    assert together([]) is True


def test_the_licence_of_every_published_model_is_known() -> None:
    for _, _, _, model in needed.published():
        assert commercial(model.licence, model.commercial) is not None, model.licence


OWN = {"transcribe": "whisper", "translate": "nllb", "speak": "xtts", "lipsync": "wav2lip", "restore": "codeformer"}


def test_of_weights_of_ones_own_the_terms_are_not_known_and_those_of_the_published_do_not_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = "".join(f"  {stage}: {{engine: {engine}, model: /mine/{engine}}}\n" for stage, engine in OWN.items())
    path = tmp_path / "own.yaml"
    path.write_text(f"languages: {{source: en, target: es}}\nstages:\n{stages}")
    rows = terms(rules.load(path, ready=False))
    assert {row["name"]: row["commercial"] for row in rows if row["kind"] == "engine"} == dict.fromkeys(
        ("dlib", *OWN.values()), True
    )
    mine = [f"/mine/{engine}" for engine in OWN.values()]
    assert {row["name"]: row["commercial"] for row in rows if row["kind"] == "model"} == dict.fromkeys(mine)
    licences(str(path))
    whole = capsys.readouterr().out.splitlines()[-1]
    assert whole == f"own as a whole: commercial use: not known ({', '.join(mine)}), as far as the licences say"
    path.write_text(path.read_text().replace("nllb, model: /mine/nllb", "nllb"))
    mixed = {row["name"]: row["commercial"] for row in terms(rules.load(path, ready=False))}
    assert (mixed["nllb"], mixed["nllb/nllb-200-distilled-600M"], mixed["xtts"]) == (False, False, True)


def test_the_default_rule_may_be_used_commercially() -> None:
    rule = rules.load(Path(__file__).parents[2] / "rules" / "lite.yaml", ready=False)
    assert {part["name"]: part["commercial"] for part in terms(rule)} == dict.fromkeys(
        ("pocketsphinx", "apertium", "espeak", "dlib", "mouths", "sharpen"), True
    )
