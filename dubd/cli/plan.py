"""dubd plan: how long hours of video take by a rule, on how many GPUs, and at what price."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dubd.cli.asked import file_of
from dubd.cli.console import clock, complain, console, many, say, show_json
from dubd.cli.prices import GpuHour, Price, Watts, prices, show_prices
from dubd.errors import DubdError, Exit
from dubd.folders import Folders

if TYPE_CHECKING:
    from rich.table import Table

    from dubd.graph.rule import Rule

_BY = {
    "GPU": "GPU time",
    "CPU": "CPU time",
    "head": "the head, which alone reads whole videos",
    "VRAM": "GPU memory",
    "path": "the way through one video",
    "worker": "one stage's workers",
    "sharing": "sharing of the GPUs",
}


def plan(
    videos: Annotated[
        list[str] | None, typer.Argument(metavar="[VIDEO...]", help="Files, or ids; else --hours.")
    ] = None,
    hours: Annotated[float | None, typer.Option("--hours", min=0.001, max=1e6, help="Hours of video.")] = None,
    rule: Annotated[str | None, typer.Option("--rule", "-r", help="A rule's name, its path, or a video's id.")] = None,
    by: Annotated[
        str | None, typer.Option("--by", metavar="HH:MM", help="When it must be done: how many GPUs?")
    ] = None,
    gpus: Annotated[int | None, typer.Option("--gpus", min=0, max=65536, help="Done in what time on so many?")] = None,
    cores: Annotated[
        int | None, typer.Option("--cores", min=1, max=1 << 24, help="CPU slots; those of this machine.")
    ] = None,
    machines: Annotated[
        int, typer.Option("--machines", min=1, max=65536, help="In so many, with --storage value.")
    ] = 1,
    watts: Watts = None,
    price: Price = None,
    gpu_hour: GpuHour = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Plan hours of video: seconds per stage as they were measured here, else as published, and marked so.

    [bold]dubd plan --hours 500 --rule english-spanish --by 07:00[/]  how many GPUs until then

    [bold]dubd plan talks/*.mp4 --gpus 2[/]  how long these take on two
    """
    from dubd.cost.measured import disk, rates
    from dubd.cost.plan import EACH, Asked, Machine
    from dubd.cost.plan import plan as make
    from dubd.schedule.gpu import gpu

    if bool(videos) == (hours is not None):
        raise DubdError("give videos or --hours, one of the two", exit=Exit.USAGE)
    if cores and cores < machines:
        reason = f"{many(cores, 'core')} cannot lie in {machines} machines"
        raise DubdError(reason, remedy="--cores is that of all of them", exit=Exit.USAGE)
    rates_given = prices(watts, price, gpu_hour)
    within = None if by is None else _until(by, datetime.now())
    folders = Folders.find()
    found = _rule(rule, folders)
    lengths, code = _lengths(videos, folders) if videos else (_amount(hours or 0.0, EACH), Exit.OK)
    if not lengths:
        raise typer.Exit(int(code))
    wanted = Asked(lengths, gpus, cores, within, machines, rates_given)
    machine = Machine(len(os.sched_getaffinity(0)), [(device.name, device.total) for device in gpu().devices()])
    data = make(found, wanted, rates(folders.workspace), machine, disk(folders.workspace))
    if json:
        show_json(data)
    else:
        _show(data, by)
    if code:
        raise typer.Exit(int(code))


def _amount(hours: float, each: float) -> list[float]:
    count = max(1, round(hours * 3600 / each))
    return [hours * 3600 / count] * count


def _lengths(videos: Iterable[str], folders: Folders) -> tuple[list[float], Exit]:
    """Seconds of each, and the code of the first one's fault that cannot be planned; those are told of.

    One that is named twice is dubbed once: by one file, by its id, or by files of which `dubd run` makes one video.
    """
    known, lengths, code = set[object](), list[float](), Exit.OK
    names: dict[str, str] = {}
    for text in videos:
        try:
            path, name = _file(text, folders)
            same = {_inode(path), name or _name(path, folders, names)}
            if not same & known:
                lengths.append(_seconds(path))
            known |= same
        except DubdError as error:
            complain(error)
            code = code or error.exit
    return lengths, code


def _file(text: str, folders: Folders) -> tuple[Path, str | None]:
    """A video's file, and its id where it is one of the workspace."""
    from dubd.cli.chosen import chosen
    from dubd.graph.video import Video

    path = Path(text)
    if path.is_file():
        return path, None
    video = Video.open(chosen(text, folders))
    return video.folder / video.source, video.id


def _inode(path: Path) -> object:
    """What two names of one file have in common: a video's source is a link to the drop."""
    try:
        stat = path.stat()
    except OSError:
        return path  # ffmpeg says what is wrong with it
    return stat.st_dev, stat.st_ino


def _name(path: Path, folders: Folders, names: dict[str, str]) -> str:
    """The id that `dubd run` would give it; `names` are those of drops by content, whose first one names them all."""
    from dubd.graph.video import content_key, slug
    from dubd.service.aliases import taken

    drop, folder = taken(Path(os.path.abspath(path)), folders)
    key = content_key(path)
    name = folder.name if folder else f"{slug(path.stem)}-{key}"
    return names.setdefault(key, name) if drop.is_relative_to(folders.inbox) else name


def _seconds(path: Path) -> float:
    """As the container tells it: nothing is decoded. Errors: DubdError where it lacks what can be dubbed."""
    from dubd.media import ffmpeg
    from dubd.media.source import pick

    found = ffmpeg.probe(path)
    pick(found, path)
    told = found.get("format", {}).get("duration")
    try:
        return max(float(told), 0.001)
    except (TypeError, ValueError):
        remedy = "remux it: ffmpeg -i IN -c copy OUT.mkv"
        raise DubdError("does not tell its length", file=path, remedy=remedy, exit=Exit.INPUT) from None


def _rule(name: str | None, folders: Folders) -> Rule:
    """By name, path or video, else the default; models and libraries need not be here for a plan."""
    from dubd.graph.rules import Rules, check, load

    if name:
        return load(file_of(name, folders), ready=False)
    rules = Rules(folders.rules)
    for path in rules.paths():
        found, _ = check(path, ready=False)
        if found and found.default:
            return found
    return rules.for_drop(folders.inbox / "video.mp4", folders.inbox)


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


def _show(data: Mapping[str, Any], by: str | None) -> None:
    say(f"{_hours(data['hours'])} of video in {many(data['videos'], 'video')}, rule {data['rule']}", "bold")
    out = console()
    out.print(_stages(data["stages"], out.width))
    unknown, on_gpu = data["unknown"], data["vram"]["card"] is not None
    least = "at least " if unknown else ""
    cards = f"{_hours(data['gpu_hours'])} of GPU, " if on_gpu else ""
    say(f"in all: {least}{cards}{_hours(data['core_hours'])} of CPU")
    if unknown:
        say(
            f"unknown, and not counted: {', '.join(unknown)}; dub a minute with this rule, and it is measured", "yellow"
        )
    here, asked = data["here"], data["asked"]
    names = ", ".join(here["names"]) or "no GPU"
    if here["seconds"] is None:
        say(f"here ({many(here['cores'], 'core')}, {names}): needs a GPU with {data['vram']['needed'] / 1024:.1f} GiB; "
            "dubd plan --gpus 0 tells what the CPU takes")  # fmt: skip
    else:
        say(f"here ({many(here['cores'], 'core')}, {names}): {_done(here, least)}")
    if asked:
        _show_asked(asked, here, by, least, on_gpu=on_gpu)
    if on_gpu:
        say(f"GPU memory: {data['vram']['needed'] / 1024:.1f} GiB for the largest engine, planned with "
            f"{data['vram']['card'] / 1024:.0f} GiB a card")  # fmt: skip
    disk = data["disk"]
    origin = f"measured, {many(disk['videos'], 'video')}" if disk["videos"] else "assumed"
    say(f"disk: {disk['bytes'] / 1e9:,.1f} GB beside the sources ({origin})")
    show_prices(data["prices"], data["cloud"])


def _show_asked(asked: Mapping[str, Any], here: Mapping[str, Any], by: str | None, least: str, *, on_gpu: bool) -> None:
    if asked["given"]["gpus"] and not on_gpu:
        say("no stage of this rule runs on a GPU: --gpus makes no difference", "yellow")
    window = f"by {by}, in {clock(asked['within'])}: " if by else ""
    lie = f" in {asked['machines']} machines" if asked["machines"] > 1 else ""
    if asked["gpus"] is None:
        on = _devices(asked["given"]["gpus"], asked["given"]["cores"], on_gpu=on_gpu)
        say(f"{window}no, not with {on}{lie}: done in {least}{clock(asked['least'])}", "red")
        return
    yes = ("yes but for what is unknown, with " if least else "yes, with ") if by else ""
    on = _devices(asked["gpus"], asked["cores"], on_gpu=on_gpu)
    say(f"{window}{yes}{on}{lie}: {_done(asked, least)}", "bold")
    if not lie and (asked["cores"] > here["cores"] or asked["gpus"] > here["gpus"]):
        say("planned as one machine, or with --storage shared; else say --machines N: the head alone reads videos")


def _devices(gpus: int | None, cores: int | None, *, on_gpu: bool) -> str:
    """Such as: 4 GPUs and 8 cores; None: any number of them."""
    named = ([("GPU", gpus)] if on_gpu else []) + [("core", cores)]
    return " and ".join(f"any number of {name}s" if number is None else many(number, name) for name, number in named)


def _hours(hours: float) -> str:
    """An amount of video or of work; what is below an hour as every other time."""
    if hours < 1:
        return clock(hours * 3600)
    number = f"{hours:,.1f}".removesuffix(".0")
    return f"{number} hour" if number == "1" else f"{number} hours"


def _done(found: Mapping[str, Any], least: str) -> str:
    at = f", most of it {found['bottleneck']}" if found["bottleneck"] else ""
    return f"done in {least}{clock(found['seconds'])}, set by {_BY[found['by']]}{at}"


def _stages(stages: Sequence[Mapping[str, Any]], width: int) -> Table:
    from dubd.cli.fitting import Column, fitting

    short = all((row["hours"] or 0.0) < 1 for row in stages)
    columns = (
        Column("stage"),
        Column("engine", drop=1),
        Column("on"),
        Column("s per hour", right=True),
        Column("time" if short else "hours", right=True),
        Column("origin"),
        Column("device", least=12, drop=2),
        Column("source", least=24, drop=3),
    )
    rows = []
    for row in stages:
        known = row["seconds_per_hour"] is not None
        source = many(row["tasks"], "task") if row["tasks"] else row["source"] or ""
        pace = f"{row['seconds_per_hour']:.1f}" if known else "?"
        takes = (clock(row["hours"] * 3600) if short else f"{row['hours']:.2f}") if known else "?"
        rows.append((row["stage"], row["engine"] or "", row["on"], pace, takes, row["origin"], row["device"], source))
    return fitting(columns, rows, width)
