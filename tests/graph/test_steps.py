"""Steps: what a rule says of how a stage runs, and what of it is in the key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import make_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from dubd.engines import registry
from dubd.graph.rule import StageRule
from dubd.graph.steps import Step
from dubd.graph.tasks import VideoTasks
from tests.graph.plugin import installed
from tests.graph.stand import Desk, plan


@pytest.fixture(autouse=True)
def _engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed(tmp_path_factory.mktemp("plugin")):
        yield


def step(workers: int | None = None) -> Step:
    return Step("speak", "speak", {}, {}, {}, rule=StageRule(engine="say", workers=workers))


def test_the_workers_of_a_card_are_the_rules_or_else_the_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    assert step().parallel == 1
    monkeypatch.setattr(registry.find("speak", "say"), "parallel", 3)
    assert (step().parallel, step(2).parallel) == (3, 2)


def test_how_many_workers_there_are_is_in_no_key() -> None:
    assert step().key == step(2).key


def test_a_parameter_of_an_engine_never_replaces_the_stages_own_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path)
    video = desk.claim()
    speak = video.rule.stages.speak
    named = make_dataclass("Named", [("language", str, "xx"), *((one, Any, None) for one in speak.params)], frozen=True)
    monkeypatch.setattr(registry.find("speak", speak.engine), "Params", named)
    stages = video.rule.stages.model_copy(
        update={"speak": speak.model_copy(update={"params": {**speak.params, "language": "xx"}})}
    )
    (video.folder / "plan.json").write_text(json.dumps(plan(1)), encoding="utf-8")
    tasks = VideoTasks(replace(video, rule=video.rule.model_copy(update={"stages": stages})))
    (said,) = (task.meta["ticket"] for task in tasks.rest() if task.meta and task.meta["ticket"].stage == "speak")
    assert said.params["language"] == "es"
    assert said.engine_params["language"] == "xx"
