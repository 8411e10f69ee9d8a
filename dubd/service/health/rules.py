"""The rules, what each of them lacks, and the engines that are installed."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

from dubd.engines import registry
from dubd.engines.contract import Engine
from dubd.errors import DubdError
from dubd.folders import Folders
from dubd.graph import device
from dubd.graph.needed import lack, of_rule
from dubd.graph.rules import Rule, Rules, check, unrecognised
from dubd.service.health.finding import Finding, Level


def default_uses_a_gpu(folders: Folders) -> bool:
    """Whether a stage of the default rule would run on a GPU here."""
    for path in Rules(folders.rules).paths():
        rule = check(path, ready=False)[0]
        if rule and rule.default:
            return any(chosen.on and device.vram(stage, chosen) is not None for stage, chosen in rule.stages)
    return False


def findings(folders: Folders) -> Iterator[Finding]:
    """Every rule with what it lacks, then every engine."""
    needed = yield from _rules(folders)
    for stage in registry.STAGES:
        yield from _engines(stage, {name for where, name in needed if where == stage})


def _rules(folders: Folders) -> Generator[Finding, None, set[tuple[str, str]]]:
    """A finding per fault or rule; returns the (stage, engine) pairs of the default rule."""
    rules = Rules(folders.rules)
    needed: set[tuple[str, str]] = set()
    for path in rules.paths():
        rule, faults = check(path, ready=False)
        for fault in faults:
            yield Finding(
                "rule", "note", str(DubdError(fault.reason, file=fault.file, stage=fault.stage)), fault.remedy
            )
        if rule:
            languages = f"{rule.languages.source} -> {', '.join(rule.languages.target)}"
            yield Finding("rule", "good", f"{rule.name}, {languages}{', the default' if rule.default else ''}")
            if lack := unrecognised(rule):
                yield Finding(
                    "rule", "note", f"{rule.name}: {lack}", "put subtitles beside each video, or edit the rule"
                )
            yield from _models(rule)
            needed |= {(stage, chosen.engine) for stage, chosen in rule.stages if rule.default and chosen.on}
    if clash := rules.clash():
        yield Finding("rule", "bad", clash.reason, clash.remedy)
    if not needed:
        yield Finding(
            "rule", "bad", f"no good rule in {folders.rules} is the default", "mend one, or copy lite.yaml there"
        )
    return needed


def _models(rule: Rule) -> Iterator[Finding]:
    """What the rule lacks, stage by stage; its drops wait for it."""
    for stage, models in of_rule(rule).items():
        if absent := lack(stage, models, rule.name):
            level: Level = "bad" if rule.default else "note"
            yield Finding("rule", level, f"{rule.name}: {stage} {absent.says}", absent.remedy)


def _engines(stage: str, needed: set[str]) -> Iterator[Finding]:
    """A finding per engine; the words for one and the same engine stand together."""
    words: dict[type[Engine[Any, Any]], list[str]] = {}
    for name in registry.names(stage):
        try:
            engine = registry.find(stage, name)
        except DubdError as error:
            yield Finding(f"{stage}: {name}", "bad" if name in needed else "note", error.reason, error.remedy)
        else:
            words.setdefault(engine, []).append(name)
    for engine, names in words.items():
        what = f"{stage}: {', '.join(names)}"
        if missing := engine.missing():
            yield Finding(what, "bad" if needed & set(names) else "note", "cannot run here", missing)
        else:
            yield Finding(what, "good", f"{engine.summary} ({engine.licence}), revision {engine.revision()}")
