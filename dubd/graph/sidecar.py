"""Sidecars: rules and subtitles that lie beside a drop. Whoever dropped them says what is built, not how it runs.

A sidecar starts no program, reads no file but a glossary beside it, and takes no more of the machine than others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_type_hints

from dubd import regular
from dubd.engines import registry
from dubd.engines.contract import Engine
from dubd.errors import DubdError

TRUST = "DUBD_TRUST_SIDECARS"  # 1: a sidecar may say all that a rule of the operator's may
RULES = (".yaml", ".yml")
SUBTITLES = (".srt", ".vtt")
REMEDY = f"put it into a rule of the rules folder, name the file with --rule, or set {TRUST}=1"

_OPERATORS = ("python", "vram", "workers", "deadline")

Forbidden = tuple[tuple[str, ...], str]
"""Where in the rule, and what is wrong there."""


def beside(video: Path, suffixes: tuple[str, ...]) -> Path | None:
    """What has the video's name with the first of `suffixes` that is there, of whatever kind it is."""
    return next((path for suffix in suffixes if regular.there(path := video.with_suffix(suffix))), None)


def trusted() -> bool:
    """Whether the operator takes sidecars for their own rules."""
    return os.environ.get(TRUST) == "1"


def forbidden(data: object, folder: Path) -> Iterator[Forbidden]:
    """What a sidecar in `folder` with this content may not say; what is no rule at all is for others to tell."""
    stages = data.get("stages") if isinstance(data, dict) else None
    for stage, given in stages.items() if isinstance(stages, dict) else ():
        if isinstance(given, dict) and stage in registry.STAGES:
            yield from _of_stage(stage, {str(key): value for key, value in given.items()}, folder)


def _of_stage(stage: str, given: Mapping[str, Any], folder: Path) -> Iterator[Forbidden]:
    engine = _engine(stage, given.get("engine"))
    for key, value in given.items():
        where = ("stages", stage, key)
        if key in _OPERATORS or (engine and key in engine.operator_params):
            yield where, f"{key!r} is for the operator to set, not for a sidecar"
        elif key == "glossary":
            if reason := _glossary(value, folder):
                yield where, reason
        elif engine and key in engine.model_params and not (isinstance(value, str) and value in engine.published):
            yield where, f"a sidecar names a published model, not {str(value)[:60]!r}"
        elif _names_a_file(value) or (engine and key in _paths(engine)):
            yield where, f"{key!r} is a path, which a sidecar may not give"


def _engine(stage: str, name: object) -> type[Engine[Any, Any]] | None:
    """The engine that the stage will run; None where that is no name, or one that is not known here."""
    try:
        return registry.find(stage, name) if isinstance(name, str) else None
    except DubdError:
        return None


def _glossary(value: object, folder: Path) -> str:
    if not isinstance(value, str):
        return ""  # told as a fault of its form
    if Path(value).name != value or "\0" in value:
        return "a sidecar's glossary lies beside it"
    return "the glossary is a symbolic link" if os.path.islink(folder / value) else ""


def _names_a_file(value: object) -> bool:
    if isinstance(value, dict):
        return any(_names_a_file(each) for pair in value.items() for each in pair)
    if isinstance(value, list):
        return any(map(_names_a_file, value))
    return isinstance(value, str) and ("/" in value or "\\" in value or value.startswith("~"))


def _paths(engine: type[Engine[Any, Any]]) -> set[str]:
    """The engine's parameters whose type has a Path in it."""
    return {name for name, hint in get_type_hints(engine.Params).items() if "Path" in str(hint)}
