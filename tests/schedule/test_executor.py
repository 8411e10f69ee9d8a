"""Workers on cards: warm, gated by leases, and what follows when memory runs out."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
import venv
from pathlib import Path
from typing import Any

import pytest

from dubd.engines import registry
from dubd.errors import DubdError
from dubd.schedule import workers
from dubd.schedule.scheduler import Scheduler
from dubd.schedule.simulated import Allocation
from tests.schedule.cards import Make, Tickets, run, wait_until

BIRTHS = pytest.mark.parametrize("python", [None, sys.executable], ids=["forked", "an interpreter of its own"])


def pids(lines: list[str]) -> set[str]:
    return {line.split()[0] for line in lines}


class TestWarm:
    def test_many_tasks_need_one_load_and_a_later_one_starts_no_process(self, machine: Make) -> None:
        box = machine(400)
        with box.executor() as executor:
            first = run(executor, [box.ticket(f"t{number}") for number in range(6)])
            assert all(isinstance(outcome, dict) for outcome in first.ended.values()), first.ended
            run(executor, [box.ticket("edited")])
        assert len(box.lines("load")) == 1
        assert len(box.lines("run")) == 7
        assert len(pids(box.lines("run"))) == 1
        assert box.said("edited") == "EDITED"

    @BIRTHS
    def test_the_worker_holds_the_lease_and_the_card_shows_what_it_took(self, machine: Make, python: str) -> None:
        box = machine(400)
        with box.executor() as executor:
            run(executor, [box.ticket("t", python=python)])
            (held,) = box.ledger().view("GPU-0").held
            assert str(held.pid) in pids(box.lines("load"))
            assert held.mib == 70
            assert held.what == "translate with allocating"
            assert not held.loading
            assert box.ledger().gpu.used("GPU-0") == 50
        assert box.ledger().view("GPU-0").held == ()

    def test_an_idle_worker_makes_room_for_another_model(self, machine: Make) -> None:
        box = machine(150)
        with box.executor() as executor:
            run(executor, [box.ticket("a", model=60)])
            run(executor, [box.ticket("b", model=80)])
            (held,) = box.ledger().view("GPU-0").held
        assert held.mib == 110
        assert not box.lines("card")

    def test_a_batch_goes_through_one_worker_no_more_items_at_once_than_its_lease_allows(self, machine: Make) -> None:
        box = machine(100)  # 40 + 20 + 4 * 10
        with box.executor() as executor:
            source = run(executor, [box.ticket(f"t{number}", batch=8) for number in range(8)])
        assert all(isinstance(outcome, dict) for outcome in source.ended.values())
        assert [line.split(maxsplit=1)[1] for line in box.lines("run")] == ["run 4 of 4"] * 2
        assert len(box.lines("load")) == 1

    def test_what_a_rule_gives_is_the_lease(self, machine: Make) -> None:
        box = machine(400)
        with box.executor() as executor:
            run(executor, [box.ticket("t", budget=300)])
            assert [held.mib for held in box.ledger().view("GPU-0").held] == [300]

    def test_two_cards_work_side_by_side(self, machine: Make) -> None:
        box = machine(100, 100)
        with box.executor() as executor:
            source = run(executor, [box.ticket(f"t{number}", seconds=0.3) for number in range(6)])
            uuids = [uuid for uuid in ("GPU-0", "GPU-1") if box.ledger().view(uuid).held]
        assert all(isinstance(outcome, dict) for outcome in source.ended.values())
        assert uuids == ["GPU-0", "GPU-1"]

    def test_an_idle_worker_has_rested_after_a_while(self, machine: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        box = machine(400)
        with box.executor() as executor:
            run(executor, [box.ticket("t")])
            (card,) = executor.cards()
            assert (len(card.idle), card.rested, card.busy) == (1, 0, ())
            monkeypatch.setattr(workers, "REST", 0.0)
            assert executor.cards()[0].rested == 1

    def test_two_workers_of_a_kind_share_a_card_each_with_a_lease_and_both_stay_warm(self, machine: Make) -> None:
        box = machine(150)  # two of 70
        hang = box.folder / "hang"
        hang.touch()
        with box.executor() as executor:
            source = Tickets([box.ticket(f"t{number}", parallel=3, hang=str(hang)) for number in range(6)])
            scheduler = Scheduler(executor)
            scheduler.add(source)

            def both() -> bool:
                scheduler.step(0.1)
                return len(pids(box.lines("run"))) == 2

            assert wait_until(both)
            assert [held.mib for held in box.ledger().view("GPU-0").held] == [70, 70]
            hang.unlink()
            scheduler.run()
            run(executor, [box.ticket("wide", model=90)])  # 120: both make room
            assert [held.mib for held in box.ledger().view("GPU-0").held] == [120]
        assert all(isinstance(outcome, dict) for outcome in source.ended.values()), source.ended
        assert len(box.lines("load")) == 3
        assert not box.lines("card")


class TestGate:
    def test_a_foreign_process_is_waited_for(self, machine: Make) -> None:
        box = machine(100)
        foreign = Allocation(box.cards, "GPU-0", 80, pid=1)
        threading.Timer(1.0, foreign.close).start()
        with box.executor() as executor:
            source = run(executor, [box.ticket("t")])
        assert isinstance(source.ended["t"], dict)
        assert not box.lines("card")

    def test_what_no_card_could_ever_hold_fails_with_both_numbers(self, machine: Make) -> None:
        box = machine(1024)
        with box.executor() as executor:
            source = run(executor, [box.ticket("t", model=2048, context=0, declared=512)])
        assert "allocating asks for 2.5 GiB; the largest GPU here has 1.0;" in str(source.ended["t"])
        assert not box.lines("load")

    def test_amounts_that_differ_by_little_are_told_in_mib(self, machine: Make) -> None:
        box = machine(4096)
        with box.executor() as executor:
            source = run(executor, [box.ticket("t", model=4067)])
        assert "allocating asks for 4097 MiB; the largest GPU here has 4096 MiB;" in str(source.ended["t"])

    def test_tickets_for_the_cpu_ask_the_driver_nothing(self, machine: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        box, asked = machine(100), list[str]()
        monkeypatch.setattr("dubd.schedule.executor.gpu", lambda: asked.append("the driver"))
        ticket = box.ticket("t")
        with box.executor() as executor:
            source = run(executor, [type(ticket)(**{**ticket.__dict__, "vram": None})])
        assert isinstance(source.ended["t"], dict), source.ended
        assert "load cpu" in box.lines("load")[0]
        assert not asked

    def test_a_driver_that_is_lost_makes_tasks_wait_and_is_told_once(
        self, machine: Make, caplog: pytest.LogCaptureFixture
    ) -> None:
        box = machine(100)
        box.simulate(100, lost=True)
        threading.Timer(1.5, lambda: box.simulate(100)).start()
        with caplog.at_level(logging.WARNING), box.executor() as executor:
            source = run(executor, [box.ticket("t")])
        assert isinstance(source.ended["t"], dict)
        assert sum("is lost" in record.message for record in caplog.records) == 1
        assert sum("answers again" in record.message for record in caplog.records) == 1

    def test_two_dubd_processes_never_overcommit_and_both_finish(self, machine: Make) -> None:
        box = machine(150)  # two workers of 70 and 80; four are wanted
        box.simulate(150, lag=0.5)
        command = [sys.executable, "-m", "tests.schedule.cards", str(box.folder)]
        env = {**os.environ, **box.environ()}
        both = [subprocess.Popen([*command, name, "6", "seconds=0.1"], env=env) for name in ("daemon", "doit")]
        ledger, seen = box.ledger(), list[int]()
        while any(process.poll() is None for process in both):
            view = ledger.view("GPU-0")
            seen.append(view.promised)
            time.sleep(0.02)
        assert [process.returncode for process in both] == [0, 0]
        assert max(seen) <= 150
        assert len(box.lines("run")) == 12
        assert not box.lines("card")
        assert wait_until(lambda: ledger.view("GPU-0").free == 150)

    def test_a_worker_that_only_stays_warm_makes_room_for_another_dubd_process(self, machine: Make) -> None:
        box = machine(100)
        command = [sys.executable, "-m", "tests.schedule.cards", str(box.folder), "doit", "1"]
        with box.executor("daemon") as executor:
            run(executor, [box.ticket("t")])
            assert len(box.ledger().view("GPU-0").held) == 1
            time.sleep(1.5)
            assert len(box.ledger().view("GPU-0").held) == 1  # nobody wants it
            other = subprocess.run(command, env={**os.environ, **box.environ()}, timeout=60)
        assert other.returncode == 0
        assert not box.lines("card")


class TestOutOfMemory:
    def test_the_batch_is_halved_then_the_estimate_grows_until_the_task_ends_well(self, machine: Make) -> None:
        box = machine(400)
        with box.executor() as executor:
            source = run(executor, [box.ticket(f"t{number}", batch=4, per_item=60) for number in range(4)])
        assert all(isinstance(outcome, dict) for outcome in source.ended.values()), source.ended
        leases = [int(line.rpartition(" ")[2]) for line in box.lines("over")]
        assert leases == [100, 80, 70, 88, 110]  # batches of 4, 2 and 1; then a quarter more each time, up to 138
        assert len(pids(box.lines("over"))) == 5  # each time in a fresh process
        assert not box.lines("card")

    def test_a_single_item_of_a_larger_batch_is_given_more_at_once_and_the_next_process_knows(
        self, machine: Make
    ) -> None:
        box = machine(400)
        more: dict[str, Any] = {"batch": 8, "model": 50, "declared": 5, "per_item": 50, "context": 30}
        for name in ("t", "u"):
            with box.executor() as executor:
                source = run(executor, [box.ticket(name, **more)])
            assert isinstance(source.ended[name], dict), source.ended
        assert [int(line.rpartition(" ")[2]) for line in box.lines("over")] == [120]
        assert len(box.lines("load")) == 3

    def test_a_load_that_runs_out_is_given_more(self, machine: Make) -> None:
        box = machine(400)
        ticket = box.ticket("t", batch=4, declared=1, per_item=1)
        with box.executor() as executor:
            small = type(ticket)(**{**ticket.__dict__, "budget": 50})
            source = run(executor, [small])
        assert isinstance(source.ended["t"], dict), source.ended
        assert [int(line.rpartition(" ")[2]) for line in box.lines("over")] == [50]

    def test_where_the_card_itself_is_too_small_the_task_fails_with_both_numbers(self, machine: Make) -> None:
        box = machine(1024)
        with box.executor() as executor:
            source = run(executor, [box.ticket("t", model=700, per_item=2000, host=False)])
        error = source.ended["t"]
        assert isinstance(error, DubdError)
        assert "asks for 0.7 GiB and ran out of 1.0 GiB, the most of any GPU here" in error.reason
        assert error.stage == "translate"
        assert error.remedy


class TestMeasured:
    def test_what_was_measured_is_the_next_lease_and_outlives_the_process(self, machine: Make) -> None:
        box = machine(400)
        with box.executor() as executor:
            for number in range(3):  # a smaller figure is believed after three full batches
                run(executor, [box.ticket(f"t{number}", declared=100)])
            assert [held.mib for held in box.ledger().view("GPU-0").held] == [160]
        with box.executor() as executor:
            run(executor, [box.ticket("u", declared=100)])
            assert [held.mib for held in box.ledger().view("GPU-0").held] == [70]  # 40 + 10 + the context of 20

    def test_what_took_more_than_declared_is_given_more_from_the_start(self, machine: Make) -> None:
        box = machine(400)
        with box.executor() as executor:
            run(executor, [box.ticket("t", per_item=60)])
        before = len(box.lines("over"))
        with box.executor() as executor:
            run(executor, [box.ticket("u", per_item=60)])
            assert [held.mib for held in box.ledger().view("GPU-0").held] == [120]
        assert before
        assert len(box.lines("over")) == before


def test_another_interpreter_runs_the_engine_without_our_libraries(
    machine: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = machine(400)
    venv.create(tmp_path / "env", with_pip=False)
    monkeypatch.delenv("PYTHONPATH")  # nothing of ours on its path but what it is lent
    monkeypatch.syspath_prepend(box.site)
    registry.find.cache_clear()
    python = str(tmp_path / "env" / "bin" / "python")
    with box.executor() as executor:
        source = run(executor, [box.ticket(f"t{number}", host=False, python=python) for number in range(3)])
        (held,) = box.ledger().view("GPU-0").held
    registry.find.cache_clear()
    assert all(isinstance(outcome, dict) for outcome in source.ended.values()), source.ended
    (load,) = box.lines("load")
    assert load.split()[1:] == ["load", "cuda:0", str(tmp_path / "env"), "nothing"]
    assert str(held.pid) == load.split()[0]
    assert box.said("t0") == "T0"
