"""Which models a rule needs, which of them are not here, and what to say and do about it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from doit.task import Task

from dubd.engines import registry
from dubd.engines.contract import Engine
from dubd.errors import DubdError, Exit
from dubd.graph.rule import Rule, StageRule
from dubd.graph.rules import SUFFIXES, check
from dubd.models import store
from dubd.models.model import Model, Needed, Own


@dataclass(frozen=True)
class Lack:
    """What a stage waits for: models that are not here, in words, and the command that brings them."""

    stage: str
    models: tuple[Needed, ...]
    says: str
    remedy: str

    def fault(self, file: object = None) -> DubdError:
        """The one line in place of a task's outcome, as no task has failed of it."""
        return DubdError(self.says, file=file, stage=self.stage, remedy=self.remedy, exit=Exit.RULE)


def needed(stage: str, rule: StageRule) -> tuple[Needed, ...]:
    """The models that a stage's engine loads with the rule's parameters; none where it is off."""
    if not rule.on:
        return ()
    engine = registry.find(stage, rule.engine)
    if engine.models.__func__ is Engine.models.__func__:  # type: ignore[attr-defined]  # asked for each task of a video
        return ()
    return engine.models(engine.Params(**rule.params))


def active(rule: Rule) -> Iterator[tuple[str, StageRule]]:
    """The stages that a video of this rule goes through and that have an engine."""
    silent = () if rule.stages.lipsync.on else ("faces", "lipsync", "restore")
    return ((stage, chosen) for stage, chosen in rule.stages if chosen.on and stage not in silent)


def of_rule(rule: Rule) -> dict[str, tuple[Needed, ...]]:
    """The models of every stage that a video of this rule goes through; stages without any are left out."""
    found = {stage: needed(stage, chosen) for stage, chosen in active(rule)}
    return {stage: models for stage, models in found.items() if models}


def own_paths(models: Iterable[Needed]) -> set[Path]:
    """The files of the models that are the user's own: what they hold may change under the same name."""
    return {path for model in models if isinstance(model, Own) for path in store.paths(model)}


def lacked(task: Task) -> Lack | None:
    """What keeps a task of the graph from running that could run otherwise: models that are not here."""
    ask: Callable[[], Lack | None] = (task.meta or {}).get("lack", lambda: None)
    return ask()


def lacking(models: Iterable[Needed]) -> tuple[Needed, ...]:
    """Those that are not here, or not whole."""
    return tuple(model for model in models if store.lacking(model))


def lack(stage: str, models: Iterable[Needed], pull: str) -> Lack | None:
    """What `stage` lacks of these models; `pull` is what `dubd models pull` is to be given."""
    absent = lacking(models)
    if not absent:
        return None
    remedies = []
    if any(isinstance(model, Model) for model in absent):
        remedies.append(f"dubd models pull {shlex.quote(pull)}")
    if mine := [str(model.path) for model in absent if isinstance(model, Own)]:
        remedies.append(f"bring {' and '.join(mine)} back, or edit the rule")
    return Lack(stage, absent, f"needs {', '.join(map(described, absent))}", "; ".join(remedies))


def described(model: Needed) -> str:
    """A model that is lacking, with what is still to come of it: "whisper/large-v3 (2.9 GiB)"."""
    size = store.size_said(store.lacking(model))
    return f"{store.name(model)} ({size})" if size else store.name(model)


def published() -> Iterator[tuple[str, str, str, Model]]:
    """(stage, engine, word of a rule, model) of all models that the installed engines publish, by stage and engine."""
    for stage in registry.STAGES:
        seen: set[str] = set()
        for name in registry.names(stage):
            try:
                engine = registry.find(stage, name)
            except DubdError:
                continue  # `dubd doctor` tells why it cannot be imported
            if engine.name not in seen:
                seen.add(engine.name)
                for word, model in engine.published.items():
                    yield stage, engine.name, word, model


def by_name() -> dict[str, Model]:
    """The published models by their names in the store."""
    return {model.name: model for _, _, _, model in published()}


def word(rule: Rule, rules: Path, otherwise: str) -> str:
    """What to give `dubd models pull` for a video of `rule`: the rule's name, if the file of that name asks for the
    same models; else `otherwise`, the video's id.
    """
    for suffix in SUFFIXES:
        if (path := rules / f"{rule.name}{suffix}").is_file():
            found, _ = check(path, ready=False)
            return rule.name if found and of_rule(found) == of_rule(rule) else otherwise
    return otherwise
