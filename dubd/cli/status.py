"""dubd status: what is done, running, waiting and failed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from dubd.cli.chosen import chosen, complete
from dubd.cli.console import clock, name_in, say, show_json
from dubd.errors import DubdError
from dubd.folders import Folders

_STYLE = {
    "done": "green",
    "building": "cyan",
    "failed": "red",
    "broken": "red",
    "changed": "yellow",
    "waiting": "yellow",
}
_SIZES = (("foreign", "in use by other programs"), ("promised", "promised to workers"), ("free", "free"))


def status(
    video: Annotated[
        str | None, typer.Argument(metavar="[VIDEO]", help="One video; all without it.", autocompletion=complete)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show how every video stands: done, running, waiting (for what), failed (why, and the remedy).

    It reads what is on the disk, so it works while the daemon runs.
    """
    from dubd.cli.voice import LOGS
    from dubd.cluster import standing as nodes
    from dubd.service.standing import of_video, standing

    folders = Folders.find()
    if video is not None:
        found: dict[str, Any] = {"videos": [of_video(chosen(video, folders))], "drops": []}
    else:
        found = standing(folders) | {"nodes": nodes.standing(folders.workspace / LOGS)}
    if json:
        show_json(found["videos"][0] if video else found)
        return
    for each in found["videos"]:
        say(f"{each['video']}: {each['state']}{_by(each)}", _STYLE.get(each["state"], ""))
        for line in _lines(each):
            say(f"  {line}")
    for drop in found["drops"]:
        for fault in [drop["error"], *drop["also"]] if drop["error"] else ():
            head = "" if fault["file"] == drop["file"] else f"{drop['file']}: "
            say(f"{head}{DubdError.from_json(fault)}{_since(drop['at'])}", "red")
        if not drop["error"]:
            needs = f"; needs {', '.join(drop['lacks'])}: dubd models pull {drop['rule']}" if drop["lacks"] else ""
            room = f"waiting for {drop['disk']['says']}; dubd clean makes room" if drop["disk"] else "dubd watch"
            stands = "still being written" if drop["writing"] else f"in the inbox, not taken yet: {room}{needs}"
            say(f"{drop['file']}: {stands}")
    if not found["videos"] and not found["drops"]:
        say(f"no videos: drop one into {folders.inbox}, or dubd run VIDEO")
    if video is None:
        for line in (*_gpus(found["gpu"]), *nodes.lines(found["nodes"])):
            say(line)


def _gpus(found: Mapping[str, Any]) -> Iterator[str]:
    """The devices and who holds what of them."""
    from dubd.service.gpus import shortened, size

    if found["why"] and not found["devices"]:
        yield f"no GPU is used: every engine runs on the CPU ({found['why']})"
    devices = found["devices"]
    for device, short in zip(devices, shortened(device["uuid"] for device in devices), strict=True):
        name = f"{device['name']} ({short})"
        fault = device["fault"]
        sizes = [f"{size(device[key])} {word}" for key, word in _SIZES if device[key] or (key == "free" and not fault)]
        yield (
            "; ".join([f"{name}: {fault}", *sizes]) if fault else f"{name}, {size(device['total'])}: {', '.join(sizes)}"
        )
        for lease in device["leases"]:
            does = "loading" if lease["loading"] else f"{size(lease['held'])} in use"
            yield f"  {lease['what']} (pid {lease['pid']}): {size(lease['mib'])} for {clock(lease['seconds'])}, {does}"


def _since(at: float | None) -> str:
    return f" (since {time.strftime('%Y-%m-%d %H:%M', time.localtime(at))})" if at else ""


def _by(video: Mapping[str, Any]) -> str:
    return f" by process {video['pid']}" if video["pid"] is not None else ""


def _lines(video: Mapping[str, Any]) -> Iterator[str]:
    from dubd.cli.board import changed, shortly

    for path in video.get("results", ()):
        earlier = "" if video["state"] in ("done", "kept") else " (of an earlier build)"
        yield f"{path}{earlier}{changed(Path(path), video.get('lips', {}))}"
    for remark in shortly(video.get("remarks", ()), video["video"]):
        yield f"remark  {remark}"
    for alias in video.get("aliases", ()):
        yield f"also dropped as {alias}"
    for run in video.get("running", ()):
        yield f"running {name_in(run['task'])} for {clock(run['seconds'])}: {run['why']}"
    yield from _waiting(video)
    if video["state"] == "superseded":
        yield f"{video['drop']} is another film now, and this one was never dubbed; the folder may be removed"
    if video["state"] == "removed":
        yield f"{video['drop']} was removed before it was dubbed; drop it again, or remove the folder"
    if video["state"] == "kept":
        yield f"its film {video['drop']} is gone or another one now: the dub stays, to edit it drop the film again"
    for fault in video["failed"]:
        yield f"failed  {name_in(fault['task'])}: {DubdError.from_json(fault)}{_since(fault.get('at'))}"
    for edit in video.get("edited", ()):
        yield f"edited  {edit['artifact']} is kept as you left it; the machine's newer version is {edit['newer']}"


def _waiting(video: Mapping[str, Any]) -> Iterator[str]:
    """Tasks that wait for the same stages in one line: an hour of video has a thousand of them."""
    failed = {fault["task"] for fault in video["failed"]}
    groups: Counter[tuple[str, str]] = Counter()
    for task in video.get("waiting", ()):
        before = sorted({_stage(name) for name in task["for"]})
        if any(name in failed for name in task["for"]):
            cause = f"{', '.join(sorted({name_in(name) for name in task['for'] if name in failed}))}, which failed"
        elif before:
            cause = ", ".join(before)
        elif task["model"]:
            cause = f"a model: {task['model']['says']}; {task['model']['remedy']}"
        elif task["disk"]:
            cause = f"{task['disk']['says']}; dubd clean makes room"
        elif task["gpu"]:
            cause = task["gpu"]["says"]
        else:
            cause = "a place" if video["state"] == "building" else f"the next run ({'; '.join(task['why'])})"
        groups[_stage(task["task"]), cause] += 1
    for (stage, cause), count in groups.items():
        yield f"waiting {f'{count} × ' if count > 1 else ''}{stage} for {cause}"


def _stage(task: str) -> str:
    return name_in(task).rpartition("/")[2]
