"""A word between dubd processes: some want room on a card, so that others end workers that only stay warm there.

One file for each that wants, in the card's folder of the ledger, touched at every look; nothing is promised by it.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from pathlib import Path

_FRESH = 5.0  # s after which nobody stands behind a file any more: those that wait look four times a second
_OLD = 3600.0  # s after which a file is removed


class Wanted:
    """What one dubd process says and hears, in `folder` (see `runtime`)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "vram"
        self._own = f"{secrets.token_hex(8)}.wanted"

    def say(self, uuid: str) -> None:
        """We wait for room on that card. A folder that cannot be written costs only time."""
        with contextlib.suppress(OSError):
            (self._folder / uuid.replace("/", "_") / self._own).touch()

    def by_others(self, uuid: str) -> bool:
        """Whether another process waits for room on that card."""
        now, found = time.time(), False
        with contextlib.suppress(OSError):
            for path in (self._folder / uuid.replace("/", "_")).glob("*.wanted"):
                with contextlib.suppress(OSError):  # it has just been removed
                    age = now - path.stat().st_mtime
                    found |= path.name != self._own and age < _FRESH
                    if age > _OLD:
                        path.unlink()
        return found

    def close(self) -> None:
        """We want nothing any more."""
        with contextlib.suppress(OSError):
            for path in self._folder.glob(f"*/{self._own}"):
                path.unlink()
