"""dubd on one node of a cluster: the worker pool and the ledger of that machine, told over the wire what to do.

Nothing here knows Ray: the head makes an actor of this class (`dubd.cluster.member`).
"""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dubd.cluster.freight import Delivery, Parcel
from dubd.cluster.hold import Hold
from dubd.cluster.versions import Versions, versions
from dubd.engines import registry
from dubd.errors import DubdError
from dubd.models import store
from dubd.schedule.admission import Card, Start
from dubd.schedule.estimates import Cards
from dubd.schedule.executor import LocalExecutor, Slot
from dubd.schedule.gpu import Device
from dubd.schedule.ticket import Again, Ticket
from dubd.stages.job import Outcome

_HELD = 4 << 30  # bytes of artifacts that a node keeps, or a tenth of what its disk has free
_OLD = 60.0  # s after which a place on a card that nobody came for is given back
_ALONE = 60.0  # s without a word of the head after which an agent ends


@dataclass(frozen=True)
class Look:
    """A node's cards as they are now, and what their estimates need."""

    cards: tuple[Card, ...]
    known: Cards
    devices: tuple[Device, ...]
    peaks: Sequence[Mapping[str, Any]] | None


class Agent:
    """One for a node and a dubd process. Methods are called from many threads; all they take and answer is pickled."""

    def __init__(self, slots: int) -> None:
        self._folder = folder()
        self._own = tempfile.mkdtemp(prefix="agent-", dir=_swept(self._folder))
        self._lock = _locked(Path(self._own))
        free = shutil.disk_usage(self._own).free
        self._hold = Hold(Path(self._own, "held"), min(_HELD, free // 10))
        self._local = LocalExecutor(self._folder / ".log", slots)
        self._numbers = itertools.count()
        self._guard = threading.Lock()
        self._places: dict[int, tuple[Slot, float]] = {}  # reserved on a card and not begun, and since when
        self._heard: dict[str, dict[int, float]] = {}
        self._told_peaks: object = None
        self._pulsed = float("inf")  # when the head was heard last (s)
        self._closed = threading.Event()
        threading.Thread(target=self._end_alone, name="alone", daemon=True).start()

    def versions(self) -> Versions:
        """What this machine computes with."""
        return versions()

    def sees(self, path: str, token: str) -> bool:
        """Whether a file that the head has written is here, by the same path and with the same content."""
        with suppress(OSError):
            return Path(path).read_text(encoding="ascii") == token
        return False

    def pulse(self) -> tuple[int, Mapping[str, Mapping[int, float]]]:
        """The process that this is, and how far its batches have come."""
        self._let_go(_OLD)
        self._pulsed = time.monotonic()
        with self._guard:
            return os.getpid(), {run: dict(heard) for run, heard in self._heard.items()}

    def look(self, wanted: Sequence[Ticket] = ()) -> Look:
        """The cards: may take as long as a driver does. `wanted`: what found no room on any, see `Executor.want`."""
        cards = self._local.cards()
        for ticket in wanted:
            self._local.want(ticket)
        return Look(cards, self._local.known, tuple(self._local.devices), self._news())

    def reserve(self, start: Start) -> int | None:
        """A place on a card, by a number that `run` takes; None where that is not to be had after all."""
        slot = self._local.reserve(start)
        if slot is None:
            return None
        with self._guard:
            number = next(self._numbers)
            self._places[number] = slot, time.monotonic()
        return number

    def give_back(self, place: int) -> None:
        """Nobody wants it any more."""
        if slot := self._taken(place):
            slot.close()

    def run(self, run: str, place: int | None, parcel: Parcel) -> Delivery:
        """Do a batch, on a place that was reserved or on a CPU slot. Running it twice gives the same bytes."""
        began = time.monotonic()
        slot = Slot() if place is None else self._taken(place)  # before anything that takes its time
        if slot is None:
            return Delivery(late=True)
        with ExitStack() as held:
            held.enter_context(slot)
            if why := unfit(parcel):
                return Delivery(unfit=why)
            for digest, data in parcel.loads.items():
                self._hold.put(digest, data)
            needed = set(parcel.contents.values())
            lacks = self._hold.lacks(needed)
            if not lacks and (delivery := self._done(run, slot, parcel, began)):
                return delivery
            if place is not None:  # kept for the second try
                held.pop_all()
                with self._guard:
                    self._places[place] = slot, time.monotonic()
            return Delivery(lacks=lacks or needed)

    def close(self) -> None:
        """End the workers and remove what was kept."""
        self._closed.set()
        self._local.close()
        shutil.rmtree(self._own, ignore_errors=True)
        os.close(self._lock)

    def _end_alone(self) -> None:
        """Where Ray has gone with the head, nobody else ends this process."""
        while not self._closed.wait(_ALONE / 10):
            if time.monotonic() - self._pulsed > _ALONE:
                late = threading.Timer(_ALONE, os._exit, (1,))  # where a worker does not end
                late.daemon = True
                late.start()
                try:
                    self.close()
                finally:
                    os._exit(0)

    def _taken(self, place: int) -> Slot | None:
        with self._guard:
            slot, _ = self._places.pop(place, (None, 0.0))
        return slot

    def _done(self, run: str, slot: Slot, parcel: Parcel, began: float) -> Delivery | None:
        """What came of it; None where it was not begun, as an input went meanwhile."""
        with tempfile.TemporaryDirectory(dir=self._own) as scratch:
            tickets, names = self._placed(parcel, Path(scratch))
            if tickets is None:
                return None
            heard = dict[int, float]()
            with self._guard:
                self._heard[run] = heard
            try:
                answers = self._local.run(slot, tickets, heard.__setitem__)
            finally:
                slot.close()  # others may have the card while the outputs are read
                with self._guard:
                    del self._heard[run]
            made = [{} if parcel.shared else self._made(*pair) for pair in zip(tickets, answers, strict=True)]
            return self._answer([_named(answer, names) for answer in answers], made, began)

    def _placed(self, parcel: Parcel, scratch: Path) -> tuple[list[Ticket] | None, dict[str, str]]:
        """The tickets with paths of this machine, and whose names those are; None where an input went meanwhile."""
        cache = self._folder / ".cache"
        here: dict[str, str] = {}
        for number, (path, digest) in enumerate(parcel.contents.items()):
            place = scratch / f"in-{number}" / Path(path).name
            place.parent.mkdir()
            if not self._hold.link(digest, place):
                return None, {}
            here[path] = str(place)
        tickets, names = [], {place: path for path, place in here.items()}
        for number, ticket in enumerate(parcel.tickets):
            outputs = {}
            for index, (name, path) in enumerate(ticket.outputs.items()):
                if parcel.shared:
                    outputs[name] = path
                    continue
                place = scratch / f"out-{number}-{index}" / Path(path).name
                place.parent.mkdir()
                outputs[name] = str(place)
                names[str(place)] = path
            tickets.append(
                replace(
                    ticket,
                    inputs={name: here.get(path, path) for name, path in ticket.inputs.items()},
                    lists={name: tuple(here.get(path, path) for path in paths) for name, paths in ticket.lists.items()},
                    outputs=outputs,
                    cache=cache,
                )
            )
        return tickets, names

    def _made(self, ticket: Ticket, answer: Outcome | Again) -> dict[str, tuple[str, bytes]]:
        if not isinstance(answer, dict):
            return {}
        there = {name: Path(path) for name, path in ticket.outputs.items()}
        return {name: self._hold.keep(path) for name, path in there.items() if path.is_file()}

    def _answer(
        self,
        answers: Sequence[Outcome | Again],
        made: Sequence[Mapping[str, tuple[str, bytes]]],
        began: float,
    ) -> Delivery:
        return Delivery(
            answers,
            made or [{} for _ in answers],
            seconds=time.monotonic() - began,
            resident=frozenset(self._local.resident()),
            peaks=self._news(),
        )

    def _news(self) -> Sequence[Mapping[str, Any]] | None:
        """What was measured, where the head has not been told yet."""
        rows = self._local.estimates.peaks.rows()
        if rows == self._told_peaks:
            return None
        self._told_peaks = rows
        return rows

    def _let_go(self, seconds: float) -> None:
        with self._guard:
            old = [number for number, (_, since) in self._places.items() if time.monotonic() - since > seconds]
        for number in old:
            self.give_back(number)


def unfit(parcel: Parcel) -> str | None:
    """Why this machine cannot do such a batch, in words; None where it can."""
    ticket = parcel.tickets[0]
    if ticket.python is not None and not os.access(ticket.python, os.X_OK):
        return f"has no {ticket.python}"
    if ticket.engine is None:
        return None
    if ticket.python is None:
        try:
            engine = registry.find(ticket.stage, ticket.engine)
            lack, revision = engine.missing(), engine.revision()
        except DubdError as error:
            lack, revision = error.reason, ""
        if lack:
            return f"cannot run {ticket.engine}: {lack}"
        if revision != ticket.revision:  # it came, or was changed, after the node had joined
            return f"has {ticket.engine} {revision}, the head has {ticket.revision}"
    for model in ticket.models:
        if store.lacking(model):
            return f"lacks the model {store.name(model)}"
    for model, content in parcel.models:
        if store.content(model) != content:
            return f"has other bytes than the head in the model {store.name(model)}"
    return None


def folder() -> Path:
    """Where agents of this machine keep what lasts: logs, translations, what engines were measured to take."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    found = cache / "dubd" / "node"
    found.mkdir(parents=True, exist_ok=True)
    return found


def _swept(place: Path) -> Path:
    """Remove what agents that were killed have left: their lock can be had."""
    for old in place.glob("agent-*"):
        with suppress(OSError):
            os.close(_locked(old))
            shutil.rmtree(old, ignore_errors=True)
    return place


def _locked(own: Path) -> int:
    """The lock of an agent's folder, held until it is closed or its process ends. OSError where another has it."""
    lock = os.open(own / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock


def _named(answer: Outcome | Again, names: Mapping[str, str]) -> Outcome | Again:
    """An error with the head's paths in place of this machine's."""
    if isinstance(answer, DubdError):
        for place, path in names.items():
            answer.reason = answer.reason.replace(place, path)
            if answer.file:
                answer.file = answer.file.replace(place, path)
        answer.args = (str(answer),)
    return answer
