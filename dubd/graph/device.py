"""Whether a stage's engine runs on a GPU: what the rule says, what the engine can, and what there is."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from dubd.engines import registry
from dubd.engines.contract import Engine, Vram
from dubd.graph.rule import StageRule
from dubd.schedule.estimates import apart
from dubd.schedule.gpu import reachable
from dubd.schedule.ledger import MARGIN

log = logging.getLogger("dubd.gpu")
_said: set[tuple[str, str, str]] = set()  # stage, engine, and why there is no GPU


def vram(stage: str, rule: StageRule) -> Vram | None:
    """What the engine needs of a GPU; None where it runs on the CPU.

    With `device: auto` that is so on a machine without a GPU, and the log says it, once an engine, and again when there
    is one. With `device: gpu` it never is: the task then fails. The driver is asked only where the engine can use one.
    """
    declared = declares(stage, rule)
    if declared is None or rule.device == "cpu":
        return None
    if rule.device == "auto":
        devices, why = reachable()
        if why is not None:
            _say([(stage, rule.engine)], why)
            return None
        if _said:
            _said.clear()
            names = ", ".join(device.name for device in devices)
            log.warning("a GPU is here now: %s; what is built from now on may run on it", names)
    return declared


def tell(stages: Iterable[tuple[str, StageRule]]) -> None:
    """Say now, in one line, which engines will run on the CPU for lack of a GPU, and not when their first task is made.

    `stages` are those of all rules that there are.
    """
    able = [
        (stage, rule.engine) for stage, rule in stages if rule.on and rule.device == "auto" and declares(stage, rule)
    ]
    if able and (why := reachable()[1]):
        _say(able, why)


def refusal(stage: str, rule: StageRule) -> tuple[str, str, str] | None:
    """Why the stage can never run as the rule has it, as (key, reason, remedy); None where it can."""
    declared = declares(stage, rule)
    if declared is None:
        return ("device", f"{rule.engine} cannot use a GPU", "remove it") if rule.device == "gpu" else None
    if rule.device == "cpu":
        return None
    if rule.vram and rule.vram < (least := declared.at(1)):  # it would run out, load after load
        reason = f"vram: {rule.vram} MiB is less than {rule.engine} needs for its model and one item, {least} MiB"
        return "vram", reason, "give it more, or leave vram: out: it is then what the engine declares, or was measured"
    devices, why = reachable()
    if why is not None:
        reason, remedy = f"{rule.engine} asks for a GPU, but there is none here: {why}", "use device: auto, or cpu"
        return ("device", reason, remedy) if rule.device == "gpu" else None
    need, largest = rule.vram or declared.at(1), max(device.total for device in devices) - MARGIN
    if need <= largest:
        return None
    asked, has = apart(need, largest)
    reason = f"{rule.engine} asks for {asked}; the largest GPU here has {has}"
    remedy = "give it less with vram:" if rule.vram else "use a smaller model, precision: fp16, or device: cpu"
    return "vram" if rule.vram else "engine", reason, remedy


def declares(stage: str, rule: StageRule) -> Vram | None:
    """What the engine needs of a GPU, whether one is here or not; None where it cannot use one."""
    engine = registry.find(stage, rule.engine)
    if engine.vram.__func__ is Engine.vram.__func__:  # type: ignore[attr-defined]  # asked for every task of a video
        return None
    return engine.vram(engine.Params(**rule.params), rule.precision)


def _say(able: Iterable[tuple[str, str]], why: str) -> None:
    """`able`: stages and engines that could use a GPU. Each is named once, until there is a GPU, or another reason."""
    fresh = [pair for pair in dict.fromkeys(able) if (*pair, why) not in _said]
    if not fresh:
        return
    _said.update((*pair, why) for pair in fresh)
    *names, last = (f"{stage} with {engine}" for stage, engine in fresh)
    said = f"{', '.join(names)} and {last} run" if names else f"{last} runs"
    log.warning("NO GPU: %s on the CPU, which is slow: %s", said, why)
