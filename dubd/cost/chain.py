"""The stages that a video of a rule goes through, with what each takes: measured, published or unknown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dubd.cost.bounds import Stage
from dubd.cost.measured import CPU, Kind, Median, signature
from dubd.cost.published import figure
from dubd.engines import registry
from dubd.engines.contract import Vram
from dubd.graph import device
from dubd.graph.rule import Rule
from dubd.graph.steps import Step, plan_step, steps

_LOAD_GPU, _LOAD_CPU = 10.0, 1.5  # s a worker, where no figure says it


@dataclass(frozen=True)
class Link:
    """A stage of the rule. `seconds` on a device per second of video, all languages together; None: unknown.

    `home`: it reads a whole video, as `Ticket.home` has it.
    """

    stage: str
    engine: str | None
    after: tuple[str, ...]
    whole: bool
    gpu: bool
    seconds: float | None
    origin: Literal["measured", "published", "unknown"]
    device: str
    source: str
    count: int
    load: float
    vram: Vram | None
    batch: int
    parallel: int
    home: bool

    @property
    def share(self) -> float:
        """Of a card that one of its workers takes: several may run on it at once."""
        return 1 / self.parallel if self.gpu else 1.0

    @property
    def device_seconds(self) -> float | None:
        """Seconds of a whole device per second of video."""
        return None if self.seconds is None else self.seconds * self.share

    def paper(self, segment: float, video: float) -> Stage:
        """As a stage on paper, of segments and videos of so many seconds; what is unknown takes no time."""
        each = (self.seconds or 0.0) * (video if self.whole else segment)
        return Stage(
            self.stage,
            self.after,
            each,
            load=self.load,
            share=self.share,
            vram=self.vram,
            batch=self.batch if self.gpu else 1,
            whole=self.whole,
            home=self.home,
        )


def chain(rule: Rule, known: Mapping[Kind, Median], cards: Sequence[str], *, gpus: bool) -> list[Link]:
    """The rule's stages in order. `known` are the medians of this workspace, `cards` the names of this machine's GPUs.

    With `gpus` every stage that can use a GPU has one, here or not. A figure counts as measured where the same engine
    ran with the same parameters: on a card of this machine, else on the one that most tasks ran on.
    """
    made: dict[str, list[Step]] = {}
    source: dict[str, str] = {}
    for step in (plan_step(rule, "source"), *steps(rule, _sample(rule), "source", None, "")):
        made.setdefault(step.stage, []).append(step)
        source |= dict.fromkeys(step.outputs.values(), step.stage)
    links = []
    for stage, same in made.items():
        paths = {
            path for step in same for path in (*step.inputs.values(), *(p for ps in step.lists.values() for p in ps))
        }
        after = dict.fromkeys(source[path] for path in paths if path in source)
        names = [name for name in made if name in after] or (["plan"] if stage != "plan" else [])
        links.append(_link(same[0], tuple(names), len(same), known, cards, gpus=gpus))
    return links


def _link(
    step: Step, after: tuple[str, ...], times: int, known: Mapping[Kind, Median], cards: Sequence[str], *, gpus: bool
) -> Link:
    rule = step.rule
    asks = device.declares(step.stage, rule) if rule and rule.device != "cpu" and gpus else None
    who = signature(step.key)
    found = {name: median for (stage, by, name), median in known.items() if (stage, by) == (step.stage, who)}
    on = {name: median for name, median in found.items() if (name != CPU) == (asks is not None)}
    on = {name: median for name, median in on.items() if name in cards} or on
    engine = registry.find(step.stage, rule.engine).name if rule else None
    told = figure(step.stage, engine, rule.params if rule else {}, gpu=asks is not None)
    seconds: float | None = None
    origin: Literal["measured", "published", "unknown"] = "unknown"
    name, said, count = ("a GPU" if asks else CPU), "", 0
    if on:
        name = max(on, key=lambda one: on[one].count)
        seconds, count, origin = on[name].seconds * times, on[name].count, "measured"
    elif told:
        seconds, origin, name, said = told.seconds * times, "published", told.device, told.source
        if step.stage == "translate" and step.params["pivot"]:
            seconds *= 2  # over a pivot each sentence is translated twice
    return Link(
        stage=step.stage,
        engine=step.engine,
        after=after,
        whole="/" not in step.name,
        gpu=asks is not None,
        seconds=seconds,
        origin=origin,
        device=name,
        source=said,
        count=count,
        load=told.load if told else _LOAD_GPU if asks else _LOAD_CPU,
        vram=asks,
        batch=step.batch,
        parallel=step.parallel,
        home=bool(step.lists) or "source" in step.inputs or "source" in step.reads,
    )


def _sample(rule: Rule) -> dict[str, Any]:
    """A plan of one segment, to see which steps the rule makes; its picture is one that a browser can play."""
    length = rule.segments.target
    segment = {"id": "000", "start": 0.0, "end": length, "first_frame": 0, "frames": math.ceil(25 * length)}
    return {
        "source": {"sha256": "", "bytes": 0},
        "picture": {"rate": "25/1", "width": 1920, "height": 1080, "copy": True},
        "sound": {},
        "start": 0.0,
        "frames": segment["frames"],
        "samples": math.ceil(48_000 * length),
        "segments": [segment | {"first_sample": 0, "samples": math.ceil(48_000 * length)}],
    }
