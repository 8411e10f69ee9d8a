"""What goes wrong beside a batch ends nothing else: leases that cannot be read, workers that talk nonsense or stay."""

from __future__ import annotations

import errno
import logging
import resource
import shutil
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from dubd.errors import DubdError
from dubd.schedule import workers
from dubd.schedule.admission import Start
from dubd.schedule.lease import Lease
from dubd.schedule.ledger import Ledger
from dubd.schedule.waitlist import Waiting
from dubd.schedule.wanted import Wanted
from tests.schedule.cards import Make, run, wait_until


def test_an_executor_may_have_a_file_open_for_every_worker(machine: Make) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        with machine(100).executor():
            assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(hard, 65_536), hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("broken", ["runtime", "runtime/vram/GPU-0/x.lease/y"], ids=["folder", "lease"])
def test_leases_that_cannot_be_read_make_its_tasks_wait_and_are_told_once(
    machine: Make, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    box = machine(100)
    wrong = box.folder / broken  # a file in the folder's place, or a folder in the lease's
    wrong.parent.mkdir(parents=True, exist_ok=True)
    wrong.touch()
    remove = (lambda: shutil.rmtree(wrong.parent)) if "lease" in broken else wrong.unlink
    threading.Timer(1.5, remove).start()
    cpu = replace(box.ticket("cpu"), vram=None)
    with caplog.at_level(logging.WARNING), box.executor() as executor:
        source = run(executor, [box.ticket("t"), cpu])
    assert list(source.ended) == ["cpu", "t"]
    assert all(isinstance(outcome, dict) for outcome in source.ended.values()), source.ended
    assert sum("is lost" in record.message for record in caplog.records) == 1
    assert sum("answers again" in record.message for record in caplog.records) == 1


def test_a_folder_that_is_not_ours_fails_its_tasks_with_the_remedy(
    machine: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> Path:
        raise DubdError("not a folder that only you can write", remedy="remove it")

    box = machine(100)
    monkeypatch.setattr("dubd.schedule.executor.runtime", refuse)
    with box.executor() as executor:
        source = run(executor, [box.ticket("t")])
    assert "not a folder that only you can write; remove it" in str(source.ended["t"])


def test_a_lease_that_cannot_be_written_is_tried_again_and_told_once(
    machine: Make, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, take = iter(range(3)), Ledger.take

    def taken(self: Ledger, uuid: str, mib: int, what: str) -> Lease | None:
        if next(full, None) is not None:
            raise OSError(errno.ENOSPC, "no space left")
        return take(self, uuid, mib, what)

    monkeypatch.setattr(Ledger, "take", taken)
    box = machine(100)
    with caplog.at_level(logging.WARNING), box.executor() as executor:
        source = run(executor, [box.ticket("t")])
    assert isinstance(source.ended["t"], dict), source.ended
    assert sum("no lease for t" in record.message for record in caplog.records) == 1


def test_warm_workers_are_given_up_after_a_look_at_them_has_failed(
    machine: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, rested = iter([OSError("too many open files")]), workers.Pool.rested

    def failing(self: workers.Pool, seconds: float) -> set[str]:
        if error := next(looks, None):
            raise error
        return rested(self, seconds)

    monkeypatch.setattr(workers.Pool, "rested", failing)
    box = machine(100)
    with box.executor() as executor:
        run(executor, [box.ticket("t")])
        Wanted(box.folder / "runtime").wish(("restore", "another"), 100, {"GPU-0": 100})
        assert wait_until(lambda: box.ledger().view("GPU-0").held == ())


@pytest.mark.parametrize("word", ["Welcome", "5"])
def test_a_worker_that_says_what_is_no_message_fails_its_task_and_is_ended(machine: Make, word: str) -> None:
    box = machine(400)
    python = box.folder / "python"
    python.write_text(f'#!/bin/sh\necho {word}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    with box.executor() as executor:
        source = run(executor, [box.ticket("t", python=str(python))])
        assert box.ledger().view("GPU-0").held == ()
    assert "killed by signal 9" in str(source.ended["t"])


def test_a_batch_ends_well_where_the_folder_of_the_leases_vanishes_meanwhile(machine: Make) -> None:
    box = machine(400)
    hang = box.folder / "hang"
    hang.touch()

    def vanish() -> None:
        assert wait_until(lambda: bool(box.lines("run")))
        shutil.rmtree(box.folder / "runtime")
        hang.unlink()

    with box.executor() as executor:
        thread = threading.Thread(target=vanish)
        thread.start()
        source = run(executor, [box.ticket("t", hang=str(hang))])
        thread.join()
    assert isinstance(source.ended["t"], dict), source.ended


def test_an_idle_worker_that_does_not_die_holds_nobody_up(machine: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    box, dead = machine(150), threading.Event()
    monkeypatch.setattr(workers, "_ENDING", 0.1)
    close = workers.Worker.close
    with box.executor() as executor:
        run(executor, [box.ticket("a", model=60)])
        monkeypatch.setattr(workers.Worker, "close", lambda worker: dead.wait(30) and close(worker))
        threading.Timer(1.0, dead.set).start()
        source = run(executor, [box.ticket("b", model=80), replace(box.ticket("cpu"), vram=None)])
    assert list(source.ended) == ["cpu", "b"]


def test_a_card_that_was_never_looked_at_costs_no_lease(machine: Make) -> None:
    box = machine(100)
    with box.executor() as executor:
        assert executor.reserve(Start((Waiting(0, 0, box.ticket("t"), 0.0),), "GPU-0", 60)) is None
        assert box.ledger().view("GPU-0").held == ()
        assert executor.cards()
        slot = executor.reserve(Start((Waiting(0, 0, box.ticket("t"), 0.0),), "GPU-0", 60))
        assert slot
        slot.close()
