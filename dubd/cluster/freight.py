"""What goes over the wire: a batch with the contents of its inputs, and the answers with what was made."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dubd.models import store
from dubd.models.model import Needed, Own
from dubd.schedule.ticket import Again, Kind, Ticket
from dubd.stages.job import Outcome

_MOST = 50_000  # files whose digests are remembered, at the head and for each node


@dataclass(frozen=True)
class Parcel:
    """A batch. `contents`: by the path that it has at the head, the digest of each input that goes by value.

    `loads`: the bytes of those that the node has not got yet. `models`: what its engine loads, and the sha256 of that
    at the head. `shared`: the other inputs are read, and outputs are written, by the head's own paths.
    """

    tickets: tuple[Ticket, ...]
    contents: Mapping[str, str]
    loads: Mapping[str, bytes]
    models: tuple[tuple[Needed, str], ...] = ()
    shared: bool = False

    @property
    def size(self) -> int:
        """Bytes to be sent."""
        return sum(map(len, self.loads.values()))


@dataclass(frozen=True)
class Delivery:
    """What a node answers. `made`: the outputs of each ticket by name, with their digests.

    Where the batch was not begun, `lacks` are digests to be sent after all, `unfit` says why the node is not for
    tickets of this kind, or it came too `late` for its place on a card. `seconds` is what the node itself took.
    """

    answers: Sequence[Outcome | Again] = ()
    made: Sequence[Mapping[str, tuple[str, bytes]]] = ()
    lacks: Collection[str] = ()
    unfit: str | None = None
    late: bool = False
    seconds: float = 0.0
    resident: frozenset[Kind] = frozenset()
    peaks: Sequence[Mapping[str, Any]] | None = None  # what was measured, where that is news

    @property
    def size(self) -> int:
        """Bytes of what was made."""
        return sum(len(data) for each in self.made for _, data in each.values())


def inputs(ticket: Ticket) -> Iterable[str]:
    """The paths of all that a ticket reads."""
    yield from ticket.inputs.values()
    for paths in ticket.lists.values():
        yield from paths


@dataclass
class Known:
    """Digests that a node holds, as far as the head knows; the longest known go first."""

    _digests: dict[str, None] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock, compare=False)

    def __contains__(self, digest: object) -> bool:
        return digest in self._digests

    def add(self, digests: Iterable[str]) -> None:
        """It has these now."""
        with self._guard:
            for digest in digests:
                self._digests[digest] = None
            while len(self._digests) > _MOST:
                del self._digests[next(iter(self._digests))]

    def drop(self, digests: Iterable[str]) -> None:
        """It has these no longer."""
        with self._guard:
            for digest in digests:
                self._digests.pop(digest, None)


class Cargo:
    """The head's end: reads what is to be sent, writes what comes back, and knows files by their stamps.

    What lies in the folder `shared` is not sent: every node has it by the same path.
    """

    def __init__(self, shared: Path | None = None) -> None:
        self.shared = shared
        self._digests: dict[tuple[int, int, int, int], str] = {}
        self._guard = threading.Lock()

    def at_home(self, ticket: Ticket) -> bool:
        """Whether it reads a whole video, or much of one, that would have to be sent."""
        return ticket.home and not all(map(self._is_shared, inputs(ticket)))

    def pieces(self, ticket: Ticket) -> list[tuple[str | None, int]]:
        """What goes by value of its inputs: digests as far as they are known without reading, and bytes."""
        found: list[tuple[str | None, int]] = []
        for path in inputs(ticket):
            if not self._is_shared(path):
                with suppress(OSError):
                    stat = os.stat(path)
                    found.append((self._digests.get(_stamp(stat)), stat.st_size))
        return found

    def pack(self, tickets: Sequence[Ticket], held: Collection[str] | Known) -> Parcel:
        """The batch for a node that holds so much. Errors: OSError where an input cannot be read."""
        contents: dict[str, str] = {}
        loads: dict[str, bytes] = {}
        for path in dict.fromkeys(path for ticket in tickets for path in inputs(ticket)):
            if self._is_shared(path):
                continue
            stat = os.stat(path)
            digest = self._digests.get(_stamp(stat))
            if digest is None or digest not in held:
                data = Path(path).read_bytes()
                digest = hashlib.sha256(data).hexdigest()
                self._learn(stat, digest)
                if digest not in held:
                    loads[digest] = data
            contents[path] = digest
        sent = tuple(_absolute(ticket, contents) if self.shared else ticket for ticket in tickets)
        return Parcel(sent, contents, loads, models(tickets[0]), self.shared is not None)

    def unpack(self, tickets: Sequence[Ticket], delivery: Delivery) -> list[str]:
        """Write what was made to each ticket's (private) outputs; the build syncs and renames. Returns the digests."""
        digests = []
        for ticket, made in zip(tickets, delivery.made, strict=True):
            for name, (digest, data) in made.items():
                path = Path(ticket.outputs[name])
                path.write_bytes(data)
                self._learn(path.stat(), digest)
                digests.append(digest)
        return digests

    def _is_shared(self, path: str) -> bool:
        """Whether nodes see it by its path: it is in there, and no link on the way leads out."""
        return (
            self.shared is not None
            and Path(path).absolute().is_relative_to(self.shared)
            and Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.shared))
        )

    def _learn(self, stat: os.stat_result, digest: str) -> None:
        with self._guard:
            self._digests[_stamp(stat)] = digest
            while len(self._digests) > _MOST:
                del self._digests[next(iter(self._digests))]


def to_send(pieces: Iterable[tuple[str | None, int]], held: Known) -> int:
    """Bytes that a node lacks of them; what nobody has sent or made yet counts whole."""
    return sum(size for digest, size in pieces if digest is None or digest not in held)


def models(ticket: Ticket) -> tuple[tuple[Needed, str], ...]:
    """The models that a ticket's engine loads, with their sha256; not those that were published and are not here."""
    here = (model for model in ticket.models if isinstance(model, Own) or not store.lacking(model))
    return tuple((model, store.content(model)) for model in here)


def _absolute(ticket: Ticket, contents: Mapping[str, str]) -> Ticket:
    """For a machine with another current folder; what goes by value keeps the name that it is sent by."""

    def at(path: str) -> str:
        return path if path in contents else str(Path(path).absolute())

    return replace(
        ticket,
        inputs={name: at(path) for name, path in ticket.inputs.items()},
        lists={name: tuple(map(at, paths)) for name, paths in ticket.lists.items()},
        outputs={name: at(path) for name, path in ticket.outputs.items()},
    )


def _stamp(stat: os.stat_result) -> tuple[int, int, int, int]:
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns
