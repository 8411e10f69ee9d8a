"""Room on the disk: who may start beside whom, and what the scheduler does with those that may not."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubd.errors import DubdError, Exit
from dubd.schedule.admission import Capacity
from dubd.schedule.executor import Executor, Slot
from dubd.schedule.room import RESERVE, Room, fitting, need, shortage
from dubd.schedule.scheduler import Scheduler
from dubd.schedule.ticket import Again, Space, Ticket
from dubd.schedule.waitlist import Waiting
from dubd.stages.job import Outcome

MIB = 1 << 20
sizes = st.integers(0, 50)


@given(st.lists(sizes, max_size=30), st.integers(-20, 400))
def test_what_may_start_together_fits_and_what_may_not_did_not_fit_at_its_turn(needs: list[int], room: int) -> None:
    chosen = fitting(needs, room)
    left = room
    for each, fits in zip(needs, chosen, strict=True):
        assert fits == (each <= left)
        left -= each if fits else 0
    assert left >= min(room, 0)


class Disk:
    """A disk of so many MiB beside the reserve."""

    def __init__(self, mib: int) -> None:
        self.free = RESERVE + mib * MIB

    def __call__(self, folder: Path) -> int:
        assert folder.is_dir()
        return self.free

    def take(self, mib: int) -> None:
        self.free -= mib * MIB


def ticket(folder: Path, task: str, mib: int, out: str | None = None, copies: tuple[str, ...] = ()) -> Ticket:
    outputs = {"out": out} if out else {}
    return Ticket(task, "extract", None, {}, {}, outputs, {}, space=Space(folder, mib * MIB, copies))


@given(disk=st.integers(0, 200), steps=st.lists(st.tuples(st.booleans(), st.integers(0, 80)), max_size=40))
def test_what_runs_never_needs_more_than_there_is_beside_the_reserve(disk: int, steps: list[tuple[bool, int]]) -> None:
    """Tasks start and end in any order; each has written all that it was promised when it ends."""
    there, running = Disk(disk), list[tuple[str, int]]()
    room = Room(there)
    for number, (start, mib) in enumerate(steps):
        room.look()
        if start and room.take(ticket(Path("/"), str(number), mib)):
            running.append((str(number), mib))
        elif not start and running:
            name, wrote = running.pop(0)
            there.take(wrote)
            room.end(name)
        assert there.free - sum(size * MIB for _, size in running) >= RESERVE


class TestAnEstimate:
    def test_a_file_that_is_copied_counts_with_the_size_that_it_has_now(self, tmp_path: Path) -> None:
        render = tmp_path / "render.mp4"
        space = Space(tmp_path, 10, (str(render),))
        assert need(space) == 10
        render.write_bytes(b"x" * 100)
        assert need(space) == 110

    def test_what_a_running_task_has_written_already_is_not_asked_for_again(self, tmp_path: Path) -> None:
        out = tmp_path / "video.mp4"
        there = Disk(10)
        room = Room(there)
        first = ticket(tmp_path, "first", 6, str(out))
        assert room.take(first)
        room.begin(first)
        room.look()
        assert not room.fits(ticket(tmp_path, "second", 8))
        out.write_bytes(b"x" * 6 * MIB)
        there.take(2)  # somebody else made room meanwhile
        room.look()
        assert room.fits(ticket(tmp_path, "second", 8))

    def test_a_folder_that_is_gone_holds_nobody_up(self, tmp_path: Path) -> None:
        gone = ticket(tmp_path / "gone", "gone", 1 << 30)
        assert Room().take(gone)
        assert shortage(gone.space) is None


class Slots(Executor):
    """So many CPU slots; a task ends when its name is let go, and writes what it was promised."""

    def __init__(self, slots: int, disk: Disk) -> None:
        self.slots, self.disk = slots, disk
        self.begun: list[str] = []
        self.go: dict[str, threading.Event] = {}
        self._guard = threading.Lock()

    def capacity(self) -> Capacity:
        return Capacity(self.slots)

    def resident(self) -> set[tuple[str, ...]]:
        return set()

    def run(self, slot: Slot, tickets: Sequence[Ticket], heard: Callable[[int, float], None]) -> list[Outcome | Again]:
        del slot, heard
        for one in tickets:
            with self._guard:
                self.begun.append(one.task)
                event = self.go.setdefault(one.task, threading.Event())
            assert event.wait(20)
            assert one.space
            self.disk.free -= one.space.writes
        return [{} for _ in tickets]


class Bunch:
    """A source of tickets that are all ready at once."""

    def __init__(self, *tickets: Ticket) -> None:
        self.left = {one.task: one for one in tickets}
        self.running: set[str] = set()
        self.ended: dict[str, Outcome] = {}
        self.given_up: Exception | None = None
        self._told: tuple[Ticket, ...] = ()

    def ready(self) -> Sequence[Ticket]:
        if {one.task for one in self._told} != self.left.keys():
            self._told = tuple(self.left.values())
        return self._told

    def begin(self, task: str) -> Ticket | None:
        self.running.add(task)
        return replace(self.left.pop(task))

    def progress(self, task: str, fraction: float) -> None:
        assert task in self.running and 0 <= fraction <= 1

    def finish(self, task: str, outcome: Outcome, seconds: float) -> None:
        assert seconds >= 0
        self.running.remove(task)
        self.ended[task] = outcome

    def again(self, task: str) -> None:
        raise AssertionError(task)

    def abandon(self, error: Exception) -> None:
        self.given_up = error
        self.left.clear()

    @property
    def done(self) -> bool:
        return not self.left and not self.running


class Stage:
    """A scheduler over a disk, turned by hand."""

    def __init__(self, folder: Path, mib: int, *, slots: int = 4, patient: bool = True) -> None:
        self.folder, self.disk = folder, Disk(mib)
        self.executor = Slots(slots, self.disk)
        self.room = Room(self.disk)
        self.scheduler = Scheduler(self.executor, patient=patient, room=self.room)

    def add(self, **needs: int) -> Bunch:
        bunch = Bunch(*(ticket(self.folder, task, mib) for task, mib in needs.items()))
        self.scheduler.add(bunch)
        return bunch

    def until(self, reached: Callable[[], bool]) -> None:
        for _ in range(200):
            if reached():
                return
            self.scheduler.step(0.02)
        raise AssertionError(f"not reached: {self.executor.begun}, {self.room.short}")

    def turn(self, times: int = 3) -> None:
        for _ in range(times):
            self.scheduler.step(0.01)

    def end(self, task: str) -> None:
        self.until(lambda: task in self.executor.go)
        self.executor.go[task].set()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    made: list[Stage] = []

    def build(mib: int, **more: int | bool) -> Stage:
        made.append(Stage(tmp_path, mib, **more))  # type: ignore[arg-type]
        return made[-1]

    yield build
    for each in made:
        for event in each.executor.go.values():
            event.set()


def test_two_that_fit_alone_do_not_start_both(stage: Callable[..., Stage]) -> None:
    two = stage(10)
    bunch = two.add(a=6, b=6)
    two.turn()
    assert two.executor.begun == ["a"]
    assert two.room.short is None  # b may fit once a has ended: nothing to tell anybody
    two.end("a")
    two.until(lambda: "a" in bunch.ended)
    two.turn()
    assert two.executor.begun == ["a"]  # it has written what it was promised: b must wait for a person
    assert two.room.short is not None
    two.disk.take(-2)
    two.end("b")
    two.until(lambda: bunch.done)
    assert two.room.short is None


def test_what_fits_goes_on_beside_what_does_not(stage: Callable[..., Stage]) -> None:
    one = stage(10, slots=1)
    one.add(large=50, small=1)
    other = one.add(tiny=1)
    one.end("small")
    one.end("tiny")
    one.until(lambda: other.done)
    assert one.executor.begun == ["small", "tiny"]


def test_the_oldest_is_served_first_once_there_is_room(stage: Callable[..., Stage]) -> None:
    one = stage(0, slots=1)
    one.add(old=5)
    one.add(young=5)
    one.turn()
    assert one.executor.begun == []
    assert one.scheduler.load == (0, 2)
    one.disk.take(-5)
    one.until(lambda: bool(one.executor.begun))
    assert one.executor.begun == ["old"]


def test_nothing_at_all_starts_into_the_reserve(stage: Callable[..., Stage]) -> None:
    full = stage(-1)
    full.add(nothing=0)
    full.turn()
    assert full.executor.begun == []


def test_who_waits_says_so_once_and_says_when_it_goes_on(
    stage: Callable[..., Stage], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    full = stage(3)
    with caplog.at_level(logging.WARNING, "dubd.disk"):
        full.add(a=1024, b=2048)
        full.turn(10)
        assert [record.getMessage() for record in caplog.records] == [
            f"waiting for 1.2 GiB on {tmp_path}: 259.0 MiB free; it goes on by itself once there is, "
            "`dubd clean` makes some"
        ]
        full.disk.take(-4096)
        full.turn()
        assert caplog.records[-1].getMessage() == f"there is room on {tmp_path} again: it goes on"
    assert len(caplog.records) == 2
    assert sorted(full.executor.begun) == ["a", "b"]


def test_who_does_not_wait_gives_up_once_nothing_else_can_be_done(stage: Callable[..., Stage], tmp_path: Path) -> None:
    hasty = stage(3, patient=False)
    lacking, sound = hasty.add(large=1024), hasty.add(small=1)
    hasty.turn()
    assert lacking.given_up is None
    hasty.end("small")
    hasty.until(lambda: lacking.done and sound.done)
    assert sound.given_up is None
    assert isinstance(lacking.given_up, DubdError)
    assert lacking.given_up.exit == Exit.WORKSPACE
    assert str(lacking.given_up) == (
        f"{tmp_path}: extract: no space left on the disk: this takes 1.2 GiB, 258.0 MiB are free; "
        "free some space, or have `dubd clean` do it, and run again"
    )
    assert not hasty.scheduler.busy


def test_a_build_that_is_given_up_waits_for_nothing(stage: Callable[..., Stage]) -> None:
    full = stage(0)
    bunch = full.add(a=1)
    full.turn()
    bunch.abandon(RuntimeError())
    full.turn()
    assert full.scheduler.load == (0, 0)
    assert full.room.short is None


def test_tickets_of_two_disks_do_not_count_on_each_other(tmp_path: Path) -> None:
    folders = {Path("/proc"), tmp_path}  # two file systems
    room = Room(lambda folder: RESERVE + (5 if folder == tmp_path else 0) * MIB)
    for number, folder in enumerate(sorted(folders)):
        room.hold(Waiting(0, number, ticket(folder, str(folder), 5), 0.0))
    assert [one.ticket.task for one in room.released()] == [str(tmp_path)]
    assert room.count == 1


def test_no_new_video_comes_to_a_full_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    disk = Disk(-1)
    room = Room(disk)
    with caplog.at_level(logging.WARNING, "dubd.disk"):
        assert not room.admits(tmp_path)
        assert not room.admits(tmp_path)
        room.sum_up(tell=True)  # no task waits: that says nothing of the disk
        assert len(caplog.records) == 1
        disk.take(-1)
        assert room.admits(tmp_path)
    assert len(caplog.records) == 2
