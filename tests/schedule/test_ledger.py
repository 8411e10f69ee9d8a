"""The ledger across processes, and its sums. Random schedules are in test_ledger_safety.py."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from dubd.schedule.gpu import Device, GpuError
from dubd.schedule.lease import mutex
from dubd.schedule.ledger import Lease, Ledger
from dubd.schedule.simulated import Allocation, Simulated, simulate

GPU = "GPU-1"
TOTAL = 16_000
fork = multiprocessing.get_context("fork")


class Clock:
    """Time that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.time = 50.0

    def __call__(self) -> float:
        return self.time


class Box:
    """A machine with one card of 16 000 MiB, of which 512 are margin."""

    def __init__(self, folder: Path, now: Callable[[], float], lag: float = 0.0, processes: bool = True) -> None:
        self.cards, self.now = folder / "cards", now
        simulate(self.cards, [Device(GPU, "Simulated", TOTAL)], lag=lag, processes=processes)
        self.ledger = Ledger(folder / "run", Simulated(self.cards, now=now), now=now)

    def allocate(self, mib: int, pid: int | None = None) -> Allocation:
        return Allocation(self.cards, GPU, mib, pid=pid, now=self.now)

    def take(self, mib: int) -> Lease:
        lease = self.ledger.take(GPU, mib, "speak")
        assert lease
        return lease

    @property
    def free(self) -> int:
        return self.ledger.view(GPU).free


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def box(tmp_path: Path, clock: Clock) -> Box:
    return Box(tmp_path, clock)


class TestTake:
    def test_room_is_what_the_margin_the_leases_and_others_leave(self, box: Box) -> None:
        with box.allocate(6_000, pid=1), box.take(5_000) as lease:
            lease.settled(0)
            assert box.free == TOTAL - 512 - 6_000 - 5_000
            assert box.ledger.take(GPU, box.free + 1, "lipsync") is None
            box.take(box.free).close()

    def test_a_promise_counts_before_and_while_it_is_used_but_once(self, box: Box) -> None:
        with box.take(5_000) as lease, box.allocate(3_000):
            lease.settled(3_000)
            assert box.free == TOTAL - 512 - 5_000

    def test_a_holder_beyond_its_lease_counts_with_what_it_has(self, box: Box) -> None:
        with box.take(5_000), box.allocate(7_000):
            assert box.free == TOTAL - 512 - 7_000

    def test_two_leases_of_one_process_share_what_it_has(self, box: Box, clock: Clock) -> None:
        with box.take(5_000) as first, box.allocate(6_000):
            first.settled(5_000)
            clock.time += 1
            with box.take(2_000):
                assert [held.allocated for held in box.ledger.view(GPU).held] == [5_000, 1_000]
                assert box.free == TOTAL - 512 - 7_000

    def test_one_load_at_a_time_however_much_room_there_is(self, box: Box) -> None:
        with box.take(100) as lease:
            assert box.ledger.take(GPU, 100, "speak") is None
            lease.settled(100)
            box.take(100).close()

    @pytest.mark.parametrize("mib", [TOTAL - 511, 0, -1])
    def test_what_no_wait_can_help_is_a_value_error(self, box: Box, mib: int) -> None:
        with pytest.raises(ValueError, match="at most 15488"):
            box.ledger.take(GPU, mib, "speak")

    def test_a_device_that_is_not_here_is_the_drivers_error(self, box: Box) -> None:
        with pytest.raises(GpuError, match="no GPU GPU-9"):
            box.ledger.take("GPU-9", 1, "speak")


class TestALostDriver:
    def test_admits_nothing_says_so_and_keeps_leases_until_it_is_back(self, box: Box) -> None:
        device = Device(GPU, "Simulated", TOTAL)
        with box.take(5_000) as lease:
            lease.settled(0)
            simulate(box.cards, [device], lost=True)
            with pytest.raises(GpuError, match="GPU is lost"):
                box.ledger.take(GPU, 100, "speak")
            with pytest.raises(GpuError, match="GPU is lost"):
                box.ledger.view(GPU)
            simulate(box.cards, [device])
            assert box.free == TOTAL - 512 - 5_000


class TestADriverThatLags:
    def test_what_ended_a_moment_ago_still_counts(self, tmp_path: Path, clock: Clock) -> None:
        box = Box(tmp_path, clock, lag=2.0)
        other = box.allocate(9_000, pid=1)
        clock.time += 3
        other.close()
        assert box.ledger.take(GPU, 9_000, "speak") is None
        clock.time += 2.1
        box.take(9_000).close()

    def test_watch_waits_until_it_shows(self, tmp_path: Path) -> None:
        box = Box(tmp_path, time.monotonic, lag=0.3)
        with box.allocate(9_000, pid=1):
            while box.ledger.view(GPU).used == 0:
                time.sleep(0.02)
            assert box.ledger.watch(GPU, 9_000, seconds=0.1, every=0.05).free < 9_000
        assert box.ledger.watch(GPU, 9_000, seconds=30, every=0.05).free >= 9_000

    def test_it_says_whether_the_driver_told_whose_memory_is_whose(self, tmp_path: Path, clock: Clock) -> None:
        assert Box(tmp_path / "plain", clock).ledger.view(GPU).exact
        assert not Box(tmp_path / "container", clock, processes=False).ledger.view(GPU).exact

    def test_where_it_tells_no_processes_a_load_counts_twice_until_its_word_is_old(
        self, tmp_path: Path, clock: Clock
    ) -> None:
        box = Box(tmp_path, clock, processes=False)
        with box.take(4_000) as lease, box.allocate(4_000):
            lease.settled(4_000)
            assert box.free == TOTAL - 512 - 8_000
            clock.time += 3.1
            assert box.free == TOTAL - 512 - 4_000

    def test_where_it_tells_no_processes_others_are_not_taken_for_ours(self, tmp_path: Path, clock: Clock) -> None:
        box = Box(tmp_path, clock, processes=False)
        with box.take(8_000) as lease:
            lease.settled(100)
            clock.time += 10
            with box.allocate(7_000, pid=1):
                assert box.ledger.view(GPU).foreign == 6_900


class TestAcrossProcesses:
    @pytest.mark.parametrize("processes", [True, False])
    def test_a_killed_holder_has_given_all_back_by_the_next_look(self, tmp_path: Path, processes: bool) -> None:
        box = Box(tmp_path, time.monotonic, processes=processes)
        ours, theirs = fork.Pipe()
        holder = fork.Process(target=_hold, args=(box, theirs, 12_000), daemon=True)
        holder.start()
        assert ours.poll(30) and ours.recv() == "loaded"
        assert box.ledger.take(GPU, 12_000, "speak") is None
        assert holder.pid
        os.kill(holder.pid, signal.SIGKILL)
        holder.join()
        assert box.ledger.view(GPU).held == ()
        box.take(12_000).close()

    @pytest.mark.parametrize("round", range(int(os.environ.get("DUBD_RACES", "3"))))
    def test_of_sixteen_that_race_for_room_for_three_three_win(self, tmp_path: Path, round: int) -> None:  # noqa: ARG002
        box = Box(tmp_path, time.monotonic)
        pipes, racers = [], []
        go = fork.Event()
        for _ in range(16):
            ours, theirs = fork.Pipe()
            pipes.append(ours)
            racers.append(fork.Process(target=_race, args=(box, theirs, go, 5_000), daemon=True))
            racers[-1].start()
            theirs.close()
        go.set()
        try:
            said = [pipe.recv() if pipe.poll(60) else "silent" for pipe in pipes]
            assert sorted(said) == ["lost"] * 13 + ["won"] * 3
            assert box.ledger.view(GPU).promised == 15_000
        finally:
            for racer in racers:
                racer.kill()
                racer.join()
        assert box.free == TOTAL - 512

    def test_nobody_is_admitted_while_another_decides_even_if_a_child_of_that_one_lives_on(self, box: Box) -> None:
        box.take(1).close()
        taken: list[Lease] = []
        taker = threading.Thread(target=lambda: taken.append(box.take(5_000)))
        with mutex(box.ledger._place(GPU)):
            child = fork.Process(target=signal.pause, daemon=True)
            child.start()
            taker.start()
            taker.join(0.3)
            assert taker.is_alive()
        try:
            taker.join(30)
            assert [lease.mib for lease in taken] == [5_000]
            taken[0].close()
        finally:
            child.kill()
            child.join()

    def test_threads_race_as_processes_do(self, box: Box) -> None:
        won: list[Lease] = []

        def race() -> None:
            while (view := box.ledger.view(GPU)).free >= 5_000 or view.loading:
                if lease := box.ledger.take(GPU, 5_000, "race"):
                    lease.settled(0)
                    won.append(lease)
                    return

        threads = [threading.Thread(target=race) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 3
        for lease in won:
            lease.close()


def _hold(box: Box, say: Connection, mib: int) -> None:
    with box.take(mib) as lease, box.allocate(mib):
        lease.settled(mib)
        say.send("loaded")
        signal.pause()


def _race(box: Box, say: Connection, go: threading.Event, mib: int) -> None:
    """Load a model for real where the ledger lets us: an overcommitted card raises OutOfMemory, and we stay silent."""
    go.wait()
    while True:
        if lease := box.ledger.take(GPU, mib, "race"):
            with lease, box.allocate(mib):
                lease.settled(mib)
                say.send("won")
                signal.pause()
        view = box.ledger.view(GPU)
        if view.free < mib and not view.loading:
            say.send("lost")
            signal.pause()
