"""What goes over the wire: a batch with the contents of its inputs, and the answers with what was made."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dubd.models import store
from dubd.models.model import Own
from dubd.schedule.ticket import Again, Kind, Ticket
from dubd.stages.job import Outcome

_MOST = 50_000  # files whose digests are remembered, at the head and for each node


@dataclass(frozen=True)
class Parcel:
    """A batch. `contents`: each input's digest, by the path that it has at the head; None where storage is shared.

    `loads`: the bytes of those that the node has not got yet. `owns`: identities of the user's own models.
    """

    tickets: tuple[Ticket, ...]
    contents: Mapping[str, str] | None
    loads: Mapping[str, bytes]
    owns: tuple[tuple[Own, str], ...] = ()

    @property
    def size(self) -> int:
        """Bytes to be sent."""
        return sum(map(len, self.loads.values()))


@dataclass(frozen=True)
class Delivery:
    """What a node answers. `made`: the outputs of each ticket by name, with their digests.

    Where the batch was not begun, `lacks` are digests to be sent after all, or `unfit` says why the node is not for
    tickets of this kind. `seconds` is the time that the node itself took.
    """

    answers: Sequence[Outcome | Again] = ()
    made: Sequence[Mapping[str, tuple[str, bytes]]] = ()
    lacks: Collection[str] = ()
    unfit: str | None = None
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

    def __contains__(self, digest: object) -> bool:
        return digest in self._digests

    def add(self, digests: Iterable[str]) -> None:
        """It has these now."""
        for digest in digests:
            self._digests[digest] = None
        while len(self._digests) > _MOST:
            del self._digests[next(iter(self._digests))]

    def drop(self, digests: Iterable[str]) -> None:
        """It has these no longer."""
        for digest in digests:
            self._digests.pop(digest, None)

    def clear(self) -> None:
        """It was started anew."""
        self._digests.clear()


class Cargo:
    """The head's end: reads what is to be sent, writes what comes back, and knows files by their stamps."""

    def __init__(self) -> None:
        self._digests: dict[tuple[int, int, int, int], str] = {}
        self._guard = threading.Lock()

    def to_send(self, ticket: Ticket, held: Known) -> int:
        """Bytes that would have to be sent to a node; a file that nobody has sent or made there yet counts whole."""
        count = 0
        for path in inputs(ticket):
            try:
                stat = os.stat(path)
            except OSError:
                continue
            digest = self._digests.get(_stamp(stat))
            if digest is None or digest not in held:
                count += stat.st_size
        return count

    def pack(self, tickets: Sequence[Ticket], held: Collection[str] | Known) -> Parcel:
        """The batch for a node that holds so much. Errors: OSError where an input cannot be read."""
        contents: dict[str, str] = {}
        loads: dict[str, bytes] = {}
        for path in dict.fromkeys(path for ticket in tickets for path in inputs(ticket)):
            stat = os.stat(path)
            digest = self._digests.get(_stamp(stat))
            if digest is None or digest not in held:
                data = Path(path).read_bytes()
                digest = hashlib.sha256(data).hexdigest()
                self._learn(stat, digest)
                if digest not in held:
                    loads[digest] = data
            contents[path] = digest
        return Parcel(tuple(tickets), contents, loads, owns(tickets))

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

    def _learn(self, stat: os.stat_result, digest: str) -> None:
        with self._guard:
            self._digests[_stamp(stat)] = digest
            while len(self._digests) > _MOST:
                del self._digests[next(iter(self._digests))]


def owns(tickets: Sequence[Ticket]) -> tuple[tuple[Own, str], ...]:
    """The user's own models that the batch's engine loads, with what they hold here."""
    found = (model for model in tickets[0].models if isinstance(model, Own))
    return tuple((model, store.identity(model)) for model in found)


def _stamp(stat: os.stat_result) -> tuple[int, int, int, int]:
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns
