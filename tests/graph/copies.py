"""A tiny project of copy tasks, built by stock doit or by dubd's build: `python copies.py SYSTEM FOLDER`.

FOLDER/copies.json lists tasks as {"name", "input", "output", "seconds"}; each copies its input slowly, half
before and half after the pause. Prints the name of each task as it starts. The folder is a video named "v".
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from doit.cmd_base import ModuleTaskLoader
from doit.control import TaskControl
from doit.dependency import Dependency
from doit.doit_cmd import DoitMain
from doit.task import Task

from dubd.errors import DubdError
from dubd.graph.build import Build
from dubd.graph.content import ContentChecker
from dubd.graph.state import Shards, owned
from dubd.graph.tasks import Key
from dubd.schedule.admission import Capacity
from dubd.schedule.executor import Executor, Slot
from dubd.schedule.scheduler import Scheduler
from dubd.schedule.ticket import Again, Ticket
from dubd.stages.job import Outcome


def copy(name: str, source: str, target: str, seconds: float) -> None:
    """Copy in two halves, with a pause between: so many seconds, or below 0 until there is a file `release`."""
    os.write(1, f"{name}\n".encode())
    data = Path(source).read_bytes()
    with Path(target).open("wb") as out:
        out.write(data[: len(data) // 2])
        out.flush()
        end = time.monotonic() + (seconds if seconds >= 0 else 60)
        while time.monotonic() < end and not (seconds < 0 and Path(source).with_name("release").exists()):
            time.sleep(0.02)
        out.write(data[len(data) // 2 :])


def stock(folder: Path, tasks: list[dict[str, Any]]) -> int:
    """As a plain dodo.py with doit's defaults would."""

    def task_v() -> Any:
        for task in tasks:
            paths = str(folder / task["input"]), str(folder / task["output"])
            yield {
                "name": task["name"],
                "actions": [(copy, [task["name"], *paths, task["seconds"]])],
                "file_dep": [paths[0]],
                "targets": [paths[1]],
                "io": {"capture": False},
            }

    config = {"dep_file": str(folder / "doit.db"), "verbosity": 0, "backend": "sqlite3"}
    loader = ModuleTaskLoader({"task_v": task_v, "DOIT_CONFIG": config})
    return int(DoitMain(loader).run(["run", "-r", "zero"]) or 0)


class Copier(Executor):
    """An executor for the copies."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds = seconds

    def capacity(self) -> Capacity:
        return Capacity(1)

    def resident(self) -> set[tuple[str, ...]]:
        return set()

    def run(self, slot: Slot, tickets: Sequence[Ticket], heard: Callable[[int, float], None]) -> list[Outcome | Again]:
        del slot, heard
        for ticket in tickets:
            name = ticket.task.partition(":")[2]
            copy(name, ticket.inputs["in"], ticket.outputs["out"], self.seconds[name])
        return [{} for _ in tickets]


def ours(folder: Path, tasks: list[dict[str, Any]]) -> int:
    """As dubd builds."""
    try:
        with owned(folder):
            return build(folder, tasks)
    except DubdError as error:
        return int(error.exit)


def build(folder: Path, tasks: list[dict[str, Any]]) -> int:
    """With the lock in hand."""
    made = []
    for task in tasks:
        paths = str(folder / task["input"]), str(folder / task["output"])
        ticket = Ticket(f"v:{task['name']}", "copy", None, {"in": paths[0]}, {}, {"out": paths[1]}, {})
        made.append(
            Task(
                ticket.task,
                [copy],
                file_dep=[paths[0]],
                targets=[paths[1]],
                uptodate=[Key({})],
                meta={"ticket": ticket},
            )
        )
    dependency = Dependency(Shards, str(folder.parent), ContentChecker)
    control = TaskControl(made)
    control.process(None)
    run = Build(dependency, control, lambda _: None)
    signal.signal(signal.SIGTERM, lambda *_: run.stop())
    run.start()
    scheduler = Scheduler(Copier({task["name"]: task["seconds"] for task in tasks}))
    scheduler.add(run)
    scheduler.run()
    return run.complete()


if __name__ == "__main__":
    where = Path(sys.argv[2])
    sys.exit({"stock": stock, "dubd": ours}[sys.argv[1]](where, json.loads((where / "copies.json").read_text())))
