"""Whether a stage's engine runs on a GPU: what the rule says, what the engine can, and what this machine has."""

from __future__ import annotations

import functools
import logging

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


def refusal(stage: str, rule: StageRule) -> tuple[str, str, str] | None:
    """Why the stage can never run as the rule has it, as (key, reason, remedy); None where it can."""
    declared = _declared(stage, rule)
    if declared is None:
        return ("device", f"{rule.engine} cannot use a GPU", "remove it") if rule.device == "gpu" else None
    if rule.device == "cpu":
        return None
    machine = gpu()
    if why := machine.why:
        return ("device", f"{rule.engine} is to run on a GPU: {why}", "device: cpu") if rule.device == "gpu" else None
    need, largest = rule.vram or declared.at(1), max(device.total for device in machine.devices()) - MARGIN
    if need <= largest:
        return None
    reason = f"{rule.engine} asks for {need / 1024:.1f} GiB; the largest GPU here has {largest / 1024:.1f}"
    return "vram" if rule.vram else "engine", reason, "a smaller model or precision, or device: cpu"


def _declared(stage: str, rule: StageRule) -> Vram | None:
    engine = registry.find(stage, rule.engine)
    if engine.vram.__func__ is Engine.vram.__func__:  # type: ignore[attr-defined]  # asked for every task of a video
        return None
    return engine.vram(engine.Params(**rule.params), rule.precision)


@functools.cache
def _say_once(stage: str, engine: str, why: str) -> None:
    log.warning("NO GPU: %s with %s runs on the CPU, which is slow: %s", stage, engine, why)
