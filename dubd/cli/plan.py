"""dubd plan: how long hours of video take by a rule, on how many GPUs, and at what price."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dubd.cli.console import clock, console, say, show_json
from dubd.errors import DubdError, Exit
from dubd.folders import Folders

if TYPE_CHECKING:
    from dubd.graph.rule import Rule

_BY = {
    "device": "device time",
    "CPU": "CPU time",
    "head": "the head, which alone reads whole videos",
    "VRAM": "GPU memory",
    "path": "the way through one video",
    "worker": "one stage's workers",
    "sharing": "GPU time",
}


def plan(
    videos: Annotated[
        list[str] | None, typer.Argument(metavar="[VIDEO...]", help="Files, or ids; else --hours.")
    ] = None,
    hours: Annotated[float | None, typer.Option("--hours", min=0.001, max=1e6, help="Hours of video.")] = None,
    rule: Annotated[str | None, typer.Option("--rule", "-r", help="A rule's name, or the path of one.")] = None,
    by: Annotated[
        str | None, typer.Option("--by", metavar="HH:MM", help="When it must be done: how many GPUs?")
    ] = None,
    gpus: Annotated[int | None, typer.Option("--gpus", min=0, max=65536, help="Done in what time on so many?")] = None,
    cores: Annotated[int | None, typer.Option("--cores", min=1, help="CPU slots; those of this machine.")] = None,
    machines: Annotated[int, typer.Option("--machines", min=1, help="In so many, with --storage value.")] = 1,
    watts: Annotated[float | None, typer.Option("--watts", min=0, help="Of one GPU under load.")] = None,
    price: Annotated[float | None, typer.Option("--price", min=0, help="Of a kWh.")] = None,
    gpu_hour: Annotated[float | None, typer.Option("--gpu-hour", min=0, help="Price of an hour of one GPU.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Plan hours of video: seconds per stage as they were measured here, else as published, and marked so.

    [bold]dubd plan --hours 500 --rule english-spanish --by 07:00[/]  how many GPUs until then

    [bold]dubd plan talks/*.mp4 --gpus 2[/]  how long these take on two
    """
    from dubd.cost.measured import disk, rates
    from dubd.cost.plan import EACH, Asked, Machine
    from dubd.cost.plan import plan as make
    from dubd.cost.prices import Prices
    from dubd.schedule.gpu import gpu

    if bool(videos) == (hours is not None):
        raise DubdError("give videos or --hours, one of the two", exit=Exit.USAGE)
    folders = Folders.find()
    lengths = [_seconds(video, folders) for video in videos] if videos else _amount(hours or 0.0, EACH)
    found = _rule(rule, folders)
    within = _until(by, datetime.now()) if by else None
    asked = Asked(lengths, gpus, cores, within, machines, Prices(watts, price, gpu_hour))
    machine = Machine(len(os.sched_getaffinity(0)), [(device.name, device.total) for device in gpu().devices()])
    data = make(found, asked, rates(folders.workspace), machine, disk(folders.workspace))
    if json:
        show_json(data)
        return
    _show(data)


def _amount(hours: float, each: float) -> list[float]:
    count = max(1, round(hours * 3600 / each))
    return [hours * 3600 / count] * count


def _seconds(text: str, folders: Folders) -> float:
    """Of a file, or of a video in the workspace, as its container tells it: nothing is decoded."""
    from dubd.cli.chosen import chosen
    from dubd.graph.video import Video
    from dubd.media import ffmpeg

    path = Path(text)
    if not path.is_file():
        folder = chosen(text, folders)
        path = folder / Video.open(folder).source
    told = ffmpeg.probe(path).get("format", {}).get("duration")
    try:
        return max(float(told), 0.001)
    except (TypeError, ValueError):
        remedy = "remux it: ffmpeg -i IN -c copy OUT.mkv"
        raise DubdError("does not tell its length", file=path, remedy=remedy, exit=Exit.INPUT) from None


def _rule(name: str | None, folders: Folders) -> Rule:
    """By name or path, else the default; models and libraries need not be here for a plan."""
    from dubd.graph.rules import SUFFIXES, Rules, check, load

    rules = Rules(folders.rules)
    if name and name.endswith(SUFFIXES):
        return load(Path(name), ready=False)
    for path in rules.paths():
        found, _ = check(path, ready=False)
        if found and (path.stem == name if name else found.default):
            return found
    return rules.named(name) if name else rules.for_drop(folders.inbox / "video.mp4", folders.inbox)


def _until(text: str, now: datetime) -> float:
    """Seconds from `now` (local) until the clock shows HH:MM next, which may have been changed by then.

    Errors: DubdError(Exit.USAGE).
    """
    try:
        at = datetime.strptime(text, "%H:%M")
    except ValueError:
        raise DubdError(f"no time of day in {text!r}", remedy="write HH:MM, such as 07:00", exit=Exit.USAGE) from None
    today = now.replace(hour=at.hour, minute=at.minute, second=0, microsecond=0, fold=0)
    ahead = (today.timestamp(), today.replace(fold=1).timestamp(), (today + timedelta(days=1)).timestamp())
    return next(then for then in ahead if then > now.timestamp()) - now.timestamp()


def _show(data: Mapping[str, Any]) -> None:
    say(f"{data['hours']:g} hours of video in {data['videos']} videos, rule {data['rule']}", "bold")
    console().print(_stages(data["stages"]))
    least = "at least " if data["unknown"] else ""
    say(f"in all: {least}{data['gpu_hours']:.1f} GPU hours, {data['core_hours']:.1f} core hours")
    if data["unknown"]:
        say(
            f"unknown, and not counted: {', '.join(data['unknown'])}; dub a minute with this rule, and it is measured",
            "yellow",
        )
    here, asked = data["here"], data["asked"]
    names = ", ".join(here["names"]) or "no GPU"
    if here["seconds"] is None:
        say(f"here ({here['cores']} cores, {names}): needs a GPU with {data['vram']['needed'] / 1024:.1f} GiB; "
            "dubd plan --gpus 0 tells what the CPU takes")  # fmt: skip
    else:
        say(f"here ({here['cores']} cores, {names}): {_done(here, least)}")
    if asked and asked["gpus"] is None:
        on = _given(asked["given"], gpu=data["vram"]["card"] is not None)
        say(f"in {clock(asked['within'])}: not on {on}; {least}{clock(asked['least'])} is what it takes", "red")
    elif asked:
        window = f"in {clock(asked['within'])}: " if "within" in asked else ""
        lie = f" in {asked['machines']} machines" if asked["machines"] > 1 else ""
        say(f"{window}{asked['gpus']} GPUs, {asked['cores']} cores{lie}: {_done(asked, least)}", "bold")
        if not lie and (asked["cores"] > here["cores"] or asked["gpus"] > here["gpus"]):
            say("planned as one machine, or with --storage shared; else say --machines N: the head alone reads videos")
    if data["vram"]["card"]:
        say(f"GPU memory: {data['vram']['needed'] / 1024:.1f} GiB for the largest engine, planned with "
            f"{data['vram']['card'] / 1024:.0f} GiB a card")  # fmt: skip
    disk = data["disk"]
    origin = f"measured, {disk['videos']} videos" if disk["videos"] else "assumed"
    say(f"disk: {disk['bytes'] / 1e9:.1f} GB beside the sources ({origin})")
    show_prices(data["prices"], data["cloud"])


def _given(given: Mapping[str, int | None], *, gpu: bool) -> str:
    """What a plan had to do with, such as: any number of GPUs and 8 cores."""
    named = [("GPUs", given["gpus"])] if gpu else []
    named += [("cores", given["cores"])] if given["cores"] or not gpu else []
    return " and ".join(f"{number or 'any number of'} {name}" for name, number in named)


def show_prices(prices: Mapping[str, float | None], cloud: Sequence[Mapping[str, Any]]) -> None:
    """Energy and price of the GPUs, as far as rates were given, and what the same minutes cost elsewhere."""
    if prices["kwh"] is not None:
        at = "" if prices["energy_price"] is None else f", {prices['energy_price']:.2f} at the price given"
        say(f"energy of the GPUs: {prices['kwh']:.1f} kWh{at}")
    if prices["gpu_price"] is not None:
        say(f"GPU hours at the price given: {prices['gpu_price']:.2f}")
    for one in cloud:
        cost = "no price known" if one["price"] is None else f"{one['price']:,.2f} {one['currency']}"
        lips = "with lips" if one["lips"] else "without lips"
        say(f"elsewhere: {one['service']}, {lips}: {cost} (as of {one['as_of']}; {one['note']})")


def _done(found: Mapping[str, Any], least: str) -> str:
    at = f", most of it {found['bottleneck']}" if found["bottleneck"] else ""
    return f"done in {least}{clock(found['seconds'])}, set by {_BY[found['by']]}{at}"


def _stages(stages: Sequence[Mapping[str, Any]]) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD)
    for column in ("stage", "engine", "on", "s per hour", "hours", "origin", "device", "source"):
        table.add_column(column, justify="right" if column in ("s per hour", "hours") else "left")
    for row in stages:
        known = row["seconds_per_hour"] is not None
        table.add_row(
            row["stage"],
            row["engine"] or "",
            row["on"],
            f"{row['seconds_per_hour']:.1f}" if known else "?",
            f"{row['hours']:.2f}" if known else "?",
            row["origin"],
            row["device"],
            f"{row['tasks']} tasks" if row["tasks"] else row["source"] or "",
        )
    return table
