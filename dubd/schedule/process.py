"""One worker as its parent sees it: started, spoken to over pipes, found dead, out of memory or hung, and ended."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubd.engines.registry import group
from dubd.errors import DubdError
from dubd.media.killed import ProgramKilled
from dubd.schedule import footprint, logs, scratch, surroundings
from dubd.schedule.gpu import GpuError
from dubd.schedule.nursery import Born, Nursery
from dubd.schedule.scratch import Scratch
from dubd.schedule.seat import Seat
from dubd.schedule.ticket import Ticket
from dubd.stages.job import Outcome

log = logging.getLogger("dubd.worker")

_READ = 1 << 16

Heard = Callable[[int, float], None]  # (index in the batch, fraction done)


@dataclass(frozen=True)
class Full:
    """In place of outcomes: the card had no room, while the model was loaded or in a batch. The worker has ended."""

    said: str
    loading: bool
    items: int | None = None  # the most that were in its memory at once, where it knows


@dataclass(frozen=True)
class Hung:
    """In place of outcomes: no word for so many seconds. The worker was killed."""

    seconds: float


@dataclass(frozen=True)
class Killed:
    """In place of outcomes: a signal ended the worker, of the kernel short of memory, or of a person."""

    signal: int


Answer = list[Outcome] | Full | Hung | Killed


class Worker:
    """One process with one engine loaded. `run` blocks, so each busy worker has a thread of its own."""

    def __init__(self, ticket: Ticket, seat: Seat | None = None) -> None:
        self.kind, self.seat = ticket.kind, seat
        self.idle_since = time.monotonic()
        self.fresh = True  # nothing has run on it yet: the first batch's time has the load in it
        self._process: Born | subprocess.Popen[bytes] | None = None
        self._log: Path | None = None
        self._temporary: Path | None = None
        self._broken: DubdError | None = None
        self._loaded = False
        self._said = b""  # read, and not yet a whole line
        self._talk = threading.Lock()
        self._first = {
            "device": "cpu",
            "params": dict(ticket.engine_params),
            "precision": ticket.precision,
            "batch": seat.batch if seat else ticket.batch,
            **(seat.first() if seat else {}),
        }

    @property
    def mib(self) -> int:
        """Its lease; 0 on the CPU."""
        return self.seat.mib if self.seat else 0

    def start(self, ticket: Ticket, folder: Path, nursery: Nursery, temporary: Scratch) -> None:
        """The process, with its log in `folder`; it holds the lease from now on. Errors: OSError where it cannot."""
        stage = group(ticket.stage)
        argv = [stage, *([ticket.engine] if ticket.engine else [])]
        lease = [self.seat.fileno()] if self.seat else []
        name = f"{stage}-{ticket.engine}" if ticket.engine else "stages"
        self._log = folder / f"{name}.log"
        self._temporary = temporary.make()
        with logs.opened(self._log) as log:
            if ticket.python is None:
                self._process = nursery.start(argv, log, lease, self._temporary)
            else:
                environ = surroundings.lent(stage, ticket.engine, folder.parent / ".cache" / "lent")
                environ |= {"TMPDIR": str(self._temporary)} if self._temporary else {}
                self._process = subprocess.Popen(
                    [ticket.python, "-m", "dubd.schedule.worker", *argv],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    start_new_session=True,  # a terminal's Ctrl-C must not reach the ffmpeg of a task that may end
                    env=environ,
                    pass_fds=lease,
                )
                if lease:
                    self._first["lease"] = lease[0]
        if self.seat:
            self.seat.taken(self._process.pid)

    @property
    def started(self) -> bool:
        """Whether there is, or was, a process."""
        return self._process is not None

    def run(self, tickets: Sequence[Ticket], heard: Heard, items: int | None = None) -> Answer:
        """One outcome per ticket, in order; a worker that dies takes its batch along, and only that.

        `items` is the most that the engine may do at once, the ticket's batch if it is left out. The worker counts
        as hung where it says nothing, no progress either, for the sum of the tickets' deadlines.
        """
        deadlines = [ticket.deadline for ticket in tickets if ticket.deadline is not None]
        silence = sum(deadlines) if len(deadlines) == len(tickets) else None
        if self._log:
            logs.start_anew(self._log)  # a worker may live, and talk, for as long as the daemon
        with self._talk:
            try:
                if not self._loaded:
                    self._send(self._first)
                    answer = self._receive(heard, silence)
                    self._loaded = True
                    if answer is None or "full" in answer or self._broken:
                        return self._ended(tickets, answer, loading=True)
                items = items or tickets[0].batch
                self._send({"jobs": [ticket.to_json() for ticket in tickets], "batch": items})
                answer = self._receive(heard, silence)
                if answer is None or "outcomes" not in answer:
                    return self._ended(tickets, answer, loading=False)
                return [_outcome(data) for data in answer["outcomes"]]
            except TimeoutError:
                self._kill()
                return Hung(silence or 0.0)
            except (OSError, ValueError) as error:  # a pipe that broke, or was closed by `close`; no word of ours
                if self.alive:
                    log.warning("%s: its worker is ended: %s", tickets[0].task, error)
                self._kill()  # one that lives would be waited for without end
                return self._ended(tickets, None, loading=not self._loaded)

    @property
    def alive(self) -> bool:
        """False once the process has ended or its engine did not load."""
        return self._broken is None and self._process is not None and self._process.poll() is None

    def close(self) -> None:
        """End the process; whatever it was doing is lost, and only that. Its lease is free once this returns."""
        if self._process is not None:
            self._kill()
            with self._talk:  # whoever listens hears the end of the pipe first
                for pipe in (self._process.stdin, self._process.stdout):
                    if pipe:
                        with contextlib.suppress(OSError):
                            pipe.close()
        if self._temporary:
            scratch.remove(self._temporary)
        if self.seat:
            with contextlib.suppress(GpuError, OSError):  # the ledger cannot be read: it says so to whoever asks
                self.seat.close()

    def _kill(self) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # its ffmpeg as well
        self._process.wait()

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()

    def _receive(self, heard: Heard, silence: float | None) -> dict[str, Any] | None:
        """Read up to the next answer; None where the process ended instead. TimeoutError after so long a silence."""
        while (line := self._line(silence)) is not None:
            message: dict[str, Any] = json.loads(line)
            if not isinstance(message, dict):
                raise ValueError(f"not a message: {line[:80]!r}")
            if "progress" in message:
                heard(*message["progress"])
                continue
            if "broken" in message:
                self._broken = DubdError.from_json(message["broken"])
            elif self.seat and self._process and "full" not in message:
                self.seat.told(self._process.pid, message.get("memory"))
            return message
        return None

    def _line(self, silence: float | None) -> bytes | None:
        assert self._process is not None
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        waiting = select.poll()
        waiting.register(pipe, select.POLLIN)
        while b"\n" not in self._said:
            if not waiting.poll(None if silence is None else silence * 1000):
                raise TimeoutError
            data = os.read(pipe, _READ)
            if not data:
                return None
            self._said += data
        line, _, self._said = self._said.partition(b"\n")
        return line

    def _ended(self, tickets: Sequence[Ticket], last: dict[str, Any] | None, *, loading: bool) -> Answer:
        """What its end means for the batch; `last` is what it said before."""
        assert self._process is not None
        if self._broken:
            return [self._broken] * len(tickets)
        code = self._process.wait()
        if code == footprint.EXIT:
            last = last or {}
            return Full(str(last.get("full", "out of memory")), loading, last.get("items"))
        if code < 0:
            return Killed(-code)
        return [died(ticket, f"ended with exit code {code}") for ticket in tickets]


def died(ticket: Ticket, how: str) -> DubdError:
    """What becomes of a task whose worker has ended without an answer."""
    return DubdError(
        f"the {ticket.engine or ticket.stage} worker {how}",
        file=ticket.task,
        stage=ticket.stage,
        remedy="see the log in the workspace's .log folder; `dubd run VIDEO` tries it again, "
        "`dubd watch` once its file, rule or glossary has changed",
    )


def _outcome(data: dict[str, Any]) -> Outcome:
    if "error" not in data:
        return dict(data["facts"])
    return (ProgramKilled if data.get("killed") else DubdError).from_json(data["error"])
