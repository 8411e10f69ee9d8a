"""What engines were measured to take of a card, and what was too little for them.

Kept from one run to the next, and shared by all dubd processes.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubd.engines.registry import group
from dubd.schedule.ticket import Ticket

log = logging.getLogger("dubd.gpu")

SURE = 3  # full batches after which less than the declared memory is believed: inputs differ in size

Key = tuple[str, ...]  # (card's name, stage, engine, its revision, precision, parameters)
Short = Mapping[Key, Mapping[int, int]]  # by batch size, the largest lease in MiB that ran out


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
        self._known, self._short = self._read()

    def of(self, card: str, ticket: Ticket) -> Mapping[int, Peak]:
        """By batch size; empty where nothing was measured."""
        return self._known.get(key(card, ticket), {})

    def short(self, card: str, ticket: Ticket) -> Mapping[int, int]:
        """The largest lease in MiB that ran out, by batch size; empty where none did."""
        return self._short.get(key(card, ticket), {}) if self._short else {}

    def any_short(self, ticket: Ticket) -> bool:
        """Whether a lease ran out on any card."""
        return bool(self._short) and any(name[1:] == key("", ticket)[1:] for name in self._short)

    def fell_short(self, card: str, ticket: Ticket, batch: int, mib: int) -> None:
        """A lease of `mib` MiB ran out with `batch` items a call."""
        name = key(card, ticket)

        def more(short: Short) -> Short:
            sizes = short.get(name, {})
            return {**short, name: {**sizes, batch: max(mib, sizes.get(batch, 0))}}

        with self._guard:
            self._change(more)

    def sufficed(self, card: str, ticket: Ticket, batch: int, mib: int, peak: int) -> None:
        """A call of `batch` items went well in a lease of `mib` MiB: no such call needs more than that.

        Where it took more than had run out, that `peak` is what is known now.
        """
        name = key(card, ticket)

        def wrong(which: Key, size: int, least: int) -> bool:
            return which == name and ((size <= batch and least > mib) or (size >= batch and least < peak))

        self._forget(wrong)

    def forget(self, ticket: Ticket, batch: int) -> None:
        """On no card any lease was too little for calls of up to `batch` items."""
        rest = key("", ticket)[1:]
        self._forget(lambda which, size, _: which[1:] == rest and size <= batch)

    def learn(self, card: str, ticket: Ticket, batch: int, mib: int, *, full: bool) -> None:
        """A worker that may take `batch` items a call has taken `mib` MiB at most; `full`: in a call of so many."""
        name = key(card, ticket)
        with self._guard:
            known = self._known.get(name, {}).get(batch, Peak(0, 0))
            new = Peak(max(known.mib, mib), min(SURE, known.full + full))
            if new == known:
                return
            self._known = {**self._known, name: {**self._known.get(name, {}), batch: new}}
            self._change(lambda short: short)

    def rows(self) -> list[dict[str, Any]]:
        """All that is known here, as JSON values."""
        known, short = self._known, self._short
        return [
            {
                "of": name,
                "peaks": {str(n): [peak.mib, peak.full] for n, peak in sorted(known.get(name, {}).items())},
                "short": {str(n): mib for n, mib in sorted(short.get(name, {}).items())},
            }
            for name in sorted({*known, *short})
        ]

    def take(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """What another machine has measured: of what both know the larger peak, and its own word on what was short."""
        known, short = _parsed(rows)
        with self._guard:
            self._known = merged(self._known, known)
            self._change(lambda ours: {name: sizes for name, sizes in {**ours, **short}.items() if sizes})

    def _forget(self, wrong: Callable[[Key, int, int], bool]) -> None:
        def less(short: Short) -> Short:
            kept = {
                name: {n: mib for n, mib in sizes.items() if not wrong(name, n, mib)} for name, sizes in short.items()
            }
            return {name: sizes for name, sizes in kept.items() if sizes}

        with self._guard:
            if less(self._short) != self._short:
                self._change(less)

    def _change(self, change: Callable[[Short], Short]) -> None:
        """Here and in the file; of what was too little the file has the last word, as others take it back there."""
        self._short = change(self._short)
        try:
            with self._locked():
                known, short = self._read()
                self._known, self._short = merged(known, self._known), change(short)
                self._write()
        except OSError as error:  # it is measured again next time
            log.warning("%s: measured memory is not kept: %s", self._path, error.strerror)

    def _read(self) -> tuple[dict[Key, dict[int, Peak]], Short]:
        try:
            known, short = _parsed(json.loads(self._path.read_text(encoding="utf-8")))
            return known, {name: sizes for name, sizes in short.items() if sizes}
        except FileNotFoundError:
            return {}, {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("%s: not read, memory is measured anew: %s", self._path, error)
            return {}, {}

    def _write(self) -> None:
        descriptor, part = tempfile.mkstemp(dir=self._path.parent, prefix=".peaks-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(self.rows(), file, indent=1)
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


def _parsed(rows: Iterable[Mapping[str, Any]]) -> tuple[dict[Key, dict[int, Peak]], dict[Key, dict[int, int]]]:
    known = {tuple(row["of"]): {int(b): Peak(*peak) for b, peak in row["peaks"].items()} for row in rows}
    short = {tuple(row["of"]): {int(b): int(mib) for b, mib in row.get("short", {}).items()} for row in rows}
    return known, short


Known = Mapping[Key, Mapping[int, Peak]]


def key(card: str, ticket: Ticket) -> Key:
    """Under what a measurement is kept: all that changes it but the batch."""
    params = json.dumps(dict(ticket.engine_params), sort_keys=True)
    return (card, group(ticket.stage), ticket.engine or "", ticket.revision, ticket.precision or "", params)


def merged(one: Known, other: Known) -> dict[Key, dict[int, Peak]]:
    """Both, and where both know something the larger."""
    found: dict[Key, dict[int, Peak]] = {}
    for name in one.keys() | other.keys():
        left, right = one.get(name, {}), other.get(name, {})
        nothing = Peak(0, 0)
        pairs = {batch: (left.get(batch, nothing), right.get(batch, nothing)) for batch in left.keys() | right.keys()}
        found[name] = {batch: Peak(max(a.mib, b.mib), max(a.full, b.full)) for batch, (a, b) in pairs.items()}
    return found
