"""An agent without its cluster: what it has of a card it gives back, whatever goes wrong."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from dubd.cluster import agent as module
from dubd.cluster.agent import Agent
from dubd.cluster.freight import Cargo, Known
from dubd.schedule.admission import Start
from dubd.schedule.ticket import Ticket
from dubd.schedule.waitlist import Waiting
from tests.schedule.cards import Machine


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path, 400)
    for name, value in machine.environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return machine


def place(agent: Agent, ticket: Ticket) -> int:
    (card,) = agent.look().cards
    number = agent.reserve(Start((Waiting(0, 0, ticket, 0.0),), card.uuid, 100))
    assert number is not None
    return number


@pytest.mark.parametrize("sent", [False, True], ids=["is sent", "is there"])
def test_a_disk_that_fails_while_an_input_is_put_in_place_costs_no_lease(box: Machine, sent: bool) -> None:
    ticket, agent = box.ticket("t"), Agent(1)
    try:
        cargo, held = Cargo(), Known()
        if sent:
            parcel = cargo.pack([ticket], held)
            assert agent.run("run-0", place(agent, ticket), parcel).answers
            held.add(parcel.contents.values())
            agent._local._pool.close_idle(0.0)
        number = place(agent, ticket)
        assert len(box.ledger().view("GPU-0").held) == 1
        (own,) = (box.folder / "cache" / "dubd" / "node").glob("agent-*")
        shutil.rmtree(own)
        with pytest.raises(OSError, match="agent-"):
            agent.run("run-1", number, cargo.pack([ticket], held))
        assert box.ledger().view("GPU-0").held == ()
    finally:
        agent.close()


def test_a_batch_that_comes_after_its_place_was_given_back_is_late_and_runs_nothing(box: Machine) -> None:
    ticket, agent = box.ticket("t"), Agent(1)
    try:
        number = place(agent, ticket)
        agent.give_back(number)
        delivery = agent.run("run-0", number, Cargo().pack([ticket], Known()))
        assert delivery.late
        assert not delivery.answers
        assert box.ledger().view("GPU-0").held == ()
    finally:
        agent.close()


def test_what_found_no_room_is_told_to_the_other_processes_of_the_machine(box: Machine) -> None:
    agent = Agent(1)
    try:
        agent.look((box.ticket("t"),))
        assert list((box.folder / "runtime" / "vram" / "GPU-0").glob("*.wanted"))
    finally:
        agent.close()


def test_a_place_is_kept_for_the_second_try_where_the_node_has_let_an_input_go(box: Machine) -> None:
    ticket, agent = box.ticket("t"), Agent(1)
    try:
        cargo, held = Cargo(), Known()
        whole = cargo.pack([ticket], held)
        held.add(whole.contents.values())
        number = place(agent, ticket)
        lacking = agent.run("run-0", number, cargo.pack([ticket], held))
        assert set(lacking.lacks) == set(whole.contents.values())
        assert len(box.ledger().view("GPU-0").held) == 1
        assert agent.run("run-1", number, whole).answers
    finally:
        agent.close()
    assert box.ledger().view("GPU-0").held == ()


def test_an_agent_that_its_head_has_left_ends_its_workers_and_itself(
    box: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = threading.Event()
    monkeypatch.setattr(module, "_ALONE", 0.3)
    monkeypatch.setattr(module.os, "_exit", lambda _: left.set())
    agent = Agent(1)
    assert not left.wait(1)  # it has not been taken in yet: to compare large models takes its time
    agent.pulse()
    assert left.wait(10)
    assert not list((box.folder / "cache" / "dubd" / "node").glob("agent-*"))
