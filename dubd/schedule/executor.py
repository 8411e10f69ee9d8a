"""Where batches run: on this machine, in worker processes, with a lease for each one that uses a card."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

from dubd.errors import DubdError, Exit
from dubd.media.killed import ProgramKilled
from dubd.schedule.admission import PATIENCE, Capacity, Card, Seated, Start
from dubd.schedule.estimates import Cards, Estimates, apart
from dubd.schedule.gpu import Device, Gpu, GpuError, gpu
from dubd.schedule.ledger import LAG, Ledger, promised
from dubd.schedule.once_more import OnceMore
from dubd.schedule.peaks import Peaks
from dubd.schedule.process import Full, Heard, Hung, Killed, Worker
from dubd.schedule.runtime import runtime
from dubd.schedule.seat import Seat
from dubd.schedule.ticket import Again, Kind, Ticket
from dubd.schedule.wanted import Wanted
from dubd.schedule.workers import Pool
from dubd.stages.job import Outcome

log = logging.getLogger("dubd.gpu")

_WORKERS_PER_SLOT = 6
_YIELD = 10.0  # s: longer than a build's pause between two batches, shorter than anyone's patience
_LISTEN = 1.0  # s between two looks at what other processes want
_RETURN = 5.0  # s in which the driver shows the memory of an ended worker as free (ollama, server/sched.go: 0.5 to 1.5)


class Slot:
    """Room for one batch, to be given back: use with `with`. Without a worker it is a CPU slot."""

    def __init__(self, pool: Pool | None = None, worker: Worker | None = None) -> None:
        self._pool, self.worker = pool, worker

    def close(self) -> None:
        """The worker is warm from now on, or gone, and so is its lease. Safe to call twice."""
        if self._pool and self.worker:
            self._pool.give_back(self.worker)
        self.worker = None

    def __enter__(self) -> Slot:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class Executor(Protocol):
    """Where batches run. One here; a cluster's agents answer to the same calls. Without cards four of them suffice."""

    def capacity(self) -> Capacity:
        """What may run at once, without the cards."""

    def cards(self) -> tuple[Card, ...]:
        """The cards as they are now; asked for only where a ticket wants one. One that does not answer is left out.

        This and `reserve` for a card may take as long as a driver does; they are called one at a time, not from the
        scheduler's thread. The other calls go by what was found here last, and do not wait.
        """
        return ()

    def resident(self) -> set[Kind]:
        """Kinds that would start on the CPU without a load."""

    def need(self, ticket: Ticket, batch: int) -> int:  # noqa: ARG002
        """The lease, in MiB, for calls of `batch` items; never less for more items."""
        return 0

    def refuses(self, ticket: Ticket) -> DubdError | None:  # noqa: ARG002
        """Why a ticket could wait for ever, None where it can be run."""
        return None

    def want(self, ticket: Ticket) -> None:
        """A ticket found no room on any card: others may be asked to make some."""

    def reserve(self, start: Start) -> Slot | None:  # noqa: ARG002
        """What a batch needs; None where that is not to be had after all: its tickets stay ready."""
        return Slot()

    def run(self, slot: Slot, tickets: Sequence[Ticket], heard: Heard) -> list[Outcome | Again]:
        """One answer per ticket; called from many threads."""


@dataclass(frozen=True)
class _Coming:
    """Memory of workers that were ended, which the driver shows as free only after a while; MiB and seconds."""

    mib: int
    free: int  # that was there before
    until: float

    def still(self, free: int, now: float) -> int:
        """What of it is yet to come."""
        return max(0, self.mib - max(0, free - self.free)) if now < self.until else 0


class LocalExecutor(Executor):
    """Worker processes on this machine. The driver is asked nothing before a ticket wants a card."""

    def __init__(
        self, logs: Path, slots: int | None = None, yield_after: float = _YIELD, patience: float = PATIENCE
    ) -> None:
        """Seconds for which another dubd process that wants a card is kept waiting.

        `yield_after`: by a warm worker without work there; `patience`: by any.
        """
        self._yield_after, self._patience = yield_after, patience
        self._slots = slots or len(os.sched_getaffinity(0))
        self._pool = Pool(logs, limit=_WORKERS_PER_SLOT * self._slots)
        self._estimates = Estimates(Peaks(logs.parent / ".cache" / "peaks.json"))
        self._guard = threading.Lock()
        self._closed = threading.Event()
        self._ledger: Ledger | None = None
        self._wanted: Wanted | None = None
        self._devices: Sequence[Device] = ()  # as of the last look, and so is what follows
        self._known: Cards = ()
        self._why: str | None = None
        self._barred: DubdError | None = None  # why no lease can be had before a person mends it
        self._coming: dict[str, _Coming] = {}
        self._room: dict[str, int] = {}  # by card, MiB that no other program has
        self._lost: set[str] = set()
        self._denied = ""  # why there was no lease, as the log was last told
        self._once_more = OnceMore()

    def capacity(self) -> Capacity:
        """CPU slots: the processors this process may use, or what was asked for."""
        return Capacity(self._slots)

    @property
    def estimates(self) -> Estimates:
        """How much memory its tickets are given, with what was measured."""
        return self._estimates

    @property
    def devices(self) -> Sequence[Device]:
        """The cards as of the last look; () where there was none yet."""
        return self._devices

    @property
    def known(self) -> Cards:
        """Their names and largest leases."""
        return self._known

    def resident(self) -> set[Kind]:
        """Kinds with an idle worker on the CPU."""
        return self._pool.resident()

    def cards(self) -> tuple[Card, ...]:
        """See `Executor`. A card that stops answering, and one that answers again, is told in the log once."""
        self._barred = None
        try:
            ledger, found = self._open(), []
        except DubdError as error:
            self._barred = error
            return ()
        except OSError as error:
            self._lose("the folder of the leases", error)
            return ()
        self._find("the folder of the leases")
        for device in self._look(ledger):
            uuid = device.uuid
            try:
                view = ledger.view(uuid)
            except (GpuError, OSError) as error:
                self._lose(f"GPU {device.name} ({uuid})", error)
                self._room.pop(uuid, None)
                continue
            self._find(f"GPU {device.name} ({uuid})")
            free = view.free
            if coming := self._coming.get(uuid):
                free = min(view.largest, free + coming.still(free, time.monotonic()))
            self._room[uuid] = view.largest - view.foreign
            if claim := self._wanted.claimed(uuid) if self._wanted else 0:
                free = self._leave(uuid, claim, free, view.free)
            found.append(Card(uuid, view.largest, free, view.loading, *self._pool.seated(uuid)))
        return tuple(found)

    def need(self, ticket: Ticket, batch: int) -> int:
        """What the rule gives, or the engine declares, corrected by what was measured."""
        return self._estimates.need(ticket, batch, self._known)

    def refuses(self, ticket: Ticket) -> DubdError | None:
        """No card at all, or none as large as one item needs."""
        if ticket.vram is None:
            return None
        if self._barred or not (self._known or self._why):  # not looked at yet
            return self._barred
        largest = max((most for _, most in self._known), default=0)
        if not self._known:
            reason = f"{ticket.engine} asks for a GPU, but there is none here: {self._why}"
            remedy = "use device: auto, or cpu"
        elif (need := self.need(ticket, 1)) > largest:
            asked, has = apart(need, largest)
            reason = f"{ticket.engine} asks for {asked}; the largest GPU here has {has}"
            remedy = "use a smaller model or precision, or device: cpu"
        else:
            return None
        return DubdError(reason, file=ticket.task, stage=ticket.stage, remedy=remedy, exit=Exit.RULE)

    def want(self, ticket: Ticket) -> None:
        """Ask other dubd processes for room, where no worker of ours will come to this ticket; they have patience."""
        devices = [device.uuid for device in self._devices]
        here = {worker.kind for uuid in devices for part in self._pool.seated(uuid)[:2] for worker in part}
        if self._wanted and ticket.kind not in here:
            room = {uuid: self._room.get(uuid, 0) for uuid in devices}
            self._wanted.wish(ticket.kind, self.need(ticket, 1), room)

    def reserve(self, start: Start) -> Slot | None:
        """End the workers in the way, then take an idle worker of this kind, or a lease for a new one."""
        if start.card is None:
            return Slot()
        try:
            slot = self._seat(start, start.card, start.batch[0].ticket)
        except (GpuError, OSError, ValueError) as error:  # lost, or smaller than it was: looked at again next time
            if str(error) != self._denied:
                log.warning("no lease for %s: %s", start.batch[0].ticket.task, error)
            self._denied = str(error)
            return None
        self._denied = ""
        if slot and self._wanted:
            self._wanted.served(start.batch[0].ticket.kind)
        return slot

    def _seat(self, start: Start, uuid: str, ticket: Ticket) -> Slot | None:
        ledger = self._open()
        if start.evict:
            free = ledger.view(uuid).free
            ended = sum(self._pool.evict(one, uuid) for one in start.evict)
            self._coming[uuid] = _Coming(ended, free, time.monotonic() + _RETURN)
        if worker := self._pool.warm(Seated(ticket.kind, start.mib), uuid):
            return Slot(self._pool, worker)
        device = next((device for device in self._devices if device.uuid == uuid), None)
        if device is None:  # chosen by an earlier look, or by that of an earlier agent
            return None
        items = self._estimates.items(ticket, start.mib, self._known)
        lease = ledger.take(uuid, start.mib, f"{ticket.stage} with {ticket.engine}")
        if lease is None:
            return None
        self._coming.pop(uuid, None)
        seat = Seat(lease, device, ledger.gpu, items, ticket.vram.context if ticket.vram else 0)
        return Slot(self._pool, self._pool.place(ticket, seat))

    def run(self, slot: Slot, tickets: Sequence[Ticket], heard: Heard) -> list[Outcome | Again]:
        """See `Executor`. Errors: OSError where no process can be had."""
        if slot.worker is None:
            with Slot(self._pool, self._pool.take(tickets[0])) as taken:
                return self._parts(taken, tickets, heard)
        if not slot.worker.started:
            self._pool.begin(slot.worker, tickets[0])
        return self._parts(slot, tickets, heard)

    def close(self) -> None:
        """End all workers."""
        self._closed.set()
        self._pool.close()
        if self._wanted:
            self._wanted.close()

    def __enter__(self) -> LocalExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> Ledger:
        with self._guard:
            if self._ledger is None:
                found: Gpu = gpu()
                folder = runtime()
                self._ledger, self._wanted = Ledger(folder, found), Wanted(folder, self._patience)
                threading.Thread(target=self._listen, args=(self._wanted,), name="listen", daemon=True).start()
            return self._ledger

    def _listen(self, wanted: Wanted) -> None:
        """Give up warm workers that nobody here has needed for a while, where others want the room."""
        while not self._closed.wait(_LISTEN):
            try:
                for uuid in self._pool.rested(self._yield_after):
                    if wanted.by_others(uuid):
                        self._pool.close_idle(self._yield_after, uuid)
            except Exception:  # whatever it is, others go on wanting room
                log.exception("giving up warm workers")

    def _look(self, ledger: Ledger) -> Sequence[Device]:
        self._devices = ledger.gpu.devices()
        self._known = tuple((device.name, device.total - ledger.margin) for device in self._devices)
        self._why = None if self._devices else ledger.gpu.why
        return self._devices

    def _lose(self, what: str, error: Exception) -> None:
        if what not in self._lost:
            log.warning("%s is lost, its tasks wait: %s", what, error)
        self._lost.add(what)

    def _find(self, what: str) -> None:
        if what in self._lost:
            log.warning("%s answers again", what)
        self._lost.discard(what)

    def _leave(self, uuid: str, mib: int, free: int, shown: int) -> int:
        """End workers that have no batch for another process's `mib` of a card; what is `free` for us beyond that."""
        ended = 0
        for worker in self._pool.seated(uuid)[0]:
            if free + ended < mib:
                ended += self._pool.evict(worker, uuid)
        if ended:
            self._coming[uuid] = _Coming(free + ended - shown, shown, time.monotonic() + _RETURN)
        return max(0, free + ended - mib)

    def _parts(self, slot: Slot, tickets: Sequence[Ticket], heard: Heard) -> list[Outcome | Again]:
        """As many calls as it takes: no more items in one than memory allows, and one that lost a worker alone."""
        worker, answers = slot.worker, list[Outcome | Again]()
        assert worker is not None
        seat, fresh, worker.fresh = worker.seat, worker.fresh, False
        while len(answers) < len(tickets):
            begin, first = len(answers), tickets[len(answers)]
            items = self._estimates.limit(first)
            if seat:
                items = min(items, self._estimates.items(first, seat.mib, self._known))
            part = self._once_more.part(tickets[begin:], items)
            answer = worker.run(part, _shifted(heard, begin), items)
            if isinstance(answer, list):
                lost = [isinstance(outcome, ProgramKilled) for outcome in answer]
                self._once_more.ended(ticket.task for ticket, one in zip(part, lost, strict=True) if not one)
                answers += [
                    self._settled(ticket, _on(seat, one, fresh=fresh)) for ticket, one in zip(part, answer, strict=True)
                ]
                if any(lost):
                    worker.close()  # another one has less in its memory, and none of what the program left
                if seat and worker.alive:
                    seat.items = max(seat.items, items)
                    full = len(part) >= seat.items
                    self._estimates.learn(first, seat.device.name, seat.items, seat.peak, full=full, mib=seat.mib)
            elif isinstance(answer, Hung | Killed):
                answers += [self._tried(ticket, answer) for ticket in part]
            else:
                answers += self._out(part, items, seat, answer)
            if not worker.alive:
                rest = "its worker ended before it was begun"
                return answers + [Again(rest)] * (len(tickets) - len(answers))
        return answers

    def _settled(self, ticket: Ticket, outcome: Outcome) -> Outcome | Again:
        return self._tried(ticket, outcome) if isinstance(outcome, ProgramKilled) else outcome

    def _tried(self, ticket: Ticket, lost: Hung | Killed | ProgramKilled) -> DubdError | Again:
        return self._once_more.answer(ticket, lost, closing=self._closed.is_set())  # `close` kills workers too

    def _out(self, part: Sequence[Ticket], items: int, seat: Seat | None, full: Full) -> list[Outcome | Again]:
        """One step down the ladder for the whole part: its first ticket speaks for it."""
        if seat and self._eaten(seat):
            log.warning("%s: other programs took of its lease: %s", part[0].task, full.said)
            return [Again(f"{full.said}; other programs took of its {seat.mib} MiB")] * len(part)
        lease = (seat.device.name, seat.mib) if seat else None
        items = 1 if full.loading else min(items, full.items or items)
        answer = self._estimates.ran_out(part[0], items, lease, full.said, self._known)
        if isinstance(answer, Again):
            log.warning("%s: %s", part[0].task, answer.reason)
            return [answer] * len(part)
        return [answer, *[Again("the task before it ran out of memory")] * (len(part) - 1)]

    def _eaten(self, seat: Seat) -> bool:
        """Whether others use what a worker that has ended was promised: then the estimate is not to blame."""
        ledger, then = self._open(), time.monotonic()
        try:
            view = ledger.watch(seat.device.uuid, seat.mib, LAG)  # its own memory still shows for a moment
        except (GpuError, OSError):
            return False
        before = promised(held for held in view.held if held.since < then)
        return view.foreign + before + seat.mib > view.largest


def _on(seat: Seat | None, outcome: Outcome, *, fresh: bool) -> Outcome:
    """Keep with a task's facts on which card it ran (no word: the CPU), and that its time has a load in it."""
    if not isinstance(outcome, dict):
        return outcome
    return outcome | ({"device": seat.device.name} if seat else {}) | ({"loaded": True} if fresh else {})


def _shifted(heard: Heard, by: int) -> Heard:
    return lambda index, done: heard(by + index, done)
