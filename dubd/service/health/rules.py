"""Whether this machine can dub: tools, engines, folders, disk and devices."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dubd import __version__
from dubd.engines import registry
from dubd.engines.contract import Engine
from dubd.errors import DubdError
from dubd.folders import Folders
from dubd.graph.needed import lack, of_rule
from dubd.graph.rules import Rule, Rules, check, unrecognised
from dubd.service.gpus import machine, size

_LITTLE = 5 << 30  # bytes free below which a long video may not fit: about half an hour of 1080p artifacts

Level = Literal["good", "note", "bad"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `bad` keeps the default rule from running; `note` does not."""

    what: str
    level: Level
    says: str
    remedy: str = ""


def findings(folders: Folders) -> Iterator[Finding]:
    """Everything that a dub needs, one finding each."""
    yield Finding(
        "dubd", "good", f"{__version__} on Python {platform.python_version()}, {platform.platform(terse=True)}"
    )
    yield from map(_tool, ("ffmpeg", "ffprobe"))
    yield from _gpus()
    yield from _folders(folders)
    needed = yield from _rules(folders)
    for stage in registry.STAGES:
        yield from _engines(stage, {name for where, name in needed if where == stage})


def _tool(name: str) -> Finding:
    path = shutil.which(name)
    if path is None:
        return Finding(name, "bad", "is not installed", "apt install ffmpeg")
    try:
        said = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return Finding(name, "bad", f"does not run: {error}", "apt install --reinstall ffmpeg")
    return Finding(name, "good", f"{said.split()[2]} at {path}")


def _gpus() -> Iterator[Finding]:
    """The devices and the folder of leases, or why there is none: what the driver says, not what is installed."""
    found = machine()
    if found.why:
        none = "none is needed for the embedded engines"
        yield Finding("gpu", "note", f"none, every engine runs on the CPU: {found.why}", none)
        return
    for seen in found.seen:
        name = f"{seen.device.name} ({seen.device.uuid})"
        if seen.view:
            now = f"{size(seen.view.free)} free, {size(seen.view.foreign)} in use by others"
            yield Finding("gpu", "good", f"{name}, {size(seen.device.total)}: {now}")
        else:
            yield Finding("gpu", "note", f"{name}, {size(seen.device.total)}: {seen.fault}", "nvidia-smi tells more")
    if found.ledger is None or not os.access(found.ledger, os.W_OK | os.X_OK):
        says = f"{found.ledger} cannot be written" if found.ledger else str(found.seen[0].fault)
        yield Finding("gpu leases", "bad", says, "make it writable, or set DUBD_RUNTIME")
    else:
        yield Finding("gpu leases", "good", f"{found.ledger}, shared by every dubd process that uses this folder")


def _folders(folders: Folders) -> Iterator[Finding]:
    for name, folder in (("inbox", folders.inbox), ("workspace", folders.workspace)):
        there = next((path for path in (folder, *folder.parents) if path.exists()), Path("/"))
        if not os.access(there, os.W_OK | os.X_OK) or not there.is_dir():
            remedy = f"make it writable, or set DUBD_{name.upper()}"
            yield Finding(name, "bad", f"{folder} cannot be written", remedy)
            continue
        free = shutil.disk_usage(there).free
        size = f"{free / (1 << 30):.1f} GiB free"
        if name == "workspace" and free < _LITTLE:
            yield Finding(name, "note", f"{folder}, only {size}", "an hour of 1080p takes up to 10 GiB")
        else:
            yield Finding(name, "good", f"{folder}, {size}")


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
