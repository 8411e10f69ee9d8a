"""Admission over time, on a simulated machine: all ends, nobody starves, no card is overcommitted, no slot idles.

The machine raises where a lease is above what is free, where two models load at once on a card, where a kind has
more workers there than its tickets allow, and where there are more CPU batches than slots: to run to the end is to
have kept all four.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.simulation import EVICTION, MARGIN, Machine, Shared, Stage, Task, tasks
from dubd.engines.contract import Vram
from dubd.schedule.admission import PATIENCE, Capacity, Start, Waitlist, admit
from dubd.schedule.ticket import Kind, Ticket


def need(ticket: Ticket, items: int) -> int:
    assert ticket.vram
    return ticket.vram.at(items)


def decide(waiting: Waitlist, running: int, capacity: Capacity, resident: set[Kind], now: float) -> list[Start]:
    return admit(waiting, running, capacity, resident, now, need)


@st.composite
def chains(draw: st.DrawFn) -> list[Stage]:
    """Stages that follow one another, on CPU and cards, none larger than a card of 8 GiB."""
    made: list[Stage] = []
    for index in range(draw(st.integers(1, 6))):
        on_card = draw(st.booleans())
        made.append(
            Stage(
                f"s{index}",
                (f"s{draw(st.integers(0, index - 1))}",) if index and draw(st.booleans()) else (),
                each=draw(st.floats(0.1, 100.0)),
                fixed=draw(st.floats(0.0, 10.0)),
                load=draw(st.floats(0.0, 20.0)),
                share=draw(st.floats(0.1, 1.0)),
                vram=Vram(draw(st.integers(100, 5000)), draw(st.integers(1, 2000))) if on_card else None,
                batch=draw(st.integers(1, 8)),
            )
        )
    return made


def lone(name: str, mib: int, seconds: float, load: float = 1.0, share: float = 1.0) -> Stage:
    return Stage(name, (), seconds, load=load, share=share, vram=Vram(mib, 0, context=0))


def occupy(card: Shared, mib: int) -> None:
    """Somebody else takes what is left of so much."""
    card.foreign = 0
    card.foreign = max(0, min(mib, card.free))


@settings(max_examples=150, deadline=None)
@given(
    chain=chains(),
    segments=st.lists(st.integers(1, 6), min_size=1, max_size=5),
    sizes=st.lists(st.sampled_from([8192, 12000, 24576]), min_size=1, max_size=3),
    slots=st.integers(1, 3),
    foreign=st.lists(st.tuples(st.floats(0, 2000), st.integers(0, 2), st.integers(0, 24576)), max_size=6),
)
def test_every_task_ends_whatever_others_hold_meanwhile_and_no_slot_waits_for_a_card(
    chain: list[Stage], segments: list[int], sizes: list[int], slots: int, foreign: list[tuple[float, int, int]]
) -> None:
    machine = Machine(decide, tasks(chain, segments), sizes, slots)
    for when, index, mib in foreign:
        machine.at(when, partial(occupy, machine.cards[index % len(sizes)], mib))
    for card in machine.cards:
        machine.at(2001.0, partial(occupy, card, 0))
    for _ in machine.steps():
        assert machine.running == slots or not machine.waiting.lines(gpu=False)
    assert len(machine.ended) == len(chain) * sum(segments)


@settings(max_examples=25, deadline=None)
@given(
    small=st.lists(st.tuples(st.integers(200, 3000), st.floats(5.0, 120.0)), min_size=1, max_size=5),
    share=st.sampled_from([1.0, 0.6, 0.3]),
    large=st.integers(3000, 8192 - MARGIN),
    cards=st.integers(1, 3),
)
def test_a_large_task_under_a_stream_of_small_ones_of_older_videos_has_its_turn(
    small: list[tuple[int, float]], share: float, large: int, cards: int
) -> None:
    hours = 1.0
    work: list[Task] = []
    for index, (mib, seconds) in enumerate(small):
        work += tasks([lone(f"small{index}", mib, seconds, share=share)], [int(hours * 3600 * cards / seconds)])
    work += [_younger(task) for task in tasks([lone("large", large, 50.0, load=10.0)], [1])]
    machine = Machine(decide, work, [8192] * cards, 0)
    for _ in machine.steps():
        if "0:large:0" in machine.ended:
            break
    # What runs when the claim is made runs on, slowed down by all that there is; each claim after it lacks less.
    slowdown = len(small) * share * math.ceil(1 / share)
    slowest = max(seconds for _, seconds in small) * slowdown + 1.0
    assert machine.ended["0:large:0"] <= PATIENCE + cards * slowest + EVICTION + 10.0 + 50.0 * (slowdown + 1)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(5.0, 100.0), min_size=2, max_size=5))
def test_kinds_that_do_not_fit_together_take_turns_and_not_every_batch(seconds: Sequence[float]) -> None:
    stages = [lone(f"s{index}", 6000, each, load=5.0) for index, each in enumerate(seconds)]
    work = [task for stage in stages for task in tasks([stage], [int(3000 / stage.each)])]
    machine = Machine(decide, work, [8192], 0)
    machine.run()
    assert machine.loads <= len(stages) + machine.now / PATIENCE * len(stages)
    first = [min(at for task, at in machine.ended.items() if f":{stage.name}:" in task) for stage in stages]
    assert max(first) <= PATIENCE + 2 * sum(seconds) + (5.0 + EVICTION) * len(stages)


def _younger(task: Task) -> Task:
    task.video = 1
    return task
