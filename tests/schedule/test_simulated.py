"""The simulated card does what a card does: it runs out, its driver lags, and memory dies with its process."""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from dubd.schedule.gpu import SIMULATED, Device, GpuError, gpu
from dubd.schedule.simulated import Allocation, OutOfMemory, Simulated, simulate

GPU = Device("GPU-1", "Simulated", 1_000)
fork = multiprocessing.get_context("fork")


@pytest.fixture
def cards(tmp_path: Path) -> Path:
    simulate(tmp_path, [GPU])
    return tmp_path


def test_shows_what_processes_have(cards: Path) -> None:
    driver = Simulated(cards)
    with Allocation(cards, "GPU-1", 300), Allocation(cards, "GPU-1", 200), Allocation(cards, "GPU-1", 400, pid=1):
        assert driver.used("GPU-1") == 900
        assert driver.processes("GPU-1") == {os.getpid(): 500, 1: 400}
    assert (driver.used("GPU-1"), driver.processes("GPU-1")) == (0, {})


def test_runs_out_whatever_its_driver_has_noticed(cards: Path) -> None:
    simulate(cards, [GPU], lag=60)
    with Allocation(cards, "GPU-1", 900):
        assert Simulated(cards).used("GPU-1") == 0
        with pytest.raises(OutOfMemory, match="asked for 101 MiB, 100 MiB are free"):
            Allocation(cards, "GPU-1", 101)
    Allocation(cards, "GPU-1", 1_000).close()


def test_its_driver_tells_of_a_while_ago(cards: Path) -> None:
    time = [100.0]
    driver = Simulated(cards, lag=2.0, now=lambda: time[0])
    simulate_without_lag_of_its_own = (cards / "devices.json").read_text().replace('"lag": 0.0, ', "")
    (cards / "devices.json").write_text(simulate_without_lag_of_its_own)
    shown = []
    block = Allocation(cards, "GPU-1", 300, now=lambda: time[0])
    for moment in (101.0, 102.5, 104.5, 106.9, 107.1):
        if moment > 105 and block:
            time[0] = 105.0
            block.close()
        time[0] = moment
        shown.append(driver.used("GPU-1"))
    assert shown == [0, 300, 300, 300, 0]


def test_memory_dies_with_its_process(cards: Path) -> None:
    ours, theirs = fork.Pipe()
    process = fork.Process(target=_allocate, args=(cards, theirs), daemon=True)
    process.start()
    assert ours.poll(30) and ours.recv() == process.pid
    assert Simulated(cards).processes("GPU-1") == {process.pid: 800}
    process.kill()
    process.join()
    Allocation(cards, "GPU-1", 1_000).close()


def _allocate(cards: Path, say: Connection) -> None:
    with Allocation(cards, "GPU-1", 800):
        say.send(os.getpid())
        signal.pause()


def test_can_be_lost_hide_its_processes_and_be_none_at_all(cards: Path) -> None:
    driver = Simulated(cards)
    simulate(cards, [GPU], lost=True)
    assert driver.devices() == [GPU]
    with pytest.raises(GpuError, match="GPU is lost"):
        driver.used("GPU-1")
    simulate(cards, [GPU], processes=False)
    assert driver.processes("GPU-1") is None
    with pytest.raises(GpuError, match="no GPU GPU-2"):
        driver.processes("GPU-2")
    assert driver.why is None
    simulate(cards, [])
    assert (driver.devices(), driver.why) == ([], f"no simulated GPU: {cards / 'devices.json'} names none")


@pytest.mark.parametrize(
    "text", ["[{", "7", "{}x", '[{"uuid": "GPU-1"}]', '[{"uuid": 1, "name": "a", "total": 9}]', "[3]"]
)
def test_a_broken_file_is_no_card_and_one_line_with_a_remedy(cards: Path, text: str) -> None:
    (cards / "devices.json").write_text(text)
    driver = Simulated(cards)
    assert driver.devices() == ()
    assert driver.why == (
        f"no simulated GPU: {cards / 'devices.json'} cannot be read; "
        'write a list of {"uuid", "name", "total"} there, or unset DUBD_SIMULATED_GPUS'
    )
    with pytest.raises(GpuError, match="cannot be read"):
        driver.used("GPU-1")


def test_the_machines_gpus_are_these_where_the_environment_says_so(
    cards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SIMULATED, str(cards))
    assert gpu().devices() == [GPU]
