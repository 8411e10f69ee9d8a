"""The pool of worker processes: started on demand, kept warm, closed when idle for long or when room is needed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from dubd.errors import DubdError
from dubd.schedule.nursery import Born, Nursery
from dubd.schedule.ticket import Ticket
from dubd.stages.job import Outcome

_PACKAGE = Path(__file__).resolve().parents[2]
_IDLE = 300.0  # seconds a worker stays warm with nothing to do
_LOG_LIMIT = 1 << 20  # bytes; a longer log starts anew
_HUGE_PAGES = "glibc.malloc.hugetlb=1"  # the landmark model is walked at random: an eighth less time with fewer pages
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")

Heard = Callable[[int, float], None]  # (index in the batch, fraction done)


class Worker:
    """One process with one engine loaded. `run` blocks, so each busy worker has a thread of its own."""

    def __init__(self, ticket: Ticket, logs: Path, nursery: Nursery) -> None:
        self.kind = ticket.kind
        self.idle_since = time.monotonic()
        argv = [ticket.stage, *([ticket.engine] if ticket.engine else [])]
        self._process: Born | subprocess.Popen[str]
        with _log(logs, f"{ticket.stage}-{ticket.engine}" if ticket.engine else "stages") as log:
            if ticket.python is None:
                self._process = nursery.start(argv, log)
            else:
                self._process = subprocess.Popen(
                    [ticket.python, "-m", "dubd.schedule.worker", *argv],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    start_new_session=True,  # a terminal's Ctrl-C must not reach the ffmpeg of a task that may end
                    env=_environ(),
                )
        self._broken: DubdError | None = None
        self._loaded = False
        self._first = {"device": "cpu", "params": dict(ticket.engine_params)}

    def run(self, tickets: Sequence[Ticket], heard: Heard) -> list[Outcome]:
        """One outcome per ticket, in order; a worker that dies fails its batch, and only that."""
        try:
            if not self._loaded:
                self._send(self._first)
                self._loaded = True
                self._receive(heard)
            if self._broken:
                return [self._broken] * len(tickets)
            self._send({"jobs": [ticket.to_json() for ticket in tickets]})
            answer = self._receive(heard)
            if self._broken or answer is None:
                return [self._broken or self._death(tickets[0])] * len(tickets)
            return [_outcome(data) for data in answer]
        except (BrokenPipeError, ValueError):
            return [self._death(tickets[0])] * len(tickets)

    @property
    def alive(self) -> bool:
        """False once the process has ended or its engine did not load."""
        return self._broken is None and self._process.poll() is None

    def close(self) -> None:
        """End the process; whatever it was doing is lost, and only that."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # its ffmpeg as well
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def _receive(self, heard: Heard) -> list[dict[str, Any]] | None:
        """Read up to the next answer; None where the process ended instead."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = json.loads(line)
            if "progress" in message:
                heard(*message["progress"])
            elif "broken" in message:
                self._broken = DubdError.from_json(message["broken"])
                return None
            else:
                return list(message.get("outcomes", ()))
        return None

    def _death(self, ticket: Ticket) -> DubdError:
        code = self._process.wait()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return DubdError(
            f"the {ticket.engine or ticket.stage} worker {how}",
            file=ticket.task,
            stage=ticket.stage,
            remedy="see the log in the workspace's .log folder; the task is tried again on the next run",
        )


class Pool:
    """Warm workers by kind. At most `limit` processes; the longest idle one makes room."""

    def __init__(self, logs: Path, limit: int) -> None:
        self._logs = logs
        self._limit = limit
        self._idle: list[Worker] = []  # longest idle first
        self._busy: set[Worker] = set()
        self._guard = threading.Lock()
        logs.mkdir(parents=True, exist_ok=True)
        self._nursery = Nursery(logs / "nursery.log", _environ())
        # A process is killed when the thread that started it ends, so that one lives as long as the pool (prctl(2)).
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="starter")
        self._closed = threading.Event()
        threading.Thread(target=self._tidy, name="tidy", daemon=True).start()

    def resident(self) -> set[tuple[str, ...]]:
        """Kinds that have an idle worker at hand."""
        with self._guard:
            return {worker.kind for worker in self._idle}

    def run(self, tickets: Sequence[Ticket], heard: Heard) -> list[Outcome]:
        """Run a batch of one kind on a worker of that kind, warm if there is one."""
        worker = self._take(tickets[0])
        try:
            return worker.run(tickets, heard)
        finally:
            self._give_back(worker)

    def _tidy(self) -> None:
        """End idle workers in time, also when nobody asks for any."""
        while not self._closed.wait(_IDLE / 10):
            self.close_idle(_IDLE)

    def close_idle(self, seconds: float) -> None:
        """End the workers that nobody has needed for so long."""
        with self._guard:
            old = [w for w in self._idle if time.monotonic() - w.idle_since > seconds]
            self._idle = [w for w in self._idle if w not in old]
        for worker in old:
            worker.close()

    def close(self) -> None:
        """End every worker, busy ones too."""
        self._closed.set()
        with self._guard:
            workers = [*self._idle, *self._busy]
            self._idle.clear()
        for worker in workers:
            worker.close()
        self._starter.shutdown()
        self._nursery.close()

    def _take(self, ticket: Ticket) -> Worker:
        with self._guard:
            worker = next((w for w in reversed(self._idle) if w.kind == ticket.kind), None)
            if worker:
                self._idle.remove(worker)
            else:
                if self._idle and len(self._idle) + len(self._busy) >= self._limit:
                    self._idle.pop(0).close()
                worker = self._starter.submit(Worker, ticket, self._logs, self._nursery).result()
            self._busy.add(worker)
            return worker

    def _give_back(self, worker: Worker) -> None:
        with self._guard:
            self._busy.discard(worker)
            if worker.alive:
                worker.idle_since = time.monotonic()
                self._idle.append(worker)
                return
        worker.close()


def _outcome(data: dict[str, Any]) -> Outcome:
    return DubdError.from_json(data["error"]) if "error" in data else data["facts"]


def _environ() -> dict[str, str]:
    """What a worker's interpreter finds: this package, and one thread a library, since there are many workers."""
    path = os.pathsep.join(filter(None, (str(_PACKAGE), os.environ.get("PYTHONPATH"))))
    own = {**dict.fromkeys(_ONE_THREAD, "1"), "GLIBC_TUNABLES": _HUGE_PAGES}
    return {**own, **os.environ, "PYTHONPATH": path}


def _log(folder: Path, name: str) -> IO[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.log"
    fresh = path.exists() and path.stat().st_size > _LOG_LIMIT
    return path.open("wb" if fresh else "ab")
