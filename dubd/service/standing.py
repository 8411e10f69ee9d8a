"""How everything stands, from what is on the disk alone: it works beside a running daemon and without one."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dubd.errors import DubdError
from dubd.folders import Folders
from dubd.graph.lips import Shares, lips
from dubd.graph.promote import beside_name
from dubd.graph.remarks import remarked
from dubd.graph.settled import tasks, untouched
from dubd.graph.state import State, locked_since, owner
from dubd.graph.superseded import kept, removed, superseded
from dubd.graph.video import Video, videos
from dubd.models.store import name
from dubd.service import error_file, retries
from dubd.service.aliases import NOTE as ALIASES
from dubd.service.gpus import Machine, machine
from dubd.service.inbox import being_written, drops, subtitles_beside, unreadable

if TYPE_CHECKING:
    from dubd.graph.needed import Lack
    from dubd.schedule.estimates import Estimates
    from dubd.schedule.ticket import Space, Ticket


def standing(folders: Folders) -> dict[str, Any]:
    """The document that `dubd status --json` prints; docs/cli.md describes it."""
    folders_of = list(videos(folders.workspace))
    gpus = machine(building=any(owner(folder) is not None for folder in folders_of))
    found = [of_video(folder, gpus) for folder in folders_of]
    return {
        "workspace": str(folders.workspace),
        "inbox": str(folders.inbox),
        "device": "cpu" if gpus.why else "gpu",
        "gpu": gpus.to_json(),
        "videos": found,
        "drops": list(_drops(folders, {str(drop) for video in found for drop in (video.get("drop"), *_also(video))})),
    }


def _also(video: Mapping[str, Any]) -> Sequence[str]:
    aliases: Sequence[str] = video.get("aliases", ())
    return aliases


def of_video(folder: Path, gpus: Machine | None = None) -> dict[str, Any]:
    """One video: `state` is building, done, changed, failed, superseded, removed, kept, waiting, unfinished or broken.

    `gpus` are looked at if left out.
    """
    pid = owner(folder)
    line: dict[str, Any] = {"video": folder.name, "folder": str(folder), "pid": pid}
    try:
        state = State(folder)
    except DubdError as error:
        return line | {"state": "broken", "failed": [{"task": folder.name, **error.to_json()}]}
    try:
        whole, built = untouched(state), state.note("settled") is not None
        runs, current = state.runs(), tasks(state)
        with suppress(DubdError):  # a broken rule or plan is told below
            runs = {task: run for task, run in runs.items() if task in current} if whole else _runs(folder, state)
        edits = [
            {"artifact": path, "newer": newer}
            for path, _, newer in state.all_made()
            if newer and Path(beside_name(state.absolute(path))).exists()
        ]
        drop = state.note("drop")
        aliases = [path for path in state.note(ALIASES) or () if path != drop and os.path.lexists(path)]
    finally:
        state.close()
    running = [
        {"task": task, "seconds": round(time.time() - run["at"], 1), "why": run["why"]}
        for task, run in runs.items()
        if run["state"] == "running" and pid is not None
    ]
    failed = [
        {"task": task, **run["error"], "at": run["since"]}
        for task, run in runs.items()
        if run["state"] == "failed" and run["error"]
    ]
    results = sorted(folder.glob("dubbed.*.mp4"))
    line |= {
        "drop": drop,
        "aliases": aliases,
        "done": sum(run["state"] == "ran" for run in runs.values()),
        "running": running,
        "waiting": [],
        "failed": failed,
        "edited": edits,
        "results": [str(path) for path in results],
        "remarks": remarked(folder) if results else [],
        "lips": _lips(folder, {task: runs[task] for task in runs.keys() & current}, results),
    }
    if pid is None and superseded(folder):
        return line | {"state": "superseded", "failed": []}
    if pid is None and removed(folder):
        return line | {"state": "removed", "failed": []}
    if whole and pid is None:
        return line | {"state": "done"}
    if pid is None and kept(folder):
        return line | {"state": "kept", "failed": []}
    try:
        begun = {run["task"] for run in running} | {fault["task"] for fault in failed}
        line["waiting"] = list(_waiting(folder, begun, pid, gpus))
    except DubdError as error:
        broken = [{"task": folder.name, **each.to_json()} for each in error.each()]
        return line | {"state": "broken", "failed": [*failed, *broken]}
    if pid is not None:
        return line | {"state": "building"}
    if failed:
        return line | {"state": "failed"}
    if any(task["model"] for task in line["waiting"]):
        return line | {"state": "waiting"}
    if built and not line["waiting"]:
        return line | {"state": "done"}  # saved anew with the same bytes
    return line | {"state": "changed" if built else "unfinished"}


def _runs(folder: Path, state: State) -> dict[str, dict[str, Any]]:
    from dubd.graph.tasks import VideoTasks  # as `why` below

    return VideoTasks(Video.open(folder)).runs(state)


def _lips(folder: Path, runs: Mapping[str, Mapping[str, Any]], results: Sequence[Path]) -> dict[str, Shares]:
    try:
        plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
        return lips(runs, plan, [path.name.split(".")[1] for path in results])
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # no plan, or one that a hand broke: the state says so


def _waiting(folder: Path, begun: set[str], pid: int | None, gpus: Machine | None) -> Iterator[Mapping[str, Any]]:
    """Each stale task that neither runs nor failed, with what it waits for: a place, a GPU's memory, or other tasks."""
    from dubd.graph.why import why  # it reads the rule and with it the engines: only where there is work
    from dubd.schedule.estimates import Estimates
    from dubd.schedule.peaks import Peaks

    estimates = Estimates(Peaks(folder.parent / ".cache" / "peaks.json"))
    taken = locked_since(folder)
    for verdict in why(folder):
        if verdict.task not in begun:
            before = [root.task for root in verdict.waits_for]
            line: dict[str, Any] = {"task": verdict.task, "for": before, "why": list(verdict.reasons), "gpu": None}
            line["model"] = _lacked(verdict.lack) if verdict.lack and not before else None
            if pid is not None and not before and not line["model"] and verdict.ticket and verdict.ticket.vram:
                gpus = gpus or machine()
                line["gpu"] = _short_of(verdict.ticket, estimates, max(verdict.since, taken), pid, gpus)
            line["disk"] = _room_for(verdict.ticket.space) if verdict.ticket and not before else None
            yield line


def _room_for(space: Space | None) -> dict[str, Any] | None:
    from dubd.schedule.room import shortage

    short = shortage(space)
    return {"bytes": short.wanted, "free": short.free, "says": short.says} if short else None


def _lacked(lack: Lack) -> dict[str, Any]:
    return {"names": [name(model) for model in lack.models], "says": lack.says, "remedy": lack.remedy}


def _short_of(ticket: Ticket, estimates: Estimates, since: float, pid: int, gpus: Machine) -> dict[str, Any]:
    """What a ticket that could run now lacks on the GPUs: room for one item, as it was declared or measured."""
    from dubd.service.shortage import Need, shortage

    mib = estimates.need(ticket, 1, gpus.cards)
    need = Need(mib, f"{ticket.stage} with {ticket.engine}", max(0.0, time.time() - since), pid)
    return {"mib": mib, "seconds": round(need.waited, 1), "says": shortage(need, gpus)}


def _drops(folders: Folders, claimed: set[str]) -> Iterator[Mapping[str, Any]]:
    """What is in the inbox and has no folder in the workspace yet, with the fault that keeps it out, if any.

    A daemon that watches may be another user, who meets what this one does not: what it said beside a drop counts.
    """
    from dubd.graph.drop import read_beside
    from dubd.graph.needed import described, lacking, of_rule
    from dubd.graph.rules import Rules, require_recogniser
    from dubd.schedule.ticket import Space

    rules, watched = Rules(folders.rules), retries.watched(folders.workspace)
    disk = _room_for(Space(folders.workspace, 0))
    found, refused = drops(folders.inbox)
    for fault in refused:
        yield _drop(Path(fault.file or ""), folders.inbox) | {"error": fault.to_json()}
    for path in found:
        if str(path) in claimed:
            continue
        line = _drop(path, folders.inbox)
        try:
            rule = rules.for_drop(path, folders.inbox)
            if beside := subtitles_beside(path):
                read_beside(beside, path, folders)
            else:
                require_recogniser(rule, path)
            absent = [lacked for models in of_rule(rule).values() for lacked in lacking(models)]
            lacks = [described(model) for model in dict.fromkeys(absent)]
            writing = being_written(path)
            told = error_file.faults(path, folders.inbox) if watched and not writing else []
            if told:
                yield line | {"error": told[0].to_json(), "also": [each.to_json() for each in told[1:]]}
            else:
                yield line | {"rule": rule.name, "lacks": lacks, "writing": writing, "disk": disk}
        except DubdError as error:
            also = [each.to_json() for each in error.also]
            yield line | {"error": error.to_json(), "also": also}
        except OSError as error:
            yield line | {"error": unreadable(error, path).to_json()}


def _drop(path: Path, inbox: Path) -> dict[str, Any]:
    """A line without its fault or its rule."""
    since = error_file.since(path, inbox)
    kept: dict[str, Any] = {"error": None, "also": [], "lacks": [], "at": since, "writing": False, "disk": None}
    return {"file": str(path), "rule": None, **kept}
