"""The pool of worker processes: started on demand, kept warm, closed when idle for long or when room is needed."""

from __future__ import annotations

import logging
import resource
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dubd.schedule import surroundings
from dubd.schedule.desk import REST, Seated
from dubd.schedule.nursery import Nursery
from dubd.schedule.process import Worker
from dubd.schedule.scratch import Scratch
from dubd.schedule.seat import Seat
from dubd.schedule.ticket import Kind, Ticket

log = logging.getLogger("dubd.scheduler")

_IDLE = 300.0  # seconds a worker stays warm with nothing to do
_FILES = 1 << 16  # a process may have open; no more, as some programs go through all that there could be
_ENDING = 2.0  # seconds that one is given to end before another takes its place


class Pool:
    """Warm workers by kind and card.

    At most `limit` processes on the CPU; the longest idle one makes room. On the cards leases are the limit.
    """

    def __init__(self, logs: Path, limit: int) -> None:
        self._logs = logs
        self._limit = limit
        self._idle: list[Worker] = []  # longest idle first
        self._busy: set[Worker] = set()
        self._guard = threading.Lock()
        _allow_files()
        logs.mkdir(parents=True, exist_ok=True)
        self._nursery = Nursery(logs / "nursery.log", surroundings.own())
        self._temporary = Scratch()
        # A process is killed when the thread that started it ends, so that one lives as long as the pool (prctl(2)).
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="starter")
        self._closed = threading.Event()
        threading.Thread(target=self._tidy, name="tidy", daemon=True).start()

    def resident(self) -> set[Kind]:
        """Kinds that have an idle worker on the CPU at hand."""
        with self._guard:
            return {worker.kind for worker in self._idle if worker.seat is None}

    def seated(self, uuid: str) -> tuple[tuple[Seated, ...], tuple[Seated, ...], int]:
        """The workers of one card, idle (longest first) and busy, and how many of the idle ones have rested."""
        dead = []
        with self._guard:
            for worker in [worker for worker in self._idle if worker.seat and not worker.alive]:
                self._idle.remove(worker)
                dead.append(worker)
            resting = [w for w in self._idle if w.seat and w.seat.device.uuid == uuid]
            idle = tuple(Seated(w.kind, w.mib) for w in resting)
            rested = sum(time.monotonic() - w.idle_since >= REST for w in resting)
            busy = tuple(Seated(w.kind, w.mib) for w in self._busy if w.seat and w.seat.device.uuid == uuid)
        for worker in dead:
            worker.close()
        return idle, busy, rested

    def take(self, ticket: Ticket) -> Worker:
        """A CPU worker for this kind, to be given back. Errors: OSError where no process can be had."""
        old: list[Worker] = []
        try:
            with self._guard:
                worker = self._warm(ticket.kind, None, old)
                if worker is None:
                    idle = [worker for worker in self._idle if worker.seat is None]
                    busy = sum(worker.seat is None for worker in self._busy)
                    if idle and len(idle) + busy >= self._limit:
                        self._idle.remove(idle[0])
                        old.append(idle[0])
                    worker = Worker(ticket)
                    self._starter.submit(worker.start, ticket, self._logs, self._nursery, self._temporary).result()
                self._busy.add(worker)
                return worker
        finally:
            for each in old:
                each.close()

    def warm(self, seated: Seated, uuid: str) -> Worker | None:
        """An idle worker like that on that card, to be given back; None where there is none that lives."""
        old: list[Worker] = []
        with self._guard:
            worker = self._warm(seated.kind, uuid, old, seated.mib)
            if worker:
                self._busy.add(worker)
        for each in old:
            each.close()
        return worker

    def place(self, ticket: Ticket, seat: Seat) -> Worker:
        """A worker that counts as busy on its card from now on, and is started with `begin`."""
        worker = Worker(ticket, seat)
        with self._guard:
            self._busy.add(worker)
        return worker

    def begin(self, worker: Worker, ticket: Ticket) -> None:
        """Start what `place` made. Errors: OSError."""
        self._starter.submit(worker.start, ticket, self._logs, self._nursery, self._temporary).result()

    def evict(self, seated: Seated, uuid: str) -> int:
        """End an idle worker like that on that card; the MiB of its lease, 0 where there is none any more.

        One that does not die, as in a driver that hangs, is not waited for; it keeps its lease.
        """
        worker = self.warm(seated, uuid)
        if worker is None:
            return 0
        with self._guard:
            self._busy.discard(worker)
        ending = threading.Thread(target=worker.close, name="ending", daemon=True)
        ending.start()
        ending.join(_ENDING)
        return worker.mib

    def give_back(self, worker: Worker) -> None:
        """It is idle from now on, or gone where its process has ended or was never started."""
        with self._guard:
            self._busy.discard(worker)
            if worker.alive and not self._closed.is_set():
                worker.idle_since = time.monotonic()
                self._idle.append(worker)
                return
        worker.close()

    def rested(self, seconds: float) -> set[str]:
        """The cards on which a worker has been idle for so long."""
        with self._guard:
            return {w.seat.device.uuid for w in self._idle if w.seat and time.monotonic() - w.idle_since > seconds}

    def close_idle(self, seconds: float, uuid: str | None = None) -> None:
        """End the workers, of one card or all, that nobody has needed for so long."""
        with self._guard:
            old = [w for w in self._idle if time.monotonic() - w.idle_since > seconds]
            old = [w for w in old if uuid is None or (w.seat and w.seat.device.uuid == uuid)]
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
        self._temporary.close()

    def _tidy(self) -> None:
        """End idle workers in time, also when nobody asks for any."""
        while not self._closed.wait(_IDLE / 10):
            try:
                self.close_idle(_IDLE)
            except Exception:  # whatever it is, the next ones are to be ended too
                log.exception("ending idle workers")

    def _warm(self, kind: Kind, uuid: str | None, dead: list[Worker], mib: int = 0) -> Worker | None:
        """Out of the idle ones, the latest first; those that died meanwhile are handed over to be closed."""
        for worker in [worker for worker in reversed(self._idle) if (worker.kind, worker.mib) == (kind, mib)]:
            if (worker.seat.device.uuid if worker.seat else None) == uuid:
                self._idle.remove(worker)
                if worker.alive:
                    return worker
                dead.append(worker)
        return None


def _allow_files() -> None:
    """Three open files a worker, for more workers than the usual 1024 of a process suffice for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
