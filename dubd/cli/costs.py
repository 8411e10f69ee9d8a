"""dubd report --cost: what was spent by video and month, and what was spared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dubd.cli.console import clock, console, many, say, show_json
from dubd.cli.prices import show_prices

if TYPE_CHECKING:
    from dubd.cost.prices import Prices


def show(folders: Iterable[Path], prices: Prices, *, one: Path | None, json: bool) -> None:
    """Print the costs of these videos, or of `one` of them, without the sums by month."""
    from dubd.cost.report import costs

    data = costs(folders, prices, one)
    if json:
        show_json(data)
        return
    rows = data["videos"] if one else data["months"]
    name = "video" if one else "month"
    console().print(_table(name, [(str(row[name]), row) for row in rows] + ([] if one else [("all", data["total"])])))
    total = data["total"]
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
    show_prices(total["prices"], total["cloud"])
    for video in data["unread"]:
        say(f"{video}: cannot be read, and is not counted", "yellow")


def _table(name: str, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD)
    table.add_column(name)
    for column in ("video min", "tasks", "CPU", "GPU", "CPU min/min", "GPU min/min", "spared GPU", "spared CPU"):
        table.add_column(column, justify="right")
    for label, row in rows:
        table.add_row(
            label,
            f"{row['minutes']:.1f}",
            str(row["tasks"]),
            clock(row["cpu_seconds"]),
            clock(row["gpu_seconds"]),
            *(
                "" if row[f"{on}_minutes_per_minute"] is None else f"{row[f'{on}_minutes_per_minute']:.3f}"
                for on in ("cpu", "gpu")
            ),
            clock(row["spared"]["gpu"]),
            clock(row["spared"]["cpu"]),
        )
    return table
