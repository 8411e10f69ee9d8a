"""Threads for batches, kept for the next ones: to start a thread costs as much as to hand a batch to a worker."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

_IDLE = 10.0  # s after which a thread that nobody needs ends

Act = Callable[[], object]


class Crew:
    """As many daemon threads as acts are under way; unlike a pool's, none keeps the process from ending."""

    def __init__(self) -> None:
        self._idle: list[queue.SimpleQueue[Act]] = []  # where each thread without work is given some; last come, first
        self._guard = threading.Lock()

    def do(self, act: Act) -> None:
        """Begin it now, on an idle thread or one more. It must not raise."""
        with self._guard:
            given = self._idle.pop() if self._idle else None
        if given:
            given.put(act)
        else:
            threading.Thread(target=self._serve, args=(act,), name="batch", daemon=True).start()

    def _serve(self, act: Act) -> None:
        given: queue.SimpleQueue[Act] = queue.SimpleQueue()
        while True:
            act()
            with self._guard:
                self._idle.append(given)
            try:
                act = given.get(timeout=_IDLE)
            except queue.Empty:
                with self._guard:
                    if given in self._idle:
                        self._idle.remove(given)
                        return
                act = given.get()  # it was chosen meanwhile
