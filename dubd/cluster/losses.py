"""Tasks that were lost with their node, or its agent: they run again, but not for ever."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence

from dubd.errors import DubdError
from dubd.schedule.ticket import Again, Ticket
from dubd.stages.job import Outcome

_MOST = 3  # times that a task may be lost before it is taken to be the cause


class Losses:
    """How often each task was lost since it last had an outcome. Any thread may call."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._guard = threading.Lock()

    def lost(self, ticket: Ticket, name: str) -> DubdError | Again:
        """It was lost with the node `name`: once more, or an error."""
        with self._guard:
            self._counts[ticket.task] += 1
            if self._counts[ticket.task] < _MOST:
                return Again(f"lost with {name}")
            del self._counts[ticket.task]
        return DubdError(
            f"{ticket.engine or ticket.stage} was lost with its node {_MOST} times, last with {name}",
            file=ticket.task,
            stage=ticket.stage,
            remedy="see Ray's logs of those nodes; `dubd run VIDEO` tries it again",
        )

    def answered(self, tickets: Sequence[Ticket], answers: Sequence[Outcome | Again]) -> None:
        """What has an outcome is not counted any longer; what is to run again is."""
        with self._guard:
            for ticket, answer in zip(tickets, answers, strict=True):
                if not isinstance(answer, Again):
                    self._counts.pop(ticket.task, None)
