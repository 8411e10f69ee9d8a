from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dubd.engines.apertium import Apertium
from dubd.engines.contract import Engine, Sentence, Translation
from dubd.errors import DubdError
from dubd.stages import translate
from dubd.stages.job import Job


class Reversing(Engine[Sentence, Translation]):
    """Says a text backwards, counts what it was asked, and cannot say "bad"."""

    name = "reversing"
    stage = "translate"
    summary = licence = "test"

    def __init__(self) -> None:
        self.calls: list[list[Sentence]] = []

    def load(self, device: str, params: Any) -> None: ...

    def run(self, batch: Sequence[Sentence]) -> list[Translation | Exception]:
        self.calls.append(list(batch))
        return [
            ValueError("cannot say it") if one.text == "bad" else Translation(one.text[::-1], one.pivot)
            for one in batch
        ]


def job(folder: Path, *texts: str, glossary: Path | None = None, **params: Any) -> Job:
    folder.mkdir(exist_ok=True)
    utterances = [
        {"id": f"000-{n:02d}", "start": n, "end": n + 0.5, "speaker": "S1", "text": text, "confidence": 1, "words": []}
        for n, text in enumerate(texts)
    ]
    transcript = folder / "transcript.json"
    transcript.write_text(json.dumps({"language": "en", "utterances": utterances}))
    inputs = {"transcript": transcript, **({"glossary": glossary} if glossary else {})}
    params = {"source": "en", "pivot": None, "target": "es", **params}
    cache = folder.parent / "cache"
    return Job(folder.name, "translate", inputs, {"translation": folder / "translation.json"}, params, cache=cache)


def lines(one: Job) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = json.loads(one.outputs["translation"].read_text())["utterances"]
    return made


def test_a_batch_is_one_call_and_each_sentence_is_asked_once(tmp_path: Path) -> None:
    engine, jobs = Reversing(), [job(tmp_path / "a", "one", "two"), job(tmp_path / "b", "two", "")]
    outcomes = [outcome for outcome in translate.run(jobs, engine) if isinstance(outcome, dict)]
    assert [outcome["utterances"] for outcome in outcomes] == [2, 2]
    assert not [outcome for outcome in outcomes if "remembered" in outcome]  # one call's own repeats are no memory
    assert [[one.text for one in call] for call in engine.calls] == [["one", "two"]]
    assert [line["text"] for line in lines(jobs[1])] == ["owt", ""]
    assert lines(jobs[0])[0] == {
        "id": "000-00", "start": 0, "end": 0.5, "speaker": "S1", "source": "one", "pivot": None, "text": "eno",
        "alternatives": [],
    }  # fmt: skip


def test_another_video_asks_nothing_again(tmp_path: Path) -> None:
    translate.run([job(tmp_path / "a", "one", "two")], Reversing())
    engine, again = Reversing(), job(tmp_path / "b", "two", "three")
    (outcome,) = translate.run([again], engine)
    assert isinstance(outcome, dict)
    assert outcome["remembered"] == 1
    assert [one.text for one in engine.calls[0]] == ["three"]
    assert [line["text"] for line in lines(again)] == ["owt", "eerht"]


def test_only_terms_that_occur_make_a_new_key(tmp_path: Path) -> None:
    terms = tmp_path / "glossary.csv"
    terms.write_text("pear,pera\n")
    engine = Reversing()
    translate.run([job(tmp_path / "a", "a pear", "an apple")], engine)
    translate.run([job(tmp_path / "b", "a pear", "an apple", glossary=terms)], engine)
    assert [(one.text, one.glossary) for one in engine.calls[1]] == [("a pear", (("pear", "pera"),))]


def test_a_bad_utterance_and_a_bad_file_fail_alone(tmp_path: Path) -> None:
    jobs = [job(tmp_path / "a", "good", "bad"), job(tmp_path / "b", "x"), job(tmp_path / "c", "good")]
    jobs[1].inputs["transcript"].write_text('{"utterances": [\n {"id": 1,}]}')
    bad, broken, good = translate.run(jobs, Reversing())
    assert isinstance(bad, DubdError) and "000-01" in str(bad) and "cannot say it" in str(bad)
    assert isinstance(broken, DubdError) and "line 2" in str(broken) and "transcript.json" in str(broken)
    assert isinstance(good, dict) and lines(jobs[2])[0]["text"] == "doog"


def test_no_utterances_are_no_error(tmp_path: Path) -> None:
    empty, engine = job(tmp_path / "a"), Reversing()
    (outcome,) = translate.run([empty], engine)
    assert isinstance(outcome, dict) and outcome["utterances"] == 0
    assert lines(empty) == [] and engine.calls == []


def test_bytes_are_the_same_with_and_without_the_cache(tmp_path: Path) -> None:
    made = []
    for name in ("a", "b"):
        one = job(tmp_path / name, "one", "two")
        translate.run([one], Reversing())
        made.append(one.outputs["translation"].read_bytes())
    assert made[0] == made[1]


@pytest.mark.skipif(Apertium.missing() is not None, reason=f"needs: {Apertium.missing()}")
def test_a_real_engine_keeps_to_the_glossary(tmp_path: Path) -> None:
    terms = tmp_path / "glossary.csv"
    terms.write_text("source,target\nlip sync,sincronía labial\n")
    one = job(tmp_path / "a", "Lip sync costs $20 in Barcelona.", glossary=terms)
    translate.run([one], Apertium())
    text = lines(one)[0]["text"]
    assert text.startswith("Sincronía labial") and "$20" in text and "Barcelona" in text
