"""dubd report: timing line by line, seconds per stage, and which engines did it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dubd.cli.chosen import chosen, complete
from dubd.cli.console import clock, console, name_in, say, show_json
from dubd.cli.prices import GpuHour, Price, Watts, prices
from dubd.errors import DubdError, Exit
from dubd.folders import Folders

if TYPE_CHECKING:
    from rich.table import Table

_GOES_ON = {
    "waiting": "waits for a model, see dubd status; once it is here go on with",
    "unfinished": "not finished; go on with",
    "changed": "something changed since; build it with",
}


def report(
    video: Annotated[
        str | None,
        typer.Argument(metavar="[VIDEO]", help="An id, the start of one, or the file.", autocompletion=complete),
    ] = None,
    cost: Annotated[
        bool,
        typer.Option(
            "--cost", help="What was spent and spared; without VIDEO by month. What GPUs take and cost goes with it."
        ),
    ] = False,
    watts: Watts = None,
    price: Price = None,
    gpu_hour: GpuHour = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show what came of a video: timing line by line, figures with their targets, seconds per stage, engines.

    The same stands in the video's folder as report.json and, to look at, as report.html.
    """
    folders = Folders.find()
    if cost:
        from dubd.cli.costs import show
        from dubd.graph.video import videos

        one = chosen(video, folders) if video else None
        show(videos(folders.workspace), prices(watts, price, gpu_hour), one=one, json=json)
        return
    if any(rate is not None for rate in (watts, price, gpu_hour)):
        raise DubdError("--watts, --price and --gpu-hour go with --cost", exit=Exit.USAGE)
    if video is None:
        raise DubdError(
            "no video is named", remedy="name one, or say --cost for what all of them took", exit=Exit.USAGE
        )
    from dubd.graph.lips import said
    from dubd.graph.report import HTML
    from dubd.graph.report import report as make

    folder = chosen(video, folders)
    data = make(folder)
    if json:
        show_json(data)
        return
    say(_heading(data), "bold")
    for fault in data["failed"]:
        say(f"failed  {name_in(fault['task'])}: {DubdError.from_json(fault)}", "red")
    for remark in data["remarks"]:
        say(f"remark  {remark}", "yellow")
    if data["state"] in _GOES_ON:
        say(f"{_GOES_ON[data['state']]}: dubd run {data['video']}", "yellow")
    out = console()
    for dub in data["dubs"]:
        if dub["lines"]:
            out.print(_lines(dub))
            out.print(_figures(dub["figures"]))
        lips = f", {said(dub['lips'])}" if dub["lips"] else ""
        say(f"{dub['file'] or dub['language'] + ': no dub yet'}{lips}")
    if data["stages"]:
        out.print(_stages(data["stages"]))
    for stage, engine in data["engines"].items():
        say(f"{stage}: {engine['name']}, {engine['summary']} ({engine['licence']})" if engine else f"{stage}: none")
    if (folder / HTML).exists():
        say(f"{folder / HTML}")


def _heading(data: Mapping[str, Any]) -> str:
    source = data["source"]
    known = f" {source['seconds']:.1f} s, {source['width']}x{source['height']}," if source else ""
    return f"{data['video']}: {data['state']},{known} rule {data['rule']}"


def _table(title: str, *columns: str) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left")
    for column in columns:
        table.add_column(column.removesuffix("#"), justify="right" if column.endswith("#") else "left")
    return table


def _lines(dub: Mapping[str, Any]) -> Table:
    from rich.markup import escape

    table = _table(f"Lines, {dub['language']}", "line", "slot#", "start#", "length#", "tempo#", "overrun#", "text")
    for line in dub["lines"]:
        table.add_row(
            line["id"],
            f"{line['slot'][0]:.2f}-{line['slot'][1]:.2f}",
            f"{line['start']:.2f}",
            f"{line['end'] - line['start']:.2f}",
            f"{line['tempo']:.2f}",
            f"{line['overrun']:.2f}" if line["overrun"] else "",
            escape(line["text"]),
        )
    return table


def _figures(figures: Mapping[str, Any]) -> Table:
    from dubd.graph.timing import TARGETS

    table = _table("Figures", "figure", "value#", "target#")
    for name, value in figures.items():
        if value is not None:
            bound = ">= " if name == "overlap" else "<= "
            table.add_row(name.replace("_", " "), str(value), f"{bound}{TARGETS[name]}" if name in TARGETS else "")
    return table


def _stages(stages: Mapping[str, Mapping[str, Any]]) -> Table:
    table = _table("Work", "stage", "tasks#", "time#", "x real time#", "device")
    for name, stage in sorted(stages.items(), key=lambda item: -item[1]["seconds"]):
        pace = "" if stage["times_real_time"] is None else f"{stage['times_real_time']:.2f}"
        table.add_row(name, str(stage["tasks"]), clock(stage["seconds"]), pace, stage["device"])
    return table
