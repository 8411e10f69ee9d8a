"""rules/kannada-hindi.yaml over the shipped sample, with a tiny checkpoint in the place of each published one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml

from dubd.media.patches import PatchReader
from tests.engines import tiny_codeformer, tiny_nllb, tiny_wav2lip, tiny_whisper, tiny_xtts

from .conftest import Home, tasks

RULE = Path(__file__).parents[2] / "rules" / "kannada-hindi.yaml"
SAID = ((0.9, 1.9, "ಇದು ನನ್ನ ಮನೆ."),)  # whoever speaks: the recogniser's weights are set by hand
HOUSE = {"source": "ಇದು ನನ್ನ ಮನೆ.", "pivot": "This is my house.", "text": "यह मेरा घर है।"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The rule as it is shipped, but for its models, two short segments, and the speaker's consent."""
    root = tmp_path_factory.mktemp("stack") / "home"
    for name in ("inbox", "workspace", "rules", "models"):
        (root / name).mkdir(parents=True)
    made = root / "models"
    rule: dict[str, Any] = yaml.safe_load(RULE.read_text("utf-8"))
    stages = rule["stages"]
    stages["transcribe"]["model"] = str(tiny_whisper.make(made, SAID))
    stages["translate"]["model"] = str(tiny_nllb.make(made / "nllb"))
    stages["speak"]["model"] = str(tiny_xtts.make(made / "xtts"))
    stages["lipsync"]["model"] = str(tiny_wav2lip.make(made / "wav2lip"))
    stages["restore"]["model"] = str(tiny_codeformer.make(made))
    rule |= {"consent": True, "default": True, "segments": {"target": 3.5, "min": 3, "max": 5}}
    rule["clip"] = {"start": 0, "duration": 6.8}
    (root / "rules" / RULE.name).write_text(yaml.safe_dump(rule, allow_unicode=True), encoding="utf-8")
    return Home(root)


@pytest.fixture(scope="module")
def ran(home: Home, talking_head: Path) -> Iterator[dict[str, dict[str, Any]]]:
    """What the first run did, task by task."""
    done = run(home, talking_head)
    assert done.returncode == 0, done.stdout + done.stderr
    yield tasks(done.stdout)


def run(home: Home, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dubd", "run", *map(str, words), "--json"]
    return subprocess.run(command, env={**os.environ, **home.environ}, cwd="/", capture_output=True, text=True)


def segments(home: Home) -> list[Path]:
    (video,) = home.videos()
    return sorted((video / "segments").iterdir())


def lines(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["utterances"]
    return found


def test_every_stage_ran_with_the_engine_that_the_rule_names(home: Home, ran: dict[str, dict[str, Any]]) -> None:
    (video,) = home.videos()
    told = json.loads((video / "report.json").read_text("utf-8"))
    engines = {"whisper", "nllb", "xtts", "dlib", "wav2lip", "codeformer"}
    assert {one["name"] for one in told["engines"].values()} == engines
    assert {"clone", "000/restore", "001/restore", "assemble"} <= ran.keys()


def test_what_was_heard_is_said_in_hindi_by_way_of_english(home: Home, ran: dict[str, dict[str, Any]]) -> None:
    del ran
    for segment in segments(home):
        (heard,) = lines(segment / "transcript.json")
        assert heard["text"] == HOUSE["source"]
        (line,) = lines(segment / "translation.json")
        assert {name: line[name] for name in HOUSE} == HOUSE
        speech, rate = soundfile.read(segment / "speech.wav")
        inside = speech[round((heard["start"] - segment_start(home, segment)) * rate) :]
        assert float(np.abs(inside[: rate // 2]).max()) > 0.01


def segment_start(home: Home, segment: Path) -> float:
    (video,) = home.videos()
    plan = json.loads((video / "plan.json").read_text("utf-8"))
    return float(next(one["start"] for one in plan["segments"] if one["id"] == segment.name))


def test_the_voice_is_taken_once_and_the_lips_and_faces_are_changed_where_it_speaks(
    home: Home, ran: dict[str, dict[str, Any]]
) -> None:
    assert [name for name in ran if name == "clone" or name.endswith("/clone")] == ["clone"]
    for segment in segments(home):
        synced = PatchReader(segment / "lipsync" / "patches.mkv", segment / "lipsync" / "geometry.npz")
        restored = PatchReader(segment / "restore" / "patches.mkv", segment / "restore" / "geometry.npz")
        assert len(synced) == len(restored) > 10
        assert restored.mode == f"{synced.mode}+codeformer"


def test_an_edited_line_is_spoken_again_and_no_other(home: Home, ran: dict[str, dict[str, Any]]) -> None:
    del ran
    text = segments(home)[1] / "translation.json"
    edited = json.loads(text.read_text("utf-8"))
    edited["utterances"][0]["text"] = "यह मेरा नया घर है।"
    text.write_text(json.dumps(edited, ensure_ascii=False), encoding="utf-8")
    (video,) = home.videos()
    done = run(home, video)
    assert done.returncode == 0, done.stdout + done.stderr
    again = {name for name, line in tasks(done.stdout).items() if line["state"] == "ran" and line["stage"] != "video"}
    assert again == {"001/speak", "001/lipsync", "001/restore", "001/render", "assemble"}
