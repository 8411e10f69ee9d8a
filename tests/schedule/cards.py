"""A machine with simulated cards for tests: tickets of the allocating engine, real workers, real leases.

Run as `python -m tests.schedule.cards FOLDER NAME COUNT [PARAM=VALUE ...]`: one more dubd process on that machine.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dubd.engines.contract import Vram
from dubd.errors import DubdError
from dubd.schedule.admission import PATIENCE
from dubd.schedule.executor import LocalExecutor
from dubd.schedule.gpu import Device, gpu
from dubd.schedule.ledger import MARGIN, Ledger
from dubd.schedule.scheduler import Scheduler
from dubd.schedule.simulated import simulate
from dubd.schedule.ticket import Ticket
from dubd.stages.job import Outcome

_HERE = Path(__file__).parent


class Tickets:
    """A source of tickets that are all ready at once."""

    def __init__(self, tickets: Sequence[Ticket]) -> None:
        self.all = {ticket.task: ticket for ticket in tickets}
        self.left = dict(self.all)
        self.running: set[str] = set()
        self.ended: dict[str, Outcome] = {}
        self.begun: list[str] = []

    def ready(self) -> Sequence[Ticket]:
        return list(self.left.values())

    def begin(self, task: str) -> Ticket | None:
        self.running.add(task)
        self.begun.append(task)
        return self.left.pop(task)

    def progress(self, task: str, fraction: float) -> None:
        """Nobody watches."""

    def finish(self, task: str, outcome: Outcome, seconds: float) -> None:
        assert seconds >= 0
        self.running.remove(task)
        self.ended[task] = outcome

    def again(self, task: str) -> None:
        self.running.remove(task)
        self.left[task] = self.all[task]

    def abandon(self, error: Exception) -> None:
        raise error

    @property
    def done(self) -> bool:
        return not self.left and not self.running


class Machine:
    """A folder with cards of so many MiB that can be leased, and what dubd processes share."""

    def __init__(self, folder: Path, *leasable: int) -> None:
        self.folder, self.log = folder, folder / "engine.log"
        self.cards, self.site = folder / "cards", folder / "site"
        if leasable:
            self.simulate(*leasable)
            self.site.mkdir()
            shutil.copy(_HERE / "allocating.py", self.site / "allocating.py")
            info = self.site / "allocating-1.0.dist-info"
            info.mkdir()
            (info / "METADATA").write_text("Metadata-Version: 2.1\nName: allocating\nVersion: 1.0\n")
            (info / "entry_points.txt").write_text("[dubd.translate]\nallocating = allocating:Allocating\n")

    def simulate(self, *leasable: int, **conduct: Any) -> None:
        devices = [Device(f"GPU-{index}", "Paper 1", MARGIN + mib) for index, mib in enumerate(leasable)]
        simulate(self.cards, devices, **conduct)

    def environ(self) -> dict[str, str]:
        path = os.pathsep.join((str(self.site), str(_HERE.parents[1])))
        return {
            "DUBD_SIMULATED_GPUS": str(self.cards),
            "DUBD_RUNTIME": str(self.folder / "runtime"),
            "PYTHONPATH": path,
        }

    def ledger(self) -> Ledger:
        return Ledger(self.folder / "runtime", gpu())

    def executor(self, name: str = "one", yield_after: float = 1.0, patience: float = PATIENCE) -> LocalExecutor:
        return LocalExecutor(self.folder / name / ".log", slots=1, yield_after=yield_after, patience=patience)

    def ticket(self, task: str, *, batch: int = 1, deadline: float | None = None, **more: Any) -> Ticket:
        own = {key: more.pop(key) for key in ("python", "budget", "precision", "parallel") if key in more}
        own.setdefault("python", sys.executable)  # None: out of the nursery, which first takes seconds to import
        params = {"log": str(self.log), **more}
        model, declared, context = params.get("model", 40), params.get("declared", 10), params.get("context", 20)
        where = self.folder / "work" / task
        where.mkdir(parents=True, exist_ok=True)
        line = {"id": "0", "start": 0.0, "end": 1.0, "speaker": "S1", "text": task}
        (where / "transcript.json").write_text(json.dumps({"utterances": [line]}))
        return Ticket(
            task=task,
            stage="translate",
            engine="allocating",
            inputs={"transcript": str(where / "transcript.json")},
            lists={},
            outputs={"translation": str(where / "translation.json")},
            params={"source": "en", "pivot": None, "target": "es", **params},
            engine_params=params,
            batch=batch,
            vram=Vram(model, declared, context),
            revision="1",
            deadline=deadline,
            **own,
        )

    def lines(self, word: str) -> list[str]:
        """What the engines of all workers have logged, as "pid word ..."."""
        text = self.log.read_text(encoding="utf-8") if self.log.exists() else ""
        return [line for line in text.splitlines() if line.split()[1] == word]

    def said(self, task: str) -> str:
        """What the engine made of a task."""
        made = json.loads((self.folder / "work" / task / "translation.json").read_text())
        return str(made["utterances"][0]["text"])


Make = Callable[..., Machine]


def run(executor: LocalExecutor, tickets: Sequence[Ticket], seconds: float = 60.0) -> Tickets:
    """Until every ticket has ended; a schedule that stands still fails."""
    source, scheduler = Tickets(tickets), Scheduler(executor)
    scheduler.add(source)
    end = time.monotonic() + seconds
    while scheduler.busy:
        assert time.monotonic() < end, f"left: {list(source.left)}, running: {source.running}, ended: {source.ended}"
        scheduler.step(0.1)
    return source


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def main(folder: Path, name: str, count: int, params: Mapping[str, Any]) -> int:
    machine = Machine(folder)
    kinds = [{"model": 40}, {"model": 50}]
    with machine.executor(name) as executor:
        tickets = [
            machine.ticket(f"{name}{number}", **{**params, **kinds[number % len(kinds)]}) for number in range(count)
        ]
        source = run(executor, tickets)
    failed = [outcome for outcome in source.ended.values() if isinstance(outcome, DubdError)]
    print(*failed, sep="\n", file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    given = dict(pair.split("=") for pair in sys.argv[4:])
    numbers = {name: float(value) if name == "seconds" else value for name, value in given.items()}
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), numbers))
