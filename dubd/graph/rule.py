"""A rule's parts, checked and frozen, and the YAML that they are written as."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model, model_validator
from pydantic_core import PydanticCustomError, to_jsonable_python

from dubd.engines import registry
from dubd.engines.contract import Engine
from dubd.errors import DubdError, Exit

_MIB = {"mib": 1, "mb": 1, "m": 1, "gib": 1024, "gb": 1024, "g": 1024}


def seconds(value: object) -> object:
    """ "00:15", "1:02:03.5" or 15 as seconds; anything else is handed on for the type check to refuse."""
    if not isinstance(value, str):
        return value
    if not re.fullmatch(r"(?:\d+:){0,2}\d+(?:\.\d+)?", value.strip()):
        raise PydanticCustomError("time", "should be a time such as 15, 00:15 or 1:02:03.5")
    total = 0.0
    for part in value.strip().split(":"):
        total = total * 60 + float(part)
    return total


def _mebibytes(value: object) -> object:
    """ "10 GiB" as MiB; a bare number is MiB already."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", value.strip())
    if not found or found[2].lower() not in _MIB:
        raise PydanticCustomError("memory", "should be an amount such as 10 GiB or 800 MiB")
    if len(found[1]) > 12:
        raise PydanticCustomError("memory", "should be an amount such as 10 GiB or 800 MiB")
    return round(float(found[1]) * _MIB[found[2].lower()])


def several(value: object) -> object:
    """One word where a list may stand, as a tuple."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


Seconds = Annotated[float, BeforeValidator(seconds)]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]


class Part(BaseModel):
    """A frozen part of a rule; a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, validate_default=True)


class Languages(Part):
    """Language codes (ISO 639, with a region where it matters): what is spoken, and what is wanted."""

    source: Language
    target: Annotated[tuple[Language, ...], BeforeValidator(several), Field(min_length=1)]
    pivot: Language | None = None

    @model_validator(mode="after")
    def _distinct(self) -> Languages:
        if self.source in self.target:
            raise PydanticCustomError("target", "target is the language that is spoken already")
        if len(set(self.target)) < len(self.target):
            raise PydanticCustomError("target", "target names a language twice")
        return self

    def steps(self, target: str) -> tuple[tuple[str, str], ...]:
        """The pairs that a translation to `target` goes through: one, or two over the pivot."""
        if self.pivot in (None, self.source, target):
            return ((self.source, target),)
        return ((self.source, str(self.pivot)), (str(self.pivot), target))


class Clip(Part):
    """The only stretch that is computed, in seconds on the source's clock."""

    start: Annotated[Seconds, Field(ge=0)] = 0.0
    duration: Annotated[Seconds, Field(gt=0)]


class Segments(Part):
    """Lengths of a segment in seconds: wanted, least and most."""

    target: Annotated[float, Field(gt=0)] = 20.0
    min: Annotated[float, Field(gt=0)] = 8.0
    max: Annotated[float, Field(gt=0)] = 30.0

    @model_validator(mode="after")
    def _ordered(self) -> Segments:
        if not self.min <= self.target <= self.max:
            raise PydanticCustomError("segments", "needs min <= target <= max")
        return self


class StageRule(Part):
    """Which engine runs a stage. `params` change its bytes; the rest only says where and how it runs.

    `workers`: how many workers of the engine may run on one GPU at once, in place of what the engine says. Each has a
    lease of its own; a second one starts only where more work waits than the next batch of the first.
    """

    engine: str
    params: dict[str, Any] = {}
    batch: Annotated[int, Field(gt=0)] | None = None
    workers: Annotated[int, Field(gt=0)] | None = None  # on one GPU
    vram: Annotated[int, BeforeValidator(_mebibytes), Field(gt=0)] | None = None  # MiB
    precision: Literal["fp32", "fp16", "bf16", "int8"] | None = None
    device: Literal["auto", "cpu", "gpu"] = "auto"  # auto: a GPU where there is one and the engine can use it
    deadline: Annotated[Seconds, Field(gt=0)] = 1800.0  # s per task without a word, then its worker counts as hung
    python: Path | None = None
    glossary: Path | None = None  # translate only

    @property
    def on(self) -> bool:
        """Whether the stage runs at all."""
        return self.engine != "none"


OWN_KEYS = tuple(name for name in StageRule.model_fields if name != "params")


class Stages(Part):
    """The engine of every stage that has one."""

    transcribe: StageRule
    translate: StageRule
    speak: StageRule
    faces: StageRule
    lipsync: StageRule
    restore: StageRule

    def __iter__(self) -> Iterator[tuple[str, StageRule]]:  # type: ignore[override]
        return ((stage, getattr(self, stage)) for stage in registry.STAGES)


class Output(Part):
    """What stands in the finished file and beside it."""

    subtitles: tuple[Literal["srt", "vtt"], ...] = ("srt", "vtt")
    keep_original_audio: bool = True
    background: Literal["duck", "keep", "none"] = "duck"
    loudness: Annotated[float, Field(ge=-70, le=-5)] = -16.0  # LUFS; the range is that of ffmpeg's loudnorm


class Rule(Part):
    """What a drop becomes."""

    name: Annotated[str, Field(pattern=r"^[\w][\w. -]*$")]
    languages: Languages
    clip: Clip | None = None
    segments: Segments = Segments()
    stages: Stages
    output: Output = Output()
    match: Annotated[tuple[str, ...], BeforeValidator(several)] = ()
    default: bool = False
    inbox: Literal["keep", "move"] = "keep"
    consent: bool = False


def complete(engine: type[Engine[Any, Any]], params: dict[str, Any]) -> dict[str, Any]:
    """`params` as the engine will see them, with every default, as JSON values: what goes into a task's key.

    Defaults are written out so that a rule that names one and a rule that leaves it have one key.
    Errors: pydantic's ValidationError; ValueError and TypeError of the engine's own check.
    """
    hints = get_type_hints(engine.Params)
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(engine.Params):
        if field.default is not dataclasses.MISSING:
            default: Any = field.default
        elif field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        else:
            default = ...
        fields[field.name] = (hints[field.name], default)
    model: type[BaseModel] = create_model("Params", __config__=Part.model_config, **fields)
    checked = model.model_validate_json(json.dumps(params, default=str))
    made = engine.Params(**{name: getattr(checked, name) for name in fields})
    canonical: dict[str, Any] = to_jsonable_python(dataclasses.asdict(made))
    return canonical


def dump(rule: Rule) -> str:
    """Canonical YAML that `load` reads back to an equal rule, wherever it is put."""
    data = rule.model_dump(mode="json", exclude_none=True)
    for stage in data["stages"].values():
        stage |= stage.pop("params")
        if "vram" in stage:
            stage["vram"] = f"{stage['vram']} MiB"
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)


def with_clip(rule: Rule, text: str) -> Rule:
    """`rule` for one stretch alone: "START+DURATION", such as "00:15+15". Errors: DubdError(Exit.USAGE)."""
    start, plus, duration = text.partition("+")
    try:
        clip = Clip.model_validate({"start": start, "duration": duration})
    except ValidationError as error:
        plus = ""
        cause: Exception | None = error
    else:
        cause = None
    if not plus:
        raise DubdError(
            f"no clip in {text!r}", remedy="write START+DURATION, such as 00:15+15", exit=Exit.USAGE
        ) from cause
    return rule.model_copy(update={"clip": clip})
