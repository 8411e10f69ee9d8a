"""The scheduler: every ticket of every build is run once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest

from dubd.engines.contract import Vram
from dubd.errors import DubdError
from dubd.schedule import placing
from dubd.schedule.admission import Capacity, Card, Start
from dubd.schedule.executor import Executor, Slot
from dubd.schedule.scheduler import Scheduler
from dubd.schedule.ticket import Again, Ticket
from dubd.stages.job import Outcome
from tests.schedule.cards import Tickets, wait_until


def ticket(task: str, stage: str = "speak", engine: str | None = "espeak", batch: int = 1) -> Ticket:
    return Ticket(task, stage, engine, {}, {}, {}, {}, batch=batch)


class Chain:
    """A source of `length` tickets that become ready one after the other."""

    def __init__(self, name: str, length: int, refuse: str = "") -> None:
        self.left = [ticket(f"{name}:{i}") for i in range(length)]
        self.running: list[str] = []
        self.ended: list[tuple[str, Outcome]] = []
        self.refuse = refuse

    def ready(self) -> Sequence[Ticket]:
        return self.left[:1] if not self.running else []

    def begin(self, task: str) -> Ticket | None:
        first = self.left.pop(0)
        assert first.task == task
        if task == self.refuse:
            self.ended.append((task, DubdError("refused")))
            return None
        self.running.append(task)
        return replace(first, outputs={"out": "private"})

    def progress(self, task: str, fraction: float) -> None:
        assert task in self.running
        assert 0 <= fraction <= 1

    def finish(self, task: str, outcome: Outcome, seconds: float) -> None:
        assert seconds >= 0
        self.running.remove(task)
        self.ended.append((task, outcome))

    def again(self, task: str) -> None:
        self.running.remove(task)
        self.left.insert(0, ticket(task))

    def abandon(self, error: Exception) -> None:
        self.left.clear()
        self.running.clear()
        self.ended.append(("abandoned", DubdError(str(error))))

    @property
    def done(self) -> bool:
        return not self.left and not self.running


class Counting(Executor):
    """An executor that notes how many batches overlap."""

    def __init__(self, slots: int) -> None:
        self.slots, self.now, self.most = slots, 0, 0
        self.guard = threading.Lock()

    def capacity(self) -> Capacity:
        return Capacity(self.slots)

    def resident(self) -> set[tuple[str, ...]]:
        return set()

    def run(self, slot: Slot, tickets: Sequence[Ticket], heard: Callable[[int, float], None]) -> list[Outcome | Again]:
        del slot
        with self.guard:
            self.now += 1
            self.most = max(self.most, self.now)
        heard(0, 0.5)
        time.sleep(0.005)
        with self.guard:
            self.now -= 1
        return [{} for _ in tickets]


def test_runs_every_ticket_of_every_build_in_its_slots() -> None:
    executor = Counting(2)
    scheduler = Scheduler(executor)
    chains = [Chain(name, 5) for name in "abc"]
    for chain in chains:
        scheduler.add(chain)
    scheduler.run()
    assert [[task for task, _ in chain.ended] for chain in chains] == [[f"{n}:{i}" for i in range(5)] for n in "abc"]
    assert executor.most == 2


def test_a_build_that_is_to_be_first_goes_before_those_that_wait() -> None:
    scheduler = Scheduler(Counting(1))
    old, new, edit = Tickets([ticket("old:0")]), Tickets([ticket("new:0")]), Tickets([ticket("edit:0")])
    begun: list[str] = []
    for source in (old, new, edit):
        begin = source.begin
        source.begin = lambda task, begin=begin: (begun.append(task), begin(task))[1]  # type: ignore[method-assign]
        scheduler.add(source, first=source is edit)
    scheduler.run()
    assert begun == ["edit:0", "old:0", "new:0"]


def test_a_ticket_that_its_build_refuses_holds_nobody_up() -> None:
    scheduler = Scheduler(Counting(1))
    chain = Chain("a", 3, refuse="a:1")
    scheduler.add(chain)
    scheduler.run()
    assert [task for task, _ in chain.ended] == ["a:0", "a:1", "a:2"]


def test_stop_lets_what_runs_end_and_starts_nothing_more() -> None:
    scheduler = Scheduler(Counting(1))
    chain = Chain("a", 100)
    scheduler.add(chain)
    scheduler.step(0.0)
    scheduler.stop()
    scheduler.run()
    assert [task for task, _ in chain.ended] == ["a:0"]


def test_an_executor_that_cannot_run_a_ticket_fails_it_and_gives_the_slot_back() -> None:
    class Broken(Counting):
        def run(
            self, slot: Slot, tickets: Sequence[Ticket], heard: Callable[[int, float], None]
        ) -> list[Outcome | Again]:
            raise FileNotFoundError(2, f"no interpreter for {tickets[0].task} {heard} {slot}")

    scheduler = Scheduler(Broken(1))
    chain = Chain("a", 2)
    scheduler.add(chain)
    scheduler.run()
    assert [task for task, _ in chain.ended] == ["a:0", "a:1"]
    assert all("could not be run" in str(outcome) for _, outcome in chain.ended)


def test_a_build_that_breaks_is_given_up_and_the_others_go_on() -> None:
    class Brittle(Chain):
        def finish(self, task: str, outcome: Outcome, seconds: float) -> None:
            raise RuntimeError(f"the folder of {task} is gone after {seconds} s: {outcome}")

    scheduler = Scheduler(Counting(2))
    brittle, sound = Brittle("a", 3), Chain("b", 3)
    scheduler.add(brittle)
    scheduler.add(sound)
    scheduler.run()
    assert [task for task, _ in brittle.ended] == ["abandoned"]
    assert [task for task, _ in sound.ended] == ["b:0", "b:1", "b:2"]


def test_a_task_that_is_to_be_run_again_keeps_its_place_and_has_not_ended() -> None:
    class Forgetful(Counting):
        def __init__(self) -> None:
            super().__init__(1)
            self.tasks: list[str] = []

        def run(
            self, slot: Slot, tickets: Sequence[Ticket], heard: Callable[[int, float], None]
        ) -> list[Outcome | Again]:
            self.tasks += [ticket.task for ticket in tickets]
            if self.tasks == ["a:0"]:
                return [Again("once more")]
            return super().run(slot, tickets, heard)

    executor = Forgetful()
    scheduler = Scheduler(executor)
    chains = [Chain("a", 2), Chain("b", 1)]
    for chain in chains:
        scheduler.add(chain)
    scheduler.run()
    assert executor.tasks == ["a:0", "a:0", "a:1", "b:0"]
    assert [task for task, _ in chains[0].ended] == ["a:0", "a:1"]


def test_tickets_that_wait_are_looked_at_once_and_not_with_every_turn() -> None:
    class Counted(list[Ticket]):
        looks = 0

        def __iter__(self) -> Iterator[Ticket]:
            self.looks += 1
            return super().__iter__()

    class Patient(OnCard):
        def __init__(self) -> None:
            super().__init__("a", 1)
            self.told = Counted(self.left)

        def ready(self) -> Sequence[Ticket]:
            return self.told

    scheduler, waits = Scheduler(OneCard(1)), Patient()
    scheduler.add(waits)
    for _ in range(5):
        scheduler.step(0.01)
    assert waits.told.looks == 1


class OneCard(Counting):
    """A CPU slot and a card on which somebody else has the memory until `free` is set."""

    free = False

    def cards(self) -> tuple[Card, ...]:
        return (Card("GPU-0", largest=1000, free=1000),)

    def need(self, ticket: Ticket, batch: int) -> int:
        return ticket.vram.at(batch) if ticket.vram else 0

    def reserve(self, start: Start) -> Slot | None:
        return Slot() if self.free or start.card is None else None


class OnCard(Chain):
    """A chain whose first ticket wants a card."""

    def __init__(self, name: str, length: int) -> None:
        super().__init__(name, length)
        self.left[0] = replace(self.left[0], vram=Vram(100, 10))


def until_the_cpu_is_done(executor: OneCard) -> tuple[Scheduler, OnCard, Chain]:
    """A scheduler with a ticket that waits for a card, and a chain for the CPU that it has run meanwhile."""
    scheduler = Scheduler(executor)
    waits, works = OnCard("a", 1), Chain("b", 3)
    scheduler.add(waits)
    scheduler.add(works)
    while not works.done:
        scheduler.step(0.05)
    return scheduler, waits, works


def test_what_waits_for_a_card_is_not_begun_and_keeps_no_cpu_ticket_waiting() -> None:
    executor = OneCard(1)
    scheduler, waits, works = until_the_cpu_is_done(executor)
    assert [task for task, _ in works.ended] == ["b:0", "b:1", "b:2"]
    assert waits.left
    assert not waits.running
    executor.free = True
    scheduler.run()
    assert [task for task, _ in waits.ended] == ["a:0"]


def test_a_card_is_no_cpu_slot() -> None:
    class Meeting(OneCard):
        free = True
        both = threading.Barrier(2, timeout=30)

        def run(
            self, slot: Slot, tickets: Sequence[Ticket], heard: Callable[[int, float], None]
        ) -> list[Outcome | Again]:
            self.both.wait()
            return super().run(slot, tickets, heard)

    scheduler = Scheduler(Meeting(1))
    card, cpu = OnCard("a", 1), Chain("b", 1)
    scheduler.add(card)
    scheduler.add(cpu)
    scheduler.run()
    assert card.ended == [("a:0", {})]
    assert cpu.ended == [("b:0", {})]


def test_each_ticket_that_could_not_be_run_fails_by_its_own_name() -> None:
    class Nowhere(Counting):
        def run(
            self, slot: Slot, tickets: Sequence[Ticket], heard: Callable[[int, float], None]
        ) -> list[Outcome | Again]:
            del slot, heard
            assert len(tickets) == 2
            raise OSError("no such interpreter")

    scheduler, source = Scheduler(Nowhere(1)), Tickets([ticket(f"speak:{name}", batch=2) for name in "ef"])
    scheduler.add(source)
    scheduler.run()
    assert {task: error.file for task, error in source.ended.items() if isinstance(error, DubdError)} == {
        "speak:e": "speak:e",
        "speak:f": "speak:f",
    }


class Mute(OneCard):
    """Its driver does not answer before `answer` is set: to a look, or to what takes a lease."""

    free = True

    def __init__(self, *, look: bool) -> None:
        super().__init__(1)
        self.look, self.answer = look, threading.Event()
        self.closed: list[bool] = []

    def cards(self) -> tuple[Card, ...]:
        assert not self.look or self.answer.wait(30)
        return super().cards()

    def reserve(self, start: Start) -> Slot | None:
        assert start.card is None or self.answer.wait(30)
        slot = Slot()
        slot.close = lambda: self.closed.append(start.card is not None)  # type: ignore[method-assign]
        return slot


@pytest.mark.parametrize("look", [True, False], ids=["look", "lease"])
def test_a_driver_that_does_not_answer_holds_up_what_waits_for_a_card_and_nothing_else(look: bool) -> None:
    executor = Mute(look=look)
    scheduler, waits, _ = until_the_cpu_is_done(executor)
    assert waits.left
    executor.answer.set()
    scheduler.run()
    assert [task for task, _ in waits.ended] == ["a:0"]


def test_a_driver_that_does_not_answer_is_told_once_and_does_not_keep_us_from_stopping(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placing, "_LATE", 0.1)
    scheduler = Scheduler(Mute(look=True))
    scheduler.add(OnCard("a", 1))
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            scheduler.step(0.1)
    assert sum("not answered" in record.message for record in caplog.records) == 1
    scheduler.stop()
    scheduler.run()


def test_what_was_reserved_for_a_build_that_was_given_up_meanwhile_is_given_back() -> None:
    executor = Mute(look=False)
    scheduler = Scheduler(executor)
    waits = OnCard("a", 1)
    scheduler.add(waits)
    for _ in range(3):
        scheduler.step(0.1)
    waits.abandon(OSError("the folder is gone"))
    scheduler.step(0.1)
    executor.answer.set()
    assert wait_until(lambda: executor.closed == [True])
    assert [task for task, _ in waits.ended] == ["abandoned"]
