"""What engines were measured to take of a card, kept from one run to the next and shared by all dubd processes."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dubd.schedule.ticket import Ticket

log = logging.getLogger("dubd.gpu")

SURE = 3  # full batches after which less than the declared memory is believed: inputs differ in size

Key = tuple[str, ...]  # (card's name, stage, engine, its revision, precision, parameters)


@dataclass(frozen=True)
class Peak:
    """The most MiB that calls of one batch size took, context included, and how many full ones were measured."""

    mib: int
    full: int


class Peaks:
    """A JSON file that is read once and rewritten whole (atomic, under a lock) when a measurement tells more."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._guard = threading.Lock()
        self._known = self._read()

    def of(self, card: str, ticket: Ticket) -> Mapping[int, Peak]:
        """By batch size; empty where nothing was measured."""
        return self._known.get(key(card, ticket), {})

    def learn(self, card: str, ticket: Ticket, batch: int, mib: int, *, full: bool) -> None:
        """A worker that may take `batch` items a call has taken `mib` MiB at most; `full`: in a call of so many."""
        name = key(card, ticket)
        with self._guard:
            known = self._known.get(name, {}).get(batch, Peak(0, 0))
            new = Peak(max(known.mib, mib), min(SURE, known.full + full))
            if new == known:
                return
            self._known = {**self._known, name: {**self._known.get(name, {}), batch: new}}
            try:
                with self._locked():
                    self._known = merged(self._read(), self._known)
                    self._write()
            except OSError as error:  # it is measured again next time
                log.warning("%s: measured memory is not kept: %s", self._path, error.strerror)

    def _read(self) -> dict[Key, dict[int, Peak]]:
        try:
            rows = json.loads(self._path.read_text(encoding="utf-8"))
            return {tuple(row["of"]): {int(b): Peak(*peak) for b, peak in row["peaks"].items()} for row in rows}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("%s: not read, memory is measured anew: %s", self._path, error)
            return {}

    def _write(self) -> None:
        rows = [
            {"of": name, "peaks": {str(batch): [peak.mib, peak.full] for batch, peak in sorted(peaks.items())}}
            for name, peaks in sorted(self._known.items())
        ]
        descriptor, part = tempfile.mkstemp(dir=self._path.parent, prefix=".peaks-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(rows, file, indent=1)
                file.flush()
                os.fsync(descriptor)
            os.replace(part, self._path)
        except BaseException:
            os.unlink(part)
            raise

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


Known = Mapping[Key, Mapping[int, Peak]]


def key(card: str, ticket: Ticket) -> Key:
    """Under what a measurement is kept: all that changes it but the batch."""
    params = json.dumps(dict(ticket.engine_params), sort_keys=True)
    return (card, ticket.stage, ticket.engine or "", ticket.revision, ticket.precision or "", params)


def merged(one: Known, other: Known) -> dict[Key, dict[int, Peak]]:
    """Both, and where both know something the larger."""
    found: dict[Key, dict[int, Peak]] = {}
    for name in one.keys() | other.keys():
        left, right = one.get(name, {}), other.get(name, {})
        nothing = Peak(0, 0)
        pairs = {batch: (left.get(batch, nothing), right.get(batch, nothing)) for batch in left.keys() | right.keys()}
        found[name] = {batch: Peak(max(a.mib, b.mib), max(a.full, b.full)) for batch, (a, b) in pairs.items()}
    return found
