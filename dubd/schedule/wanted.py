"""A word between dubd processes: some want room on a card, so that others end workers that only stay warm there.

One file for each that wants, in the card's folder of the ledger, written at every look. It says since when its process
waits and, on the one card that it would have, for how much: past its patience others leave it that room, busy or not.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dubd.schedule.admission import PATIENCE
from dubd.schedule.ticket import Kind

_FRESH = 5.0  # s after which nobody stands behind a file any more: those that wait look four times a second
_OLD = 3600.0  # s after which a file is removed
_RECORD = 64  # bytes; records have one length, so that each is written whole by one call


@dataclass
class _Wish:
    """What a kind waits for: `since` and `said` in s of the machine's monotonic clock."""

    since: float
    said: float
    mib: int
    card: str | None = None  # the one that it would have


class Wanted:
    """What one dubd process says and hears, in `folder` (see `runtime`)."""

    def __init__(self, folder: Path, patience: float = PATIENCE) -> None:
        self._folder = folder / "vram"
        self._own = f"{secrets.token_hex(8)}.wanted"
        self._patience = patience
        self._wishes: dict[Kind, _Wish] = {}

    def wish(self, kind: Kind, mib: int, room: Mapping[str, int]) -> None:
        """A kind waits for so much. A folder that cannot be written costs only time.

        `room`: of each card the MiB that no other program has. The card that a kind would have stays the same for as
        long as it could have it.
        """
        now = time.monotonic()
        self._wishes = {other: wish for other, wish in self._wishes.items() if now - wish.said < _FRESH}
        wish = self._wishes.setdefault(kind, _Wish(now, now, mib))
        wish.said, wish.mib = now, mib
        if room.get(wish.card or "", 0) < mib:
            wish.card = max((uuid for uuid in room if room[uuid] >= mib), key=lambda uuid: room[uuid], default=None)
        for uuid in room:
            eldest = self._eldest(uuid)
            self._say(uuid, *((eldest.since, eldest.mib) if eldest else (now, 0)))

    def served(self, kind: Kind) -> None:
        """A kind has had a turn: it waits no more, or anew. What other kinds wait for is said again at once."""
        if self._wishes.pop(kind, None):
            self.close()

    def by_others(self, uuid: str) -> bool:
        """Whether another process waits for room on that card."""
        return any(True for _ in self._others(uuid))

    def claimed(self, uuid: str) -> int:
        """MiB of that card to be left to a process that has waited past its patience, and longer than we; else 0."""
        own = self._eldest(uuid)
        late = [(since, mib) for since, mib in self._others(uuid) if mib and not (own and own.since < since)]
        since, mib = min(late, default=(math.inf, 0))
        return mib if time.monotonic() - since >= self._patience else 0

    def close(self) -> None:
        """We want nothing any more."""
        with contextlib.suppress(OSError):
            for path in self._folder.glob(f"*/{self._own}"):
                path.unlink()

    def _eldest(self, uuid: str) -> _Wish | None:
        here = [wish for wish in self._wishes.values() if wish.card == uuid]
        return min(here, key=lambda wish: wish.since, default=None)

    def _place(self, uuid: str) -> Path:
        return self._folder / uuid.replace("/", "_")

    def _say(self, uuid: str, since: float, mib: int) -> None:
        with contextlib.suppress(OSError):
            fd = os.open(self._place(uuid) / self._own, os.O_WRONLY | os.O_CREAT, 0o644)
            try:
                os.pwrite(fd, json.dumps([since, mib]).encode().ljust(_RECORD), 0)
            finally:
                os.close(fd)

    def _others(self, uuid: str) -> Iterator[tuple[float, int]]:
        """Since when others wait, and for how much of that very card."""
        now = time.time()
        with contextlib.suppress(OSError):
            for path in self._place(uuid).glob("*.wanted"):
                with contextlib.suppress(OSError):  # it has just been removed
                    age = now - path.stat().st_mtime
                    if path.name != self._own and age < _FRESH:
                        yield _parsed(path)
                    if age > _OLD:
                        path.unlink()


def _parsed(path: Path) -> tuple[float, int]:
    """What a file says; nothing but that there is one where it cannot be read."""
    try:
        since, mib = json.loads(path.read_bytes())
        return float(since), int(mib)
    except (OSError, ValueError, TypeError):
        return math.inf, 0
