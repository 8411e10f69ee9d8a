"""What a node was found unable to do: for as long as it lacks something, or because of a fault that may pass."""

from __future__ import annotations

import threading
import time

from dubd.schedule.ticket import Kind

_AGAIN = 300.0  # s after which it is tried again


class Fitness:
    """Kinds of tickets that one node is not given, and why. Any thread may call."""

    def __init__(self) -> None:
        self._found: dict[Kind, tuple[str, bool, float]] = {}  # why, whether that may pass, and when (s)
        self._guard = threading.Lock()

    def bar(self, kind: Kind, why: str, *, passing: bool) -> None:
        """It could not. `passing`: such as a full disk; else it lacks a model, an engine, or the user's own files."""
        with self._guard:
            self._found[kind] = why, passing, time.monotonic()

    def barred(self) -> dict[Kind, str]:
        """What it is not given now, and why."""
        return self._within(passing=True)

    def lacking(self) -> dict[Kind, str]:
        """Of those, what waiting will not mend."""
        return self._within(passing=False)

    def _within(self, *, passing: bool) -> dict[Kind, str]:
        if not self._found:  # asked of every node for every batch
            return {}
        with self._guard:
            now = time.monotonic()
            self._found = {kind: found for kind, found in self._found.items() if now - found[2] < _AGAIN}
            return {kind: why for kind, (why, passes, _) in self._found.items() if passing or not passes}
