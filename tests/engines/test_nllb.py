from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest

from dubd.engines import nllb
from dubd.engines.contract import Room, Sentence, Translation
from dubd.engines.nllb import Nllb, Search
from dubd.errors import DubdError
from dubd.graph import rules
from dubd.models import store
from dubd.stages import translate
from dubd.stages.job import Job
from tests.engines import tiny_nllb
from tests.engines.tiny_nllb import GREETING, GREETINGS, PHRASES

pytestmark = pytest.mark.skipif(Nllb.missing() is not None, reason=f"needs: {Nllb.missing()}")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_nllb.make(tmp_path_factory.mktemp("models") / "tiny")


def loaded(model: Path, batch: int = 8, precision: str | None = None, **params: Any) -> Nllb:
    engine = Nllb()
    engine.room, engine.precision = Room(batch=batch), precision
    engine.load("cpu", Search(model=str(model), **params))
    return engine


def said(engine: Nllb, *sentences: Sentence) -> list[Translation]:
    made = engine.run(sentences)
    assert all(isinstance(one, Translation) for one in made), made
    return made  # type: ignore[return-value]


def english(text: str, *glossary: tuple[str, str]) -> Sentence:
    return Sentence(text, "en", "hi", None, glossary)


def job(folder: Path, model: Path, *texts: str, slot: float = 2.0, **more: Any) -> Job:
    folder.mkdir()
    utterances = [
        {"id": f"000-{n:02d}", "start": 10.0 * n, "end": 10.0 * n + slot, "speaker": "S1", "text": text}
        for n, text in enumerate(texts)
    ]
    (folder / "transcript.json").write_text(json.dumps({"language": "kn", "utterances": utterances}))
    params = {"source": "kn", "pivot": "en", "target": "hi", "model": str(model), "beams": 4, "alternatives": 3}
    inputs = {"transcript": folder / "transcript.json"}
    if glossary := more.pop("glossary", None):
        (folder / "glossary.csv").write_text(glossary, encoding="utf-8")
        inputs["glossary"] = folder / "glossary.csv"
    outputs = {"translation": folder / "translation.json"}
    return Job(folder.name, "translate", inputs, outputs, {**params, **more}, cache=folder.parent / "cache")


def lines(one: Job) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = json.loads(one.outputs["translation"].read_text())["utterances"]
    return made


def facts(one: Job, engine: Nllb) -> dict[str, Any]:
    (outcome,) = translate.run([one], engine)
    assert isinstance(outcome, dict), outcome
    return outcome


def test_kannada_becomes_hindi_by_way_of_english_in_order_and_the_english_is_kept(model: Path, tmp_path: Path) -> None:
    one = job(tmp_path / "a", model, *(one for one, _, _ in PHRASES), "")
    facts(one, loaded(model))
    assert [(line["pivot"], line["text"]) for line in lines(one)] == [
        *((pivot, hindi) for _, pivot, hindi in PHRASES),
        (None, ""),
    ]


def test_an_utterance_is_translated_sentence_by_sentence(model: Path) -> None:
    (first, second), engine = PHRASES[:2], loaded(model)
    (made,) = said(engine, kannada(f"{first[0]} {second[0]}"))
    assert made.text == f"{first[2]} {second[2]}" and made.pivot == f"{first[1]} {second[1]}"


def test_without_a_pivot_it_is_one_hop(model: Path) -> None:
    (made,) = said(loaded(model), english(PHRASES[1][1]))
    assert (made.text, made.pivot) == (PHRASES[1][2], None)


def test_a_batch_of_one_and_a_batch_of_eight_say_the_same(model: Path) -> None:
    sentences = [kannada(text) for text, _, _ in PHRASES] + [english(GREETING)]
    one, eight = (said(loaded(model, batch), *sentences) for batch in (1, 8))
    assert [made.text for made in one] == [made.text for made in eight]
    assert [made.alternatives for made in one] == [made.alternatives for made in eight]
    for alone, together in zip(one, eight, strict=True):
        assert alone.scores == pytest.approx(together.scores, abs=2e-4)


def watched(engine: Nllb, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The lengths, in tokens, of the sentences in each batch that goes through the network from now on."""
    assert engine._translator is not None
    seen, generate = [], engine._translator._model.generate

    def counted(**asked: Any) -> Any:
        seen.append([int(row) for row in asked["attention_mask"].sum(1)])
        return generate(**asked)

    monkeypatch.setattr(engine._translator._model, "generate", counted)
    return seen


def test_a_batch_of_long_sentences_keeps_within_the_lease_as_one_of_short_ones_does(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_true_size = (0, 24, 1024)
    monkeypatch.setattr(nllb, "_shape", lambda _: of_true_size)
    engine = loaded(model)
    need = Nllb.vram(Search(model=str(model)), "fp32")
    engine.room = Room(mib=need.at(2), batch=8)
    seen = watched(engine, monkeypatch)
    long = " ".join(["greetings"] * 14)
    said(engine, *(english(f"{long} {n}") for n in range(2)), *(english(f"Good {n}") for n in range(6)))
    assert max(seen[0]) > 80 and len(seen[0]) == 1 and max(map(len, seen)) > 2, seen
    for batch in seen:
        taken = len(batch) * nllb._sentence(of_true_size, 4, 4, max(batch))
        assert need.model + need.context + taken <= need.at(2)


def test_no_batch_is_larger_than_the_room_and_none_mixes_long_with_short(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = loaded(model, 3)
    seen = watched(engine, monkeypatch)
    said(engine, *(english(text) for _, text, _ in PHRASES), english(PHRASES[0][1]))
    assert [len(batch) for batch in seen] == [3, 3]  # a sentence that comes twice is asked once
    lengths = [length for batch in seen for length in batch]
    assert lengths == sorted(lengths, reverse=True)


def test_alternatives_are_ranked_and_none_is_the_text(model: Path) -> None:
    (made,) = said(loaded(model), english(GREETING))
    assert set(GREETINGS) <= {made.text, *made.alternatives}
    assert len(made.scores) == 4 and list(made.scores) == sorted(made.scores, reverse=True)
    assert made.text not in made.alternatives and all(score < 0 for score in made.scores)
    (greedy,) = said(loaded(model, beams=1, alternatives=0), english(PHRASES[1][1]))
    assert (greedy.text, greedy.alternatives) == (PHRASES[1][2], ())


@pytest.mark.parametrize(("slot", "wanted"), [(0.6, GREETINGS[0]), (1.6, GREETINGS[1]), (4.2, GREETINGS[2])])
def test_what_is_said_fits_its_time(model: Path, tmp_path: Path, slot: float, wanted: str) -> None:
    one = job(tmp_path / "a", model, GREETING, source="en", pivot=None, slot=slot)
    facts(one, loaded(model))
    (line,) = lines(one)
    assert line["text"] == wanted
    assert wanted not in line["alternatives"] and {wanted, *line["alternatives"]} >= set(GREETINGS)


def test_a_term_that_the_model_copies_is_put_in_its_place(model: Path) -> None:
    (made,) = said(loaded(model), english("This is my house.", ("house", "महल")))
    assert (made.text, made.missed) == ("यह मेरा महल है।", ())


def test_where_the_stand_in_is_lost_a_number_takes_its_place(model: Path) -> None:
    (made,) = said(loaded(model), english("I live in Bangalore.", ("Bangalore", "बेंगलुरु")))
    assert (made.text, made.missed) == ("मैं बेंगलुरु में रहता हूँ।", ())
    assert all("बेंगलुरु" in other and "731" not in other for other in made.alternatives)


def test_where_both_are_lost_the_term_is_replaced_in_what_was_said(model: Path) -> None:
    (made,) = said(loaded(model), english("The weather is nice today.", ("weather", "आबोहवा")))
    assert (made.text, made.missed) == ("आज आबोहवा अच्छा है।", ())


def test_a_term_that_could_not_be_kept_is_told(model: Path, tmp_path: Path) -> None:
    one = job(tmp_path / "a", model, "The weather is nice today.", source="en", pivot=None, glossary="nice,लाजवाब\n")
    assert facts(one, loaded(model))["glossary_missed"] == 1
    assert lines(one)[0]["text"] == "आज मौसम अच्छा है।"


def kannada(text: str, *glossary: tuple[str, str]) -> Sentence:
    return Sentence(text, "kn", "hi", "en", glossary)


def test_a_term_is_kept_over_the_pivot(model: Path) -> None:
    (made,) = said(loaded(model), kannada("ಇದು ನನ್ನ ಮನೆ.", ("ಮನೆ", "महल")))
    assert (made.text, made.pivot, made.missed) == ("यह मेरा महल है।", "This is my ಮನೆ.", ())


def test_in_the_pivots_text_a_term_stands_as_the_glossary_has_it_there(model: Path, tmp_path: Path) -> None:
    terms = "source,target,pivot\nಮನೆ,महल,palace\n"
    one = job(tmp_path / "a", model, "ಇದು ನನ್ನ ಮನೆ.", glossary=terms)
    facts(one, loaded(model))
    (line,) = lines(one)
    assert (line["source"], line["pivot"], line["text"]) == ("ಇದು ನನ್ನ ಮನೆ.", "This is my palace.", "यह मेरा महल है।")


def test_a_term_that_is_lost_after_the_pivot_is_found_by_what_it_became_there(model: Path) -> None:
    (made,) = said(loaded(model), kannada("ಇಂದು ಹವಾಮಾನ ಚೆನ್ನಾಗಿದೆ.", ("ಹವಾಮಾನ", "आबोहवा")))
    assert (made.text, made.missed) == ("आज आबोहवा अच्छा है।", ())


def test_an_utterance_that_is_nothing_but_a_term_needs_no_model() -> None:
    assert said(Nllb(), kannada("ಧನ್ಯವಾದಗಳು.", ("ಧನ್ಯವಾದಗಳು", "शुक्रिया")))[0].text == "शुक्रिया."


def test_what_holds_no_words_is_left_as_it_is(model: Path) -> None:
    assert said(loaded(model), english("... ?"))[0].text == "... ?"


def test_a_text_that_goes_round_in_circles_is_said_again(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = loaded(model)
    seen = watched(engine, monkeypatch)
    (made,) = said(
        engine,
        english(tiny_nllb.LOOP[0]),
    )
    assert len(seen) == 2 and made.text and made.text.count("तो") < 4
    from dubd.engines.nllb_model import circle

    assert circle([5, 1, 2, 1, 2, 1, 2, 1, 2], [7, 8]) == 3
    assert circle([5, 1, 2, 1, 2, 1, 2], [7, 8]) is None
    assert circle([1, 1, 1, 1, 1], [9, 9, 9, 9]) is None  # the source says it over and over too
    assert circle(list(range(40)), [7]) == 22  # far longer than any translation
    assert circle(list(range(22)), [7]) == 22  # stopped by the limit, as a text is that goes through alone
    assert circle(list(range(21)), [7]) is None


def test_a_text_without_an_end_is_said_again_whatever_goes_through_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny_nllb, "LOOP", ("Hm.", " ".join((*(three for *_, three in PHRASES), *GREETINGS))))
    engine = loaded(tiny_nllb.make(tmp_path / "endless"))
    long = english(" ".join(two for _, two, _ in PHRASES).replace("?", ",").replace(".", ","))
    seen = watched(engine, monkeypatch)

    said(engine, english("Hm."))
    alone = len(seen)
    said(engine, english("Hm."), long)

    assert alone == 2 and len(seen) == 4


def test_a_sentence_too_long_for_the_model_is_taken_in_parts(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = loaded(model, beams=1, alternatives=0)
    seen = watched(engine, monkeypatch)
    (made,) = said(engine, english("you and " * 150 + "me."))
    assert made.text and len(seen[0]) >= 2 and max(map(max, seen)) <= 400 < sum(seen[0])


def test_another_video_asks_no_model_for_what_was_said_before(model: Path, tmp_path: Path) -> None:
    first = job(tmp_path / "a", model, PHRASES[0][0], PHRASES[1][0])
    facts(first, loaded(model))
    moved = shutil.copytree(model, tmp_path / "elsewhere")
    again = job(tmp_path / "b", moved, PHRASES[1][0], PHRASES[0][0])
    facts(again, Nllb())  # has loaded nothing, so could not answer
    assert [line["text"] for line in lines(again)] == [PHRASES[1][2], PHRASES[0][2]]
    assert lines(again)[1]["alternatives"] == lines(first)[0]["alternatives"]


@pytest.mark.parametrize("change", ["model", "beams", "precision"])
def test_another_model_or_search_does_not_take_what_this_one_said(model: Path, tmp_path: Path, change: str) -> None:
    facts(job(tmp_path / "a", model, PHRASES[0][0]), loaded(model))
    other, engine = shutil.copytree(model, tmp_path / "other"), Nllb()
    if change == "model":
        (other / "config.json").write_text((other / "config.json").read_text() + "\n")
    engine.precision = "bf16" if change == "precision" else None
    again = job(tmp_path / "b", other, PHRASES[0][0], beams=5 if change == "beams" else 4)
    with pytest.raises(AssertionError, match="load comes first"):
        translate.run([again], engine)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_says_the_same(model: Path, precision: str) -> None:
    assert said(loaded(model, precision=precision), english(PHRASES[4][1]))[0].text == PHRASES[4][2]


def test_int8_is_refused(model: Path) -> None:
    with pytest.raises(DubdError, match="nllb does not run in int8; precision: fp32, fp16, bf16"):
        loaded(model, precision="int8")


def test_a_language_that_it_has_not_is_refused_when_the_rule_is_read(model: Path, tmp_path: Path) -> None:
    rule = tmp_path / "odd.yaml"
    rule.write_text(
        "languages: {source: en, target: xh-Arab}\n"
        f"stages: {{translate: {{engine: nllb, model: {model}}}, lipsync: none, restore: none}}\n"
    )
    _, faults = rules.check(rule, ready=False)
    assert any("nllb has no 'xh-Arab'; did you mean xho_Latn?" in str(fault) for fault in faults)


def test_a_language_that_the_tokenizer_lacks_is_refused(model: Path) -> None:
    engine = loaded(model)
    assert engine._translator is not None
    with pytest.raises(ValueError, match="tiny has no language xyz_Latn"):
        engine._translator.translate(["Hi."], "eng_Latn", "xyz_Latn", 1, 1, lambda _: 1)


def test_a_model_may_be_named_as_its_publisher_does() -> None:
    bare, full = (Nllb.models(Search(model=f"{prefix}nllb-200-distilled-600M")) for prefix in ("", "facebook/"))
    assert bare == full and store.identity(bare[0]).startswith("nllb/nllb-200-distilled-600M@f8d333a")
    with pytest.raises(ValueError, match="did you mean nllb-200-distilled-600M"):
        Nllb.models(Search(model="nllb-200-distiled-600M"))


@pytest.mark.parametrize("wrong", [{"beams": 0}, {"beams": 2, "alternatives": 2}, {"alternatives": -1}])
def test_a_search_that_cannot_be_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"between 1 and 16|fewer than"):
        Search(**wrong)


def test_the_estimate_follows_parameters_precision_and_beams(model: Path) -> None:
    small, large = Search(), Search(model="nllb-200-distilled-1.3B")
    assert Nllb.vram(small, "fp32").model == pytest.approx(615.07e6 * 4 / 2**20, abs=257)
    assert Nllb.vram(small, "fp16").model < Nllb.vram(small, "fp32").model < Nllb.vram(large, "fp32").model
    assert Nllb.vram(Search(beams=8), "fp16").per_item > Nllb.vram(small, "fp16").per_item
    assert Nllb.vram(Search(model=str(model)), "fp32").model < 300


def test_weights_that_are_there_in_two_forms_are_counted_once(model: Path, tmp_path: Path) -> None:
    both = shutil.copytree(model, tmp_path / "both")
    shutil.copy(both / "model.safetensors", both / "pytorch_model.bin")
    assert Nllb.vram(Search(model=str(both)), "fp32") == Nllb.vram(Search(model=str(model)), "fp32")


class Malice:
    def __reduce__(self) -> Any:
        return print, ("run",)


def broken(folder: Path, fault: str) -> None:
    """Spoil a copy of the model."""
    import torch

    weights, config = folder / "model.safetensors", folder / "config.json"
    if fault == "cut short":
        weights.write_bytes(weights.read_bytes()[:-1000])
    elif fault == "malicious":
        weights.unlink()
        torch.save({"x": Malice()}, folder / "pytorch_model.bin")
    elif fault == "old and malicious":
        weights.unlink()
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"x": Malice()}))
    elif fault == "another model":
        config.write_text(json.dumps({**json.loads(config.read_text()), "model_type": "bert"}))
    elif fault == "another shape":
        config.write_text(json.dumps({**json.loads(config.read_text()), "d_model": 32}))
    elif fault == "more layers":
        config.write_text(json.dumps({**json.loads(config.read_text()), "decoder_layers": 3}))
    elif fault == "no tokenizer":
        for name in ("tokenizer.json", "sentencepiece.bpe.model"):
            (folder / name).unlink()
    elif fault == "broken tokenizer":
        (folder / "tokenizer.json").write_text("{")
    elif fault == "no weights":
        weights.unlink()
    elif fault == "no json":
        config.write_bytes(b"\x80PK")
    elif fault == "empty":
        for file in folder.iterdir():
            file.unlink()
    elif fault == "nothing":
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("cut short", "weights cannot be read: cut short"),
        ("malicious", "wants to run print: it is not only weights"),
        ("old and malicious", "pytorch_model.bin: translate: .*(wants to run|a raw pickle)"),
        ("another model", "of the kind 'bert', not NLLB's"),
        ("another shape", "cannot be read: cut short, or of another shape"),
        ("more layers", "its weights lack model.decoder.layers.1"),
        ("no tokenizer", r"no tokenizer \(tokenizer.json, sentencepiece.bpe.model\) in it"),
        ("broken tokenizer", "its tokenizer cannot be read"),
        ("no weights", r"no weights \(model.safetensors, pytorch_model.bin\) in it"),
        ("no json", "config.json: translate: not a model's configuration"),
        ("empty", "no config.json and no tokenizer .* and no weights .* in it"),
        ("nothing", "no folder of a model there"),
    ],
)
def test_a_folder_that_is_no_whole_model_is_refused_in_a_line(
    model: Path, tmp_path: Path, fault: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(model, tmp_path / "spoilt")
    broken(folder, fault)
    with pytest.raises(DubdError, match=told) as error:
        loaded(folder)
    assert "\n" not in str(error.value) and str(folder) in str(error.value) and error.value.remedy
    assert "run" not in capsys.readouterr().out


def test_another_release_of_its_library_translates_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Nllb.revision()
    monkeypatch.setattr("dubd.engines.nllb.version", lambda _: "99.0")
    assert Nllb.revision() != before


@pytest.mark.parametrize(
    "config", ["[]", "[" * 100_000, '{"decoder_layers": 1e999, "d_model": 8}', '{"decoder_layers": -2, "d_model": 8}']
)
def test_a_configuration_that_is_none_fails_no_rule(tmp_path: Path, config: str) -> None:
    (tmp_path / "config.json").write_text(config)
    assert Nllb.vram(Search(model=str(tmp_path)), None) == Nllb.vram(Search(), None)
