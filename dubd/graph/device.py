"""Whether a stage's engine runs on a GPU: what the rule says, what the engine can, and what this machine has."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable

from dubd.engines import registry
from dubd.engines.contract import Engine, Vram
from dubd.graph.rule import StageRule
from dubd.schedule.gpu import gpu
from dubd.schedule.ledger import MARGIN

log = logging.getLogger("dubd.gpu")


def vram(stage: str, rule: StageRule) -> Vram | None:
    """What the engine needs of a GPU; None where it runs on the CPU.

    With `device: auto` that is so on a machine without a GPU, and the log says it, once an engine. With `device: gpu`
    it never is: the task then fails. The driver is asked only for an engine that can use a GPU.
    """
    declared = _declared(stage, rule)
    if declared is None or rule.device == "cpu":
        return None
    if rule.device == "auto" and (why := gpu().why):
        _say_once(stage, rule.engine, why)
        return None
    return declared


def tell(stages: Iterable[tuple[str, StageRule]]) -> None:
    """Say now, and not when the first task is made, which engines will run on the CPU for lack of a GPU."""
    for stage, rule in stages:
        if rule.on:
            vram(stage, rule)


def refusal(stage: str, rule: StageRule) -> tuple[str, str, str] | None:
    """Why the stage can never run as the rule has it, as (key, reason, remedy); None where it can."""
    declared = _declared(stage, rule)
    if declared is None:
        return ("device", f"{rule.engine} cannot use a GPU", "remove it") if rule.device == "gpu" else None
    if rule.device == "cpu":
        return None
    machine = gpu()
    if why := machine.why:
        reason, remedy = f"{rule.engine} asks for a GPU, but there is none here: {why}", "use device: auto, or cpu"
        return ("device", reason, remedy) if rule.device == "gpu" else None
    need, largest = rule.vram or declared.at(1), max(device.total for device in machine.devices()) - MARGIN
    if need <= largest:
        return None
    reason = f"{rule.engine} asks for {need / 1024:.1f} GiB; the largest GPU here has {largest / 1024:.1f}"
    remedy = "give it less with vram:" if rule.vram else "use a smaller model, precision: fp16, or device: cpu"
    return "vram" if rule.vram else "engine", reason, remedy


def _declared(stage: str, rule: StageRule) -> Vram | None:
    engine = registry.find(stage, rule.engine)
    if engine.vram.__func__ is Engine.vram.__func__:  # type: ignore[attr-defined]  # asked for every task of a video
        return None
    return engine.vram(engine.Params(**rule.params), rule.precision)


@functools.cache
def _say_once(stage: str, engine: str, why: str) -> None:
    log.warning("NO GPU: %s with %s runs on the CPU, which is slow: %s", stage, engine, why)
