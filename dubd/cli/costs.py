"""dubd report --cost: what was spent by video and month, and what was spared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dubd.cli.console import clock, console, many, say, show_json
from dubd.cli.prices import show_prices
from dubd.errors import DubdError

if TYPE_CHECKING:
    from rich.table import Table

    from dubd.cost.prices import Prices

_UNCOUNTED = {
    "price": "its price elsewhere is not counted",
    "minutes": "its minutes, and their price elsewhere, are not counted",
    "all": "is not counted",
}


def show(folders: Iterable[Path], prices: Prices, *, one: Path | None, json: bool) -> None:
    """Print the costs of these videos, or of `one` of them, without the sums by month."""
    from dubd.cost.report import costs

    data = costs(folders, prices, one)
    if json:
        show_json(data)
        return
    rows = data["videos"] if one else data["months"]
    name = "video" if one else "month"
    total, out = data["total"], console()
    labelled = [(str(row[name]), row) for row in rows] + ([] if one else [("all", total)])
    out.print(_table(name, labelled, out.width))
    for on in ("gpu", "cpu"):
        by_stage = sorted(total[on].items(), key=lambda item: -item[1])
        if by_stage:
            say(f"{on.upper()} time: " + ", ".join(f"{stage} {clock(seconds)}" for stage, seconds in by_stage))
    spared = total["spared"]
    say(
        f"spared by rebuilding only what is stale: {many(spared['tasks'], 'task')}, {clock(spared['gpu'])} of GPU, "
        f"{clock(spared['cpu'])} of CPU"
    )
    about = total["remembered_seconds"]
    say(
        f"spared by the translation memory: {many(total['remembered'], 'utterance')}, "
        f"{'-' if about is None else f'about {clock(about)}'} of translation"
        + (" (unknown: nothing was translated here without it)" if about is None else "")
    )
    show_prices(total["prices"], total["cloud"], total["videos"])
    for fault in data["faults"]:
        say(f"{fault['video']}: {_UNCOUNTED[fault['uncounted']]}: {DubdError.from_json(fault)}", "yellow")


def _table(name: str, rows: Iterable[tuple[str, Mapping[str, Any]]], width: int) -> Table:
    from dubd.cli.fitting import Column, fitting

    columns = [Column(name, least=10)]  # as wide as a month: a video's id is folded
    figures = (("video\nmin", 0), ("tasks", 2), ("CPU", 0), ("GPU", 0), ("CPU\nmin/min", 1), ("GPU\nmin/min", 1))
    for title, drop in (*figures, ("spared\nGPU", 3), ("spared\nCPU", 3)):
        columns.append(Column(title, right=True, drop=drop))
    return fitting(columns, [_row(label, row) for label, row in rows], width)


def _row(label: str, row: Mapping[str, Any]) -> list[str]:
    """`-` for what is not known, or does not apply."""
    spared = row["spared"] or {"gpu": None, "cpu": None}
    paces = (row[f"{on}_minutes_per_minute"] for on in ("cpu", "gpu"))
    return [
        label,
        f"{row['minutes']:.1f}",
        "-" if row["tasks"] is None else str(row["tasks"]),
        *(_clock(row[f"{on}_seconds"]) for on in ("cpu", "gpu")),
        *("-" if pace is None else f"{pace:.3f}" for pace in paces),
        *(_clock(spared[on]) for on in ("gpu", "cpu")),
    ]


def _clock(seconds: float | None) -> str:
    return "-" if seconds is None else clock(seconds)
