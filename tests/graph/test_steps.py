"""Steps: what a rule says of how a stage runs, and what of it is in the key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dubd.engines import registry
from dubd.graph.rule import StageRule
from dubd.graph.steps import Step
from tests.graph.plugin import installed


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
