"""Who is in the cluster, without one: Ray's list of nodes and the agents are plain objects here."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import GetTimeoutError, RayActorError

from dubd.cluster import roster as module
from dubd.cluster.agent import Look
from dubd.cluster.fitness import Fitness
from dubd.cluster.member import Lost
from dubd.cluster.roster import Roster
from dubd.cluster.standing import STANDING, standing
from tests.schedule.cards import wait_until


class Node:
    """Answers as an agent does, or as the test says."""

    silent = False  # does not answer when it joins
    made: list[Node]

    def __init__(self, node: dict[str, Any], name: str) -> None:
        self.id, self.name, self.address, self.slots, self.busy = node["NodeID"], name, "10.0.0.2", 1, 0
        self.look, self.fitness, self.videos = Look((), (), (), None), Fitness(), Counter[str]()
        self.answered, self.lost, self.ended = time.monotonic(), threading.Event(), False
        self.fault: Exception | None = None
        self.asked: list[float] = []
        self.versions_answer: dict[str, dict[str, str]] = {}
        Node.made.append(self)

    def versions(self) -> dict[str, dict[str, str]]:
        if self.silent and self.lost.wait(30):
            raise Lost(self.name)
        return self.versions_answer

    def cards(self) -> tuple[()]:
        return ()

    def pulse(self, seconds: float = 10.0) -> None:
        self.asked.append(seconds)
        if self.lost.is_set():
            raise Lost(self.name)
        if self.fault:
            raise self.fault
        self.answered = time.monotonic()

    def close(self) -> None:
        self.lost.set()
        self.ended = True

    forsake = close


_followed: list[Roster] = []


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """The ids of the nodes that Ray tells of; whoever follows them is closed, or would meet Ray itself afterwards."""
    (tmp_path / ".log").mkdir()
    ids = ["head", "box"]

    def nodes() -> list[dict[str, Any]]:
        return [{"NodeID": ident, "NodeManagerHostname": ident, "Alive": True} for ident in ids]

    context = SimpleNamespace(get_node_id=lambda: "head")
    monkeypatch.setattr(module, "ray", SimpleNamespace(nodes=nodes, get_runtime_context=lambda: context))
    monkeypatch.setattr(module, "versions", dict)
    monkeypatch.setattr(module, "Member", Node)
    monkeypatch.setattr(module, "_EVERY", 0.05)
    monkeypatch.setattr(Node, "made", [], raising=False)
    yield ids
    while _followed:
        _followed.pop().close()


def follow(folder: Path, shared: Path | None = None) -> Roster:
    roster = Roster(folder / ".log", shared)
    _followed.append(roster)
    assert wait_until(lambda: len(Node.made) == 1)
    return roster


@pytest.mark.usefixtures("there")
def test_the_end_does_not_wait_for_a_node_that_is_joining_and_leaves_no_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Node, "silent", True)
    roster = follow(tmp_path)
    began = time.monotonic()
    roster.close()
    assert time.monotonic() - began < 5
    assert [node.ended for node in Node.made] == [True]
    assert not roster.members


def test_a_node_that_was_lost_is_forgotten_after_a_while_though_nobody_asks(
    there: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    roster = follow(tmp_path)
    assert wait_until(lambda: len(roster.members) == 1)
    there.remove("box")
    assert wait_until(lambda: [node["state"] for node in standing(tmp_path / ".log")] == ["lost"])
    assert wait_until(lambda: not roster._gone, 3)


@pytest.mark.usefixtures("there")
def test_a_node_whose_agent_has_ended_joins_anew_and_is_compared_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    roster = follow(tmp_path)
    assert wait_until(lambda: len(roster.members) == 1)
    roster._ours = {"code": {"dubd": "0000"}}
    Node.made[0].lost.set()  # as soon as any call to it has told so
    with caplog.at_level(logging.WARNING):
        assert wait_until(lambda: len(Node.made) == 2 and len(roster.members) == 1)
    assert Node.made[0].ended
    assert roster.members == [Node.made[1]]
    assert not roster.gone  # the same machine is here again


@pytest.mark.usefixtures("there")
def test_a_node_that_was_just_lost_is_not_called_refused_because_ray_has_not_noticed_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def dead(_: Node) -> None:
        raise RayActorError

    roster = follow(tmp_path)
    assert wait_until(lambda: len(roster.members) == 1)
    monkeypatch.setattr(Node, "versions", dead)
    Node.made[0].lost.set()
    assert wait_until(lambda: len(Node.made) > 3)  # it is tried again and again: it may come back
    assert not roster.refused
    assert [node["state"] for node in standing(tmp_path / ".log")] == ["lost"]
    assert [line.split(",")[0] for line in caplog.messages] == ["the node box is lost"]
    monkeypatch.setattr(module, "_DECLARED", 0.0)
    assert wait_until(lambda: bool(roster.refused))


def halted(folder: Path) -> Roster:
    """With one node, and without turns of its own."""
    roster = follow(folder)
    assert wait_until(lambda: len(roster.members) == 1)
    roster._closed.set()
    roster._thread.join()
    roster._beat.join()
    for pool in (roster._joins, roster._pulses):
        pool.shutdown()
    roster._closed.clear()
    return roster


@pytest.mark.usefixtures("there")
def test_a_node_is_given_nothing_once_its_agent_is_known_to_have_ended_and_its_cards_are_not_forgotten(
    tmp_path: Path,
) -> None:
    roster = halted(tmp_path)
    (member,) = Node.made
    member.lost.set()
    assert not roster.members
    assert roster.gone == [member]
    roster._pulse(member)
    assert not roster.members
    assert roster.gone == [member]


@pytest.mark.usefixtures("there")
def test_a_silent_node_is_asked_for_no_longer_than_it_has_left(tmp_path: Path) -> None:
    roster = halted(tmp_path)
    (member,) = Node.made
    member.fault, member.answered = GetTimeoutError(), time.monotonic() - 3
    roster._pulse(member)
    assert 1 < member.asked[-1] < 2.1
    assert roster.members == [member]
    member.answered = time.monotonic() - 5
    roster._pulse(member)
    assert not roster.members


@pytest.mark.usefixtures("there")
def test_of_two_processes_the_first_tells_how_the_nodes_stand(tmp_path: Path) -> None:
    told = tmp_path / ".log" / STANDING
    first = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        told.write_text(json.dumps({"pid": first.pid, "nodes": []}))
        roster = follow(tmp_path)
        assert wait_until(lambda: len(roster.members) == 1)
        time.sleep(0.3)
        assert json.loads(told.read_text())["pid"] == first.pid
    finally:
        first.communicate(b"\n")
    assert wait_until(lambda: json.loads(told.read_text())["pid"] == os.getpid())
    told.write_text(json.dumps({"pid": os.getppid(), "nodes": []}))
    roster.close()
    assert told.exists()


@pytest.mark.usefixtures("there")
def test_each_process_has_a_token_of_its_own_in_the_shared_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = list[str]()

    def sees(_: Node, path: Path, token: str) -> bool:
        seen.append(path.name)
        return path.read_text() == token

    monkeypatch.setattr(Node, "sees", sees, raising=False)
    killed = subprocess.Popen(["true"])
    killed.wait()
    (tmp_path / f".cluster-token-{killed.pid}").write_text("left behind")
    (tmp_path / f".cluster-token-{os.getppid()}").write_text("of one that lives")
    roster = follow(tmp_path, tmp_path)
    assert wait_until(lambda: len(roster.members) == 1)
    assert seen == [f".cluster-token-{os.getpid()}"]
    roster.close()
    assert [path.name for path in tmp_path.glob(".cluster-token*")] == [f".cluster-token-{os.getppid()}"]


def test_a_node_that_was_lost_again_and_again_is_lost_once_and_not_at_all_once_it_is_back(
    there: list[str], tmp_path: Path
) -> None:
    roster = follow(tmp_path)
    for count in range(1, 4):
        assert wait_until(lambda: len(roster.members) == 1 and len(Node.made) == count)  # noqa: B023
        Node.made[-1].lost.set()
    assert wait_until(lambda: len(Node.made) == 4 and len(roster.members) == 1)
    assert not roster.gone
    there.remove("box")
    assert wait_until(lambda: len(roster.gone) == 1)
    assert wait_until(lambda: [node["state"] for node in standing(tmp_path / ".log")] == ["lost"])


def test_a_node_whose_ray_was_started_again_is_not_lost_as_well(
    there: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_names", lambda nodes: {node["NodeID"]: node["NodeID"][:3] for node in nodes})
    roster = follow(tmp_path)
    assert wait_until(lambda: len(roster.members) == 1)
    there[1:] = ["box again"]
    assert wait_until(lambda: len(Node.made) == 2 and len(roster.members) == 1)
    assert wait_until(lambda: [node["state"] for node in standing(tmp_path / ".log")] == ["joined"])


def test_a_node_is_called_what_its_ray_was_told_to_be_called() -> None:
    def node(ident: str, name: str) -> dict[str, Any]:
        return {"NodeID": ident, "NodeManagerHostname": "box", "NodeManagerAddress": "10.0.0.2", "NodeName": name}

    nodes = [node("aaaaaaaa", "10.0.0.2"), node("bbbbbbbb", "10.0.0.2"), node("cccccccc", "rack3")]
    assert module._names(nodes) == {"aaaaaaaa": "box-aaaaaa", "bbbbbbbb": "box-bbbbbb", "cccccccc": "rack3"}


def test_nodes_that_hang_while_they_join_hold_no_pulse_of_the_others_back(
    there: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roster = follow(tmp_path)
    assert wait_until(lambda: len(roster.members) == 1)
    (healthy,) = Node.made
    monkeypatch.setattr(Node, "silent", True)
    there.extend(f"box-{number}" for number in range(40))
    assert wait_until(lambda: len(Node.made) > 30)
    count = len(healthy.asked)
    assert wait_until(lambda: len(healthy.asked) > count + 5)


def test_a_list_of_nodes_that_hangs_holds_no_pulse_back(tmp_path: Path, there: list[str]) -> None:
    roster = follow(tmp_path)
    assert wait_until(lambda: len(roster.members) == 1)
    hang = threading.Event()
    module.ray.nodes = hang.wait  # type: ignore[attr-defined]
    count = len(Node.made[0].asked)
    assert wait_until(lambda: len(Node.made[0].asked) > count + 5)
    assert there
    hang.set()
