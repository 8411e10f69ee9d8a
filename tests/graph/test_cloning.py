"""Cloning in the graph: one artifact for a video, only with consent, and what each change makes again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dubd.graph import rules
from dubd.graph.report import report
from dubd.graph.steps import Step, steps
from dubd.schedule.ticket import Ticket
from tests.graph.stand import Desk, plan

RULE = """
languages: {source: en, target: es}
stages: {speak: %s}
default: true
consent: %s
"""


def graph(folder: Path, speak: str, consent: bool) -> dict[str, Step]:
    path = folder / "cloning.yaml"
    path.write_text(RULE % (speak, str(consent).lower()), encoding="utf-8")
    rule, faults = rules.check(path, ready=False)
    assert rule is not None, faults
    return {step.name: step for step in steps(rule, plan(2), "source.mp4", None, "talk")}


def test_a_voice_is_cloned_once_for_all_segments(tmp_path: Path) -> None:
    made = graph(tmp_path, "xtts", True)
    assert made["voice"].outputs["references"] == made["clone"].inputs["references"] == "voice/references.npz"
    assert [name for name in made if "clone" in name] == ["clone"]
    for segment in ("000", "001"):
        assert made[f"{segment}/speak"].inputs["latents"] == made["clone"].outputs["latents"]


@pytest.mark.parametrize(
    ("speak", "consent"),
    [("xtts", False), ("{engine: xtts, voice: Ana Florence}", True), ("espeak", True), ("espeak", False)],
)
def test_nothing_is_cloned_without_consent_or_with_an_engines_own_voice(
    tmp_path: Path, speak: str, consent: bool
) -> None:
    made = graph(tmp_path, speak, consent)
    assert "clone" not in made
    assert list(made["voice"].outputs) == ["speakers"]
    assert "latents" not in made["000/speak"].inputs
    assert list(made["000/speak"].params) == ["language", "segment"]


def test_a_clone_without_consent_is_refused_when_the_rule_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rule.yaml"
    path.write_text(RULE % ("{engine: xtts, voice: clone}", "false"), encoding="utf-8")
    (fault,) = rules.check(path, ready=False)[1]
    assert "owner's consent" in str(fault)


def test_consent_given_or_taken_back_makes_the_speech_again(tmp_path: Path) -> None:
    assert graph(tmp_path, "xtts", True)["000/speak"].key != graph(tmp_path, "xtts", False)["000/speak"].key


def test_what_is_cloned_depends_on_the_model(tmp_path: Path) -> None:
    published, own = (graph(tmp_path, speak, True)["clone"].key for speak in ("xtts", "{engine: xtts, model: ./mine}"))
    assert published["engine"]["models"] != own["engine"]["models"]


def test_what_is_cloned_does_not_depend_on_how_lines_are_drawn(tmp_path: Path) -> None:
    plain, other = (graph(tmp_path, f"{{engine: xtts{more}}}", True) for more in ("", ", top_k: 20, retries: 1"))
    assert plain["clone"].key == other["clone"].key
    assert plain["000/speak"].key != other["000/speak"].key


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    mine = tmp_path / "mine"
    mine.mkdir()
    text = RULE % (f"{{engine: xtts, model: {mine}}}", "true")
    (desk.folders.rules / "lite.yaml").write_text(text, encoding="utf-8")
    return desk


def test_a_corrected_line_is_spoken_again_in_its_segment_alone(desk: Desk) -> None:
    assert "clone" in desk.build()
    edited = desk.folder / "segments" / "001" / "translation.json"
    edited.write_text(edited.read_text() + "\n", encoding="utf-8")
    ran = desk.build()
    assert "001/speak" in ran
    assert not {"voice", "clone", "000/speak"} & set(ran)


def test_other_latents_make_all_speech_again(desk: Desk) -> None:
    desk.build()
    (desk.folder / "voice" / "latents.npz").write_text("another voice", encoding="utf-8")
    assert {"000/speak", "001/speak"} <= set(desk.build())


def test_cloning_and_speaking_share_a_worker(desk: Desk) -> None:
    seen: dict[str, Ticket] = {}
    desk.stand.during = lambda ticket: seen.update({ticket.stage: ticket})
    desk.build()
    assert seen["clone"].kind == seen["speak"].kind != seen["translate"].kind


@pytest.mark.parametrize(
    ("speak", "consent", "told"),
    [
        ("xtts", "false", True),
        ("xtts", "true", False),
        ("{engine: xtts, voice: Ana Florence}", "false", False),
        ("espeak", "false", False),
    ],
)
def test_the_report_says_once_that_a_catalogue_voice_speaks_for_lack_of_consent(
    tmp_path: Path, speak: str, consent: str, told: bool
) -> None:
    desk = Desk(tmp_path)
    (desk.folders.rules / "lite.yaml").write_text(RULE % (speak, consent), encoding="utf-8")
    desk.build()
    line = {"speaker": "S1", "text": "", "slot": [0, 1], "start": 0, "end": 1, "tempo": 1, "overrun": 0}
    for segment in ("000", "001"):
        lines = [line | {"id": f"{segment}-01"}, line | {"id": f"{segment}-02"}]
        (desk.folder / "segments" / segment / "speech.json").write_text(json.dumps({"lines": lines}))
        (desk.folder / "segments" / segment / "translation.json").write_text("{}")
        (desk.folder / "segments" / segment / "transcript.json").write_text("{}")
    wanted = ["S1 speaks in a catalogue voice: the rule has no consent: true"]
    assert report(desk.folder)["remarks"] == (wanted if told else [])
