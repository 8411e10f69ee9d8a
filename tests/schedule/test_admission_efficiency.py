"""Admission is close to the best that any order of the work could do; the whole table is benchmarks/scheduler.py."""

from __future__ import annotations

import pytest

from benchmarks.scheduler import CHAINS, SLOTS, bounds, fifo, lengths, ours
from benchmarks.simulation import Machine, tasks


@pytest.mark.parametrize("gib", [24, 80])
@pytest.mark.parametrize("chain", ["sound", "musetalk", "wav2lip", "latentsync"])
def test_twenty_videos_on_two_cards_end_within_a_twentieth_of_the_bound(chain: str, gib: int) -> None:
    segments, cards = lengths(20), [gib * 1024] * 2
    bound = max(bounds(CHAINS[chain], segments, cards, 2 * SLOTS).values())
    spent = Machine(ours, tasks(CHAINS[chain], segments), cards, 2 * SLOTS).run()
    assert bound <= spent <= 1.05 * bound


def test_where_models_are_small_work_is_done_twice_as_fast_as_one_task_a_device() -> None:
    segments, cards = lengths(20), [24 * 1024] * 2
    spent = Machine(ours, tasks(CHAINS["sound"], segments), cards, 2 * SLOTS).run()
    former = Machine(fifo, tasks(CHAINS["sound"], segments), cards, 2 * SLOTS, aged=False).run()
    assert former >= 2 * spent


@pytest.mark.parametrize("gib", [24, 80])
def test_a_model_is_loaded_a_few_times_and_not_for_every_video(gib: int) -> None:
    machine = Machine(ours, tasks(CHAINS["latentsync"], lengths(20)), [gib * 1024], SLOTS)
    machine.run()
    # Five models. All fit a card of 80 GiB; on 24 the largest leaves no room for the second one.
    assert machine.loads <= (5 if gib == 80 else 15)
