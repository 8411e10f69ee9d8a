"""What a node lacks, and faults that pass: both bar it, and only the first is a reason to refuse a ticket."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubd.cluster import fitness
from dubd.cluster.agent import unfit
from dubd.cluster.fitness import Fitness
from dubd.cluster.freight import Cargo, Known, Parcel
from dubd.engines.mouths import Mouths
from dubd.models.model import File, Model
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


def test_an_engine_that_was_changed_since_the_node_joined_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    ticket = Ticket("video:000/lipsync", "lipsync", "mouths", {}, {}, {}, {}, revision=Mouths.revision())
    assert unfit(Parcel((ticket,), {}, {})) is None
    monkeypatch.setattr(Mouths, "revision", classmethod(lambda _: "0"))
    assert unfit(Parcel((ticket,), {}, {})) == f"has mouths 0, the head has {ticket.revision}"


def test_a_model_that_came_since_the_node_joined_must_have_the_bytes_of_the_heads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model("maker/weights", (File("w.bin", size=3),), "MIT", "https://maker.example", revision="1")
    ticket = Ticket("v:x", "lipsync", "mouths", {}, {}, {}, {}, models=(model,), revision=Mouths.revision())
    parcels = []
    for machine, data in (("head", "abc"), ("node", "abd"), ("bare", None)):
        monkeypatch.setenv("DUBD_MODELS", str(tmp_path / machine))
        (tmp_path / machine / "maker" / "weights").mkdir(parents=True)
        if data:
            (tmp_path / machine / "maker" / "weights" / "w.bin").write_text(data)
        parcels.append(Cargo().pack([ticket], Known()))
    head = parcels[0]
    assert not parcels[2].models  # a head without the model has nothing to compare
    assert unfit(head) == "lacks the model maker/weights"
    monkeypatch.setenv("DUBD_MODELS", str(tmp_path / "node"))
    assert unfit(head) == "has other bytes than the head in the model maker/weights"
    (tmp_path / "node" / "maker" / "weights" / "w.bin").write_text("abc")
    assert unfit(head) is None
