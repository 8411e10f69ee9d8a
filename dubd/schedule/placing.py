"""One round over the cards at a time: look, decide, reserve. The driver is asked in threads of their own.

A driver may take seconds to answer, or never do: then no ticket gets a card, and all else goes on.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from dubd.schedule.admission import Card, Start
from dubd.schedule.executor import Executor, Slot

log = logging.getLogger("dubd.scheduler")

LOOK = 0.25  # s between two looks at cards that have no room now (ollama, server/sched.go)
_OLD = 5.0  # s after which an answer that nobody needed at once says nothing any more
_LATE = 10.0  # s after which a driver is said not to answer


class Placing:
    """Called from the scheduler's thread alone, and never waits; `wake` is called from any thread."""

    def __init__(self, executor: Executor, wake: Callable[[], None]) -> None:
        self._executor, self._wake = executor, wake
        self._answers: queue.SimpleQueue[tuple[float, tuple[Card, ...]]] = queue.SimpleQueue()  # and from when (s)
        self._slots: queue.SimpleQueue[tuple[Start, Slot]] = queue.SimpleQueue()
        self._under_way = False
        self._since = -math.inf  # s: when this part of the round began
        self._late = False
        self._dropped = False  # nobody waits any more for what is being reserved

    def look(self, now: float, *, at_once: bool) -> bool:
        """Begin a round, unless one is under way or the last was just now (and not `at_once`). Whether it began."""
        if self._under_way:
            if now - self._since > _LATE and not self._late:
                self._late = True
                log.warning("the GPUs have not answered for %g s, their tasks wait", _LATE)
            return False
        if not at_once and now - self._since < LOOK:
            return False
        self._begin(self._look, now)
        return True

    def cards(self, now: float) -> tuple[Card, ...] | None:
        """What the look has found, once; None where there is no answer, or an old one."""
        try:
            at, found = self._answers.get_nowait()
        except queue.Empty:
            return None
        self._under_way = False
        if self._late:
            self._late = False
            log.warning("the GPUs answer again")
        return found if now - at < _OLD else None

    def reserve(self, starts: Sequence[Start], now: float) -> None:
        """Have what the batches need; what is to be had comes out of `reserved`."""
        if starts:
            self._dropped = False
            self._begin(partial(self._reserve, starts), now)

    def reserved(self) -> Iterator[tuple[Start, Slot]]:
        """What was had since the last call."""
        while True:
            try:
                yield self._slots.get_nowait()
            except queue.Empty:
                return

    def drop(self) -> None:
        """Give back what was reserved and not begun, now or later."""
        self._dropped = True
        for _, slot in self.reserved():
            slot.close()

    def _begin(self, part: Callable[[], None], now: float) -> None:
        self._under_way, self._since = True, now
        threading.Thread(target=part, name="placing", daemon=True).start()

    def _look(self) -> None:
        found: tuple[Card, ...] = ()
        try:
            found = self._executor.cards()
        except Exception:
            log.exception("looking at the GPUs")
        self._answers.put((time.monotonic(), found))
        self._wake()

    def _reserve(self, starts: Sequence[Start]) -> None:
        for start in starts:
            try:
                slot = None if self._dropped else self._executor.reserve(start)
            except Exception:
                log.exception("reserving for %s", start.batch[0].ticket.task)
                continue
            if slot:
                self._slots.put((start, slot))
                self._wake()
        self._under_way = False
        if self._dropped:  # while the last of it was had
            self.drop()
        self._wake()
