"""Tasks that came to nothing with their node, or its agent, or on the way there: they run again, but not for ever."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence

from dubd.errors import DubdError
from dubd.schedule.ticket import Again, Ticket
from dubd.stages.job import Outcome

_MOST = 3  # times that a task may be lost before it is taken to be the cause, or come late before that is told


class Losses:
    """How often each task was lost, or came late, since it last had an outcome. Any thread may call."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}  # by task, of each way to come to nothing
        self._guard = threading.Lock()

    def lost(self, ticket: Ticket, name: str) -> DubdError | Again:
        """It was lost with the node `name`: once more, or an error."""
        reason = f"was lost with its node {_MOST} times, last with {name}"
        return self._once_more(ticket, "lost with", name) or _error(ticket, reason, "see Ray's logs of those nodes")

    def late(self, ticket: Ticket, name: str) -> DubdError | Again:
        """It came to the node `name` when its place on a card had been given back: once more, or an error."""
        reason = f"came too late for its place on a card {_MOST} times, last at {name}"
        return self._once_more(ticket, "late at", name) or _error(
            ticket, reason, "look at the network, or at --storage"
        )

    def _once_more(self, ticket: Ticket, how: str, name: str) -> Again | None:
        with self._guard:
            counts = self._counts.setdefault(ticket.task, Counter())
            counts[how] += 1
            if counts[how] < _MOST:
                return Again(f"{how} {name}")
            del self._counts[ticket.task]
            return None

    def answered(self, tickets: Sequence[Ticket], answers: Sequence[Outcome | Again]) -> None:
        """What has an outcome is not counted any longer; what is to run again is."""
        with self._guard:
            for ticket, answer in zip(tickets, answers, strict=True):
                if not isinstance(answer, Again):
                    self._counts.pop(ticket.task, None)


def _error(ticket: Ticket, reason: str, remedy: str) -> DubdError:
    return DubdError(
        f"{ticket.engine or ticket.stage} {reason}",
        file=ticket.task,
        stage=ticket.stage,
        remedy=f"{remedy}; `dubd run VIDEO` tries it again",
    )
