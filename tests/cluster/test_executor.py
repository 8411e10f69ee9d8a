"""Tickets on a real cluster: where they run, what is refused, and what follows when a node or a worker is lost."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dubd.cluster import roster
from dubd.cluster.executor import RayExecutor
from dubd.cluster.member import Member
from dubd.cluster.standing import lines, standing
from dubd.errors import DubdError
from dubd.schedule.admission import Start
from dubd.schedule.scheduler import Scheduler
from dubd.schedule.ticket import Ticket
from tests.cluster.conftest import Grid
from tests.schedule.cards import Machine, Tickets, run, wait_until


@pytest.fixture
def box(tmp_path: Path) -> Machine:
    """Makes tickets of the engine that logs what it does; it has no card itself."""
    return Machine(tmp_path)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A node that says nothing is given up after a second."""
    monkeypatch.setattr(roster, "_SILENT", 1.0)
    monkeypatch.setattr(roster, "_EVERY", 0.3)
    yield


def cluster(box: Machine, grid: Grid) -> RayExecutor:
    return RayExecutor(box.folder / "work" / ".log", 1, grid.address)


def on_cpu(ticket: Ticket) -> Ticket:
    return Ticket(**{**ticket.__dict__, "vram": None})


def begun(scheduler: Scheduler, box: Machine, count: int) -> bool:
    """Turn until so many tasks run."""
    return wait_until(lambda: scheduler.step(0.1) or len(box.lines("run")) == count)


def two_that_wait(box: Machine, hang: Path) -> Tickets:
    """Two CPU tasks that end when the file `hang` is gone."""
    hang.touch()
    return Tickets([on_cpu(box.ticket(f"t{n}", hang=str(hang))) for n in range(2)])


def one_that_waits(box: Machine, hang: Path, task: str = "t") -> Tickets:
    """A task on a card that ends when the file `hang` is gone."""
    hang.touch()
    return Tickets([box.ticket(task, hang=str(hang))])


def nodes(source: Tickets) -> dict[str, Any]:
    """On which node each task ran; None: at the head."""
    return {
        task: out["node"] if isinstance(out, dict) and "node" in out else None for task, out in source.ended.items()
    }


def test_a_card_of_a_node_is_used_from_a_machine_that_has_none_and_what_fits_no_card_is_refused_with_a_sentence(
    grid: Grid, box: Machine
) -> None:
    grid.join(1, 400)
    with cluster(box, grid) as executor:
        huge = box.ticket("huge", model=2000)
        said = str(run(executor, [huge]).ended["huge"])
        assert "allocating asks for 2.0 GiB; the largest GPU of the cluster has 0.4; use a smaller model" in said
        source = run(executor, [box.ticket(f"t{number}") for number in range(3)])
        (member,) = executor.roster.members
        assert nodes(source) == dict.fromkeys(("t0", "t1", "t2"), member.name)
    assert len(box.lines("load")) == 1
    assert [box.said(f"t{number}") for number in range(3)] == ["T0", "T1", "T2"]
    assert all(out["device"] == "Paper 1" for out in source.ended.values() if isinstance(out, dict))


def test_what_needs_a_large_card_goes_to_the_node_that_has_one(grid: Grid, box: Machine) -> None:
    grid.join(1, 100)
    large = grid.join(1, 400)
    with cluster(box, grid) as executor:
        source = run(executor, [box.ticket(f"t{number}", model=200) for number in range(2)])
        by_id = {member.name: member.id for member in executor.roster.members}
    assert {by_id[name] for name in nodes(source).values()} == {large.node_id}


def test_without_any_card_the_sentence_says_so(grid: Grid, box: Machine) -> None:
    with cluster(box, grid) as executor:
        source = run(executor, [box.ticket("t")])
    assert "asks for a GPU, but no node of the cluster can give it one; add a node" in str(source.ended["t"])


def test_head_and_node_work_at_the_same_time(grid: Grid, box: Machine) -> None:
    grid.join(1)
    hang = box.folder / "hang"
    with cluster(box, grid) as executor:
        source, scheduler = two_that_wait(box, hang), Scheduler(executor)
        scheduler.add(source)
        assert begun(scheduler, box, 2)
        hang.unlink()
        scheduler.run()
    assert sorted(map(str, nodes(source).values()))[0] == "None"
    assert len(set(nodes(source).values())) == 2


@pytest.mark.usefixtures("quick")
def test_a_node_that_joins_late_is_used(grid: Grid, box: Machine) -> None:
    hang = box.folder / "hang"
    with cluster(box, grid) as executor:
        source, scheduler = two_that_wait(box, hang), Scheduler(executor)
        scheduler.add(source)

        def working(count: int) -> bool:
            scheduler.step(0.1)
            return len(box.lines("run")) == count

        assert wait_until(lambda: working(1))
        grid.join()
        assert wait_until(lambda: working(2))
        hang.unlink()
        scheduler.run()
    assert nodes(source)["t0"] is None
    assert nodes(source)["t1"]


@pytest.mark.usefixtures("quick")
def test_what_ran_on_a_node_that_died_runs_elsewhere_and_nothing_else_again(grid: Grid, box: Machine) -> None:
    dying = grid.join(1, 400)
    hang = box.folder / "hang"
    with cluster(box, grid) as executor:
        first = run(executor, [box.ticket("first")])
        source, scheduler = one_that_waits(box, hang, "second"), Scheduler(executor)
        scheduler.add(source)
        assert begun(scheduler, box, 2)
        grid.kill(dying)
        assert wait_until(lambda: scheduler.step(0.1) or not executor.roster.members)
        hang.unlink()
        grid.join(1, 400)
        scheduler.run()
    assert len(set(nodes(first).values()) | set(nodes(source).values())) == 2
    assert box.said("second") == "SECOND"
    assert len(box.lines("run")) == 3  # first, second, and second once more


def test_a_worker_killed_on_a_node_is_replaced_there(grid: Grid, box: Machine) -> None:
    grid.join(1, 400)
    hang = box.folder / "hang"
    with cluster(box, grid) as executor:
        source, scheduler = one_that_waits(box, hang), Scheduler(executor)
        scheduler.add(source)
        assert begun(scheduler, box, 1)
        os.kill(int(box.lines("run")[0].split()[0]), signal.SIGKILL)
        hang.unlink()
        scheduler.run()
    assert box.said("t") == "T"
    assert len(box.lines("load")) == 2


def test_an_agent_that_was_killed_is_started_anew_and_its_task_again(grid: Grid, box: Machine) -> None:
    grid.join(1)
    hang = box.folder / "hang"
    with cluster(box, grid) as executor:
        source, scheduler = two_that_wait(box, hang), Scheduler(executor)
        scheduler.add(source)
        assert begun(scheduler, box, 2)
        (member,) = executor.roster.members
        os.kill(member.pid, signal.SIGKILL)
        assert begun(scheduler, box, 3)
        (after,) = executor.roster.members
        assert after is not member  # it has joined anew, and was compared again
        hang.unlink()
        scheduler.run()
    assert [box.said("t0"), box.said("t1")] == ["T0", "T1"]


@pytest.mark.usefixtures("quick")
def test_a_task_on_a_card_that_takes_three_agents_with_it_fails(grid: Grid, box: Machine) -> None:
    grid.join(1, 400)
    hang = box.folder / "hang"
    with cluster(box, grid) as executor:
        source, scheduler = one_that_waits(box, hang), Scheduler(executor)
        scheduler.add(source)
        for count in (1, 2, 3):
            assert begun(scheduler, box, count)
            (member,) = executor.roster.members
            os.kill(member.pid, signal.SIGKILL)
        scheduler.run()
    assert "was lost with its node 3 times, last with" in str(source.ended["t"])


@pytest.mark.usefixtures("quick")
def test_a_node_that_falls_silent_is_given_up_when_its_time_is_over(grid: Grid, box: Machine) -> None:
    grid.join(1)
    with cluster(box, grid) as executor:
        (member,) = executor.roster.members
        os.kill(member.pid, signal.SIGSTOP)
        try:
            assert wait_until(lambda: member not in executor.roster.members, 4)
        finally:
            os.kill(member.pid, signal.SIGKILL)


@pytest.mark.usefixtures("quick")
def test_a_node_with_other_bytes_of_a_model_is_refused_by_name_until_it_has_the_same(
    grid: Grid, box: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster, "_AGAIN", 0.5)
    for folder, text in ((box.folder / "models", "one"), (grid.root / "other", "two")):
        (folder / "maker").mkdir(parents=True)
        (folder / "maker" / "weights.bin").write_text(text)
    grid.join(1, 400, DUBD_MODELS=str(grid.root / "other"))
    with cluster(box, grid) as executor:
        ((name, why),) = executor.roster.refused.items()
        assert why.startswith("its maker/weights.bin has other bytes than the one here (sha256 ")
        source = run(executor, [box.ticket("t")])
        assert f"no node of the cluster can give it one ({name} is refused: its maker/weights.bin" in str(
            source.ended["t"]
        )
        logs = box.folder / "work" / ".log"
        assert wait_until(lambda: [*lines(standing(logs))] == [f"node {name} is refused: {why}"])
        (grid.root / "other" / "maker" / "weights.bin").write_text("one")
        assert wait_until(lambda: len(executor.roster.members) == 1)
        assert not isinstance(run(executor, [box.ticket("u")]).ended["u"], DubdError)


def test_shared_storage_sends_nothing_and_the_node_writes_where_the_head_looks(grid: Grid, box: Machine) -> None:
    grid.join(1, 400)
    with RayExecutor(box.folder / "work" / ".log", 1, grid.address, shared=True) as executor:
        source = run(executor, [box.ticket("t")])
        (member,) = executor.roster.members
        assert nodes(source) == {"t": member.name}
        assert len(list((grid.nodes[-1].home / "cache" / "dubd" / "node").glob("agent-*/held/*"))) == 0
    assert box.said("t") == "T"
    assert not list((grid.nodes[-1].home / "cache" / "dubd" / "node").glob("agent-*"))


@pytest.mark.usefixtures("quick")
def test_a_node_that_the_network_is_parted_from_is_lost_and_joins_anew_and_what_it_makes_reaches_nobody(
    grid: Grid, box: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    node = grid.join(1)
    hang = box.folder / "hang"
    made = [box.folder / "work" / task / "translation.json" for task in ("t0", "t1")]
    with caplog.at_level(logging.INFO, "dubd.cluster"), cluster(box, grid) as executor:
        source, scheduler = two_that_wait(box, hang), Scheduler(executor)
        scheduler.add(source)
        assert begun(scheduler, box, 2)
        (member,) = executor.roster.members
        (raylet,) = (started.process.pid for started in node.all_processes["raylet"])
        agent = Path("/proc", str(member.pid))
        stopped = [raylet, member.pid]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            assert wait_until(lambda: scheduler.step(0.1) or not executor.roster.members)
            hang.unlink()
            scheduler.run()
            assert nodes(source) == {"t0": None, "t1": None}
            written = [path.stat().st_mtime_ns for path in made]
            logs = box.folder / "work" / ".log"
            assert wait_until(lambda: list(lines(standing(logs))) == [f"node {member.name} is lost"])
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        assert wait_until(lambda: not agent.exists() and len(executor.roster.members) == 1)
        assert [path.stat().st_mtime_ns for path in made] == written
    told = [line.removeprefix(f"the node {member.name} ") for line in caplog.messages]
    joins = f"({member.address}) joins with 1 slots and no GPU"
    assert told[0] == told[-1] == joins
    assert "is lost, what ran there runs elsewhere: no answer for 1 s" in told
    assert not any("refused" in line for line in told)


def test_a_task_that_always_comes_too_late_for_its_place_on_a_card_fails(
    grid: Grid, box: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid.join(1, 400)
    reserve = Member.reserve

    def slow(member: Member, start: Start) -> int | None:  # as when the way there takes longer than places are kept
        place = reserve(member, start)
        if place is not None:
            member._ask(member._call("give_back", place))
        return place

    monkeypatch.setattr(Member, "reserve", slow)
    with cluster(box, grid) as executor:
        said = str(run(executor, [box.ticket("t")]).ended["t"])
    assert "came too late for its place on a card 3 times, last at" in said
    assert not box.lines("run")
