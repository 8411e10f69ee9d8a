"""dubd gpu: the GPUs as they are now, who was promised how much of them, and what other programs use."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dubd.cli.console import clock, console, say, show_json

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from dubd.schedule.ledger import Held
    from dubd.service.gpus import Machine, Seen


def gpu(
    once: Annotated[bool, typer.Option("--once", help="One look, and leave.")] = False,
    every: Annotated[float, typer.Option("--every", min=0.1, help="Seconds between two looks.")] = 1.0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document, and leave.")] = False,
) -> None:
    """Watch the GPUs: what is used, by whom, what is promised to workers, and what is free. Ctrl-C leaves.

    Where the output is no terminal it is one look. Without a GPU it says why there is none.
    """
    from dubd.service.gpus import machine

    seen = machine()
    if json:
        show_json(seen.to_json())
    elif seen.why and not seen.seen:
        say(f"no GPU: {seen.why}")
    elif once or not sys.stdout.isatty():
        console().print(tables(seen))
    else:
        _follow(seen, every)


def _follow(seen: Machine, every: float) -> None:
    from rich.live import Live

    from dubd.service.gpus import machine

    with Live(tables(seen), console=console(), auto_refresh=False) as live:
        try:
            while True:
                time.sleep(every)
                live.update(tables(machine()), refresh=True)
        except KeyboardInterrupt:
            return


def tables(machine: Machine) -> Group:
    """The devices, and below them the leases; also what a terminal of 80 columns can show."""
    from rich.console import Group
    from rich.text import Text

    parts: list[Any] = [Text(f"no GPU: {machine.why}", "yellow")] if machine.why else []
    parts += [_devices(machine)] if machine.seen else []
    parts += [Text(line, "red") for line in _faults(machine)]
    if held := [(seen, one) for seen in machine.seen for one in seen.held or ()]:
        parts += ["", _leases(held)]
    elif any(seen.held is not None for seen in machine.seen):
        parts.append(Text("no leases: no worker of dubd has, or was promised, any of it", "dim"))
    return Group(*parts)


def _faults(machine: Machine) -> list[str]:
    return [f"{seen.short}: {seen.fault}" for seen in machine.seen if seen.fault]


def _devices(machine: Machine) -> Table:
    from rich.text import Text

    from dubd.service.gpus import size

    table = _table("GPU", "id", "total#", "used#", "others#", "promised#", "free#")
    for seen in machine.seen:
        view = seen.view
        known = (view.used, view.foreign, seen.promised, view.free) if view else (None, None, seen.promised, None)
        figures = ["?" if mib is None else size(mib) for mib in (seen.device.total or None, *known)]
        table.add_row(Text(seen.device.name), seen.short, *figures)
    return table


def _leases(leases: list[tuple[Seen, Held]]) -> Table:
    from rich.text import Text

    from dubd.service.gpus import size

    table = _table("lease", "id", "pid#", "promised#", "held#", "since#", "")
    for seen, held in leases:
        since = clock(max(0.0, time.monotonic() - held.since))
        state = Text("loading", "cyan") if held.loading else Text("")
        over = "red" if held.allocated > held.mib else ""
        row = (seen.short, str(held.pid), size(held.mib), Text(size(held.allocated), over), since, state)
        table.add_row(Text(held.what), *row)
    return table


def _table(first: str, *columns: str) -> Table:
    """The first column gives way where the terminal is narrow; the figures never do."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 0, 0, 1))
    table.add_column(first, min_width=8, overflow="fold")
    for column in columns:
        table.add_column(column.removesuffix("#"), justify="right" if column.endswith("#") else "left", no_wrap=True)
    return table
