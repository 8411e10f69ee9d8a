"""Find engines by the word a rule uses, through entry points, so that anyone can add one."""

from __future__ import annotations

import difflib
import sys
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from dubd.engines.contract import Engine
from dubd.errors import DubdError, Exit

STAGES = ("transcribe", "translate", "speak", "faces", "lipsync", "restore")
_WITH = {"clone": "speak"}  # a stage that runs with another's engine, in the very same worker


def group(stage: str) -> str:
    """The stage whose engines this one runs with: itself, but for a few."""
    return _WITH.get(stage, stage)


@cache
def names(stage: str) -> tuple[str, ...]:
    """The words a rule may use for this stage, those of installed third-party packages too."""
    return tuple(sorted(entry_points(group=f"dubd.{group(stage)}").names))


@cache
def find(stage: str, name: str) -> type[Engine[Any, Any]]:
    """The engine class that `name` stands for; DubdError with a did-you-mean where there is none."""
    found = entry_points(group=f"dubd.{group(stage)}", name=name)
    if not found:
        near = difflib.get_close_matches(name, names(stage), n=1)
        hint = f"did you mean {near[0]}?" if near else f"installed: {', '.join(names(stage)) or 'none'}"
        raise DubdError(f"no engine {name!r} for {stage}", remedy=hint, exit=Exit.RULE)
    try:
        engine: type[Engine[Any, Any]] = next(iter(found)).load()
    except ImportError as error:
        raise DubdError(
            f"the engine {name!r} for {stage} cannot be imported: {error}",
            remedy=f"install what is missing into the environment of {sys.executable}",  # with python: not ours
            exit=Exit.RULE,
        ) from error
    return engine
