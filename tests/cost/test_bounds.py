"""The plan's arithmetic: bounds, what a schedule loses at its ends, and the same as the simulated scheduler's time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.plan import both, work
from benchmarks.scale import EACH, HOME, Cluster
from benchmarks.scheduler import CHAINS, SLOTS
from benchmarks.simulation import tasks
from dubd.cost.bounds import Stage, bounds, makespan
from dubd.engines.contract import Vram
from tests.cost.shipped import shipped

GPU = Vram(1000, 100)


def test_cpu_work_is_shared_by_the_slots_and_whole_stages_leave_all_but_one_idle() -> None:
    chain = [Stage("a", (), 10.0), Stage("b", ("a",), 5.0), Stage("whole", ("b",), 4.0, whole=True)]
    assert bounds(chain, [6], [], 2) == {"path": 19.0, "CPU": (6 * 15 + 4) / 2}
    assert makespan(chain, [6], [], 2) == (47.0 + 4 * (1 - 1 / 2), "CPU")


def test_two_stages_that_fill_a_card_follow_each_other_on_it() -> None:
    chain = [Stage("a", (), 10.0, vram=GPU, load=0.0), Stage("b", ("a",), 30.0, vram=GPU, load=0.0)]
    assert bounds(chain, [100], [24000], 8)["GPU"] == 100 * 40
    assert bounds(chain, [100], [24000] * 4, 8)["GPU"] == 100 * 40 / 4


def test_more_slots_than_work_leave_the_way_through_one_video() -> None:
    chain = [Stage("a", (), 10.0), Stage("b", ("a",), 5.0)]
    assert makespan(chain, [3], [], 1000) == (15.0, "path")


def test_what_reads_whole_videos_has_the_head_s_slots_alone() -> None:
    chain = [Stage("a", (), 10.0, home=True), Stage("b", ("a",), 5.0), Stage("all", ("b",), 4.0, whole=True, home=True)]
    assert bounds(chain, [600], [], 64)["CPU"] == pytest.approx((600 * 15 + 4) / 64)
    assert makespan(chain, [600], [], 64, head=2) == ((600 * 10 + 4) / 2 + 4 / 2, "head")
    assert "head" in bounds([*chain, Stage("c", (), 1.0, vram=GPU)], [600], [24000], 64, head=2)


@pytest.mark.parametrize("nodes", [4, 16])
def test_a_cluster_by_value_takes_what_it_takes_on_paper(nodes: int) -> None:
    segments = [600 // EACH] * 240
    chain = [replace(stage, home=stage.name in HOME) for stage in CHAINS["lite"]]
    spent = Cluster(tasks(chain, segments), nodes, gpus=False, shared=False).run()
    assert spent == pytest.approx(makespan(chain, segments, [], SLOTS * nodes, head=SLOTS)[0], rel=0.1)


# The issue asks for 10 %; 500 hours are benchmarks/plan.py's.
@pytest.mark.parametrize(
    ("rule", "gpus"), [("english-spanish", 1), ("english-spanish", 4), ("audio-only", 2), ("lite", 1)]
)
def test_twenty_hours_take_what_the_simulated_scheduler_takes(rule: str, gpus: int) -> None:
    planned, spent, _ = both(work(shipped(rule), 20), gpus, SLOTS * gpus)
    assert spent == pytest.approx(planned, rel=0.1)
