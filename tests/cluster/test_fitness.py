"""What a node lacks, and faults that pass: both bar it, and only the first is a reason to refuse a ticket."""

from __future__ import annotations

import pytest

from dubd.cluster import fitness
from dubd.cluster.fitness import Fitness
from dubd.schedule.ticket import Ticket

KIND = Ticket("video:000/render", "render", None, {}, {}, {}, {}).kind


def test_a_fault_that_may_pass_bars_a_node_and_is_nothing_that_it_lacks() -> None:
    node = Fitness()
    node.bar(KIND, "fails: No space left on device", passing=True)
    assert node.barred() == {KIND: "fails: No space left on device"}
    assert node.lacking() == {}


def test_what_it_lacks_is_both() -> None:
    node = Fitness()
    node.bar(KIND, "lacks the model maker/weights", passing=False)
    assert node.barred() == node.lacking() == {KIND: "lacks the model maker/weights"}


def test_a_node_is_tried_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Fitness()
    node.bar(KIND, "lacks the model maker/weights", passing=False)
    monkeypatch.setattr(fitness, "_AGAIN", 0.0)
    assert node.barred() == {}
