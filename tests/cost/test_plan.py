"""dubd plan: exact figures from made records, published ones marked, and what is unknown told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dubd.cost.chain import Link, chain
from dubd.cost.measured import CPU, Kind, Median, signature
from dubd.cost.plan import Asked, Machine, plan
from dubd.cost.prices import Prices
from dubd.graph.rule import Rule
from dubd.graph.steps import Step, plan_step, steps
from tests.cost.shipped import shipped

CARD = "NVIDIA H200"


def known(rule: Rule, seconds: float, *, on: dict[str, str] | None = None) -> dict[Kind, Median]:
    """Each stage of a rule as measured with so many seconds per second of video; `on` names the GPU of a stage."""
    segment = {"id": "000", "start": 0.0, "end": 20.0}
    picture = {"rate": "25/1", "copy": True}
    sample = {"source": {"sha256": ""}, "picture": picture, "sound": {}, "start": 0, "frames": 500, "samples": 960000}
    made: list[Step] = [plan_step(rule, "s"), *steps(rule, sample | {"segments": [segment]}, "s", None, "")]
    return {(s.stage, signature(s.key), (on or {}).get(s.stage, CPU)): Median(seconds, 7) for s in made}


def links(rule: Rule, medians: dict[Kind, Median]) -> dict[str, Link]:
    return {link.stage: link for link in chain(rule, medians, [CARD], gpus=True)}


def test_the_chain_is_that_of_the_graph() -> None:
    found = links(shipped("lite"), {})
    assert found["extract"].after == ("plan",)
    assert found["speak"].after == ("extract", "voice", "translate")
    assert found["lipsync"].after == ("extract", "faces", "speak")
    assert [name for name, link in found.items() if link.whole] == ["plan", "voice", "assemble"]


def test_what_was_measured_is_counted_to_the_second() -> None:
    rule = shipped("lite")
    data = plan(rule, Asked([600.0] * 6), known(rule, 0.1), Machine(2))
    assert {row["origin"] for row in data["stages"]} == {"measured"}
    assert {row["seconds_per_hour"] for row in data["stages"]} == {360.0}
    assert data["core_hours"] == pytest.approx(0.1 * len(data["stages"]), abs=1e-4)
    assert (data["gpu_hours"], data["unknown"]) == (0.0, [])
    whole = 3 * 0.1 * 600  # plan, voice, assemble of one video
    assert data["here"]["seconds"] == pytest.approx(3600 * data["core_hours"] / 2 + whole / 2, abs=0.2)
    assert data["here"]["by"] == "CPU"


def test_another_engine_s_seconds_do_not_count() -> None:
    rule = shipped("lite")
    espeak = rule.stages.speak
    other = rule.model_copy(
        update={
            "stages": rule.stages.model_copy(update={"speak": espeak.model_copy(update={"params": {"voice": "x"}})})
        }
    )
    found = links(rule, known(other, 0.1))
    assert found["speak"].origin == "published"
    assert found["render"].origin == "measured"


def test_published_figures_are_marked_with_card_and_source() -> None:
    found = links(shipped("english-spanish"), {})
    lips = found["lipsync"]
    assert (lips.origin, lips.device, lips.gpu) == ("published", "T4", True)
    assert lips.seconds == pytest.approx(1 / 0.22)
    assert "#584" in lips.source
    assert found["speak"].seconds == pytest.approx(0.14)
    # 600 sentences an hour, 58.3 a second; over a pivot each of them twice.
    assert found["translate"].seconds == pytest.approx(600 / 58.3 / 3600)
    assert links(shipped("kannada-hindi"), {})["translate"].seconds == pytest.approx(2 * 600 / 58.3 / 3600)


def test_what_nobody_knows_is_told_and_not_counted() -> None:
    data = plan(shipped("english-spanish"), Asked([3600.0]), {}, Machine(8))
    assert data["unknown"] == ["plan", "voice", "assemble"]
    assert [row["hours"] for row in data["stages"] if row["stage"] == "voice"] == [None]


def test_a_machine_without_a_gpu_is_told_so_and_the_cpu_is_planned_when_asked() -> None:
    rule = shipped("english-spanish")
    data = plan(rule, Asked([3600.0]), {}, Machine(8))
    assert data["here"]["seconds"] is None
    assert data["vram"]["needed"] > 2000
    slow = plan(rule, Asked([3600.0], gpus=0), known(rule, 2.0), Machine(8))
    assert {row["on"] for row in slow["stages"]} == {"cpu"}
    assert slow["here"]["seconds"] > 3600


def test_so_many_gpus_are_needed_by_then_and_one_less_is_too_few() -> None:
    rule = shipped("english-spanish")
    on = dict.fromkeys(("transcribe", "translate", "speak", "lipsync"), CARD)
    medians = known(rule, 0.5, on=on)
    here, night = Machine(16, [(CARD, 140000)]), 10 * 3600
    wanted = Asked([600.0] * 3000, within=night)
    asked = plan(rule, wanted, medians, here)["asked"]
    assert asked["seconds"] <= night
    assert asked["bottleneck"] in on
    assert asked["gpus"] >= 500 * (0.5 * 3 + 0.25) / 10  # XTTS leaves half of a card to another
    less = plan(rule, replace(wanted, within=None, gpus=asked["gpus"] - 1, cores=4096), medians, here)["asked"]
    assert less["seconds"] > night


def test_what_no_number_of_gpus_can_do_is_told() -> None:
    rule = shipped("english-spanish")
    asked = plan(rule, Asked([36000.0], within=60), {}, Machine(8))["asked"]
    assert asked["gpus"] is None
    assert asked["least"] > 60


def test_energy_price_and_the_cloud_s_price_are_of_the_same_hours() -> None:
    rule = shipped("english-spanish")
    data = plan(rule, Asked([3600.0], prices=Prices(700, 0.3, 2.0)), {}, Machine(8))
    gpu = 1 / 0.22 + 0.14 / 2 + 1 / 46 + 600 / 58.3 / 3600
    assert data["gpu_hours"] == pytest.approx(gpu, abs=1e-3)
    assert data["prices"]["kwh"] == pytest.approx(gpu * 0.7, abs=1e-3)
    assert data["prices"]["energy_price"] == pytest.approx(gpu * 0.21, abs=1e-3)
    assert data["prices"]["gpu_price"] == pytest.approx(gpu * 2, abs=1e-3)
    cloud = {one["service"]: one["price"] for one in data["cloud"]}
    assert cloud == {"HeyGen speed": 118.8, "HeyGen precision": 241.2, "Rask": None}  # those that do the lips
    silent = plan(shipped("audio-only"), Asked([3600.0]), {}, Machine(8))["cloud"]
    assert {one["service"]: one["price"] for one in silent}["ElevenLabs Dubbing"] == 36.0


def test_an_engine_that_shares_its_card_is_billed_for_its_share() -> None:
    rule = shipped("audio-only")
    data = plan(rule, Asked([600.0] * 3000, gpus=1, cores=4096, prices=Prices(gpu_hour=1.0)), {}, Machine(8))
    speak = next(row for row in data["stages"] if row["stage"] == "speak")
    assert speak["hours"] == pytest.approx(500 * 0.14 / 2)  # XTTS: two on one card
    assert speak["seconds_per_hour"] == pytest.approx(252)
    assert data["gpu_hours"] == pytest.approx(47.3, abs=0.1)
    assert data["prices"]["gpu_price"] == data["gpu_hours"]
    assert data["gpu_hours"] * 3600 == pytest.approx(data["asked"]["seconds"], rel=0.01)


def test_the_head_alone_reads_whole_videos_where_several_machines_share_no_files() -> None:
    rule = shipped("lite")
    found = links(rule, {})
    assert [name for name, link in found.items() if link.home] == ["plan", "extract", "voice", "assemble"]
    wanted = Asked([600.0] * 240, machines=64)
    many = plan(rule, wanted, {}, Machine(8))["asked"]
    assert (many["cores"], many["by"], many["bottleneck"]) == (512, "head", "extract")
    assert many["seconds"] == pytest.approx(40 * 3600 * 6.1 / 20 / 8, rel=0.01)
    one = plan(rule, replace(wanted, machines=1, cores=512), {}, Machine(8))["asked"]
    assert one["seconds"] < many["seconds"] / 5


def test_by_then_with_so_many_cores_is_held_to_them() -> None:
    rule = shipped("lite")
    wanted = Asked([600.0] * 60, cores=2, within=3600)
    data = plan(rule, wanted, known(rule, 0.1), Machine(64))
    asked = data["asked"]
    assert (asked["gpus"], asked["given"]) == (None, {"gpus": None, "cores": 2})
    assert asked["least"] == pytest.approx(3600 * data["core_hours"] / 2, rel=0.01)
    asked = plan(rule, replace(wanted, cores=32), known(rule, 0.1), Machine(64))["asked"]
    assert asked["cores"] == 32
    assert asked["seconds"] < 3600


def test_by_then_with_so_many_gpus_is_held_to_them() -> None:
    rule = shipped("english-spanish")
    wanted = Asked([600.0] * 60, gpus=2, within=3600)
    asked = plan(rule, wanted, {}, Machine(8))["asked"]
    assert asked["gpus"] is None
    assert asked["least"] == pytest.approx(10 * 3600 * (1 / 0.22 + 0.07) / 2, rel=0.02)


def test_a_clip_is_all_that_is_planned_of_a_video() -> None:
    rule = shipped("lite")
    short = rule.model_copy(
        update={"clip": type(rule).model_validate(rule.model_dump() | {"clip": {"duration": 15.0}}).clip}
    )
    assert plan(short, Asked([600.0, 10.0]), {}, Machine(2))["hours"] == pytest.approx(25 / 3600, abs=1e-4)
