"""Tasks that lost their worker, or a program of its: each is tried once more, alone, and then it has failed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from dubd.errors import DubdError
from dubd.media.killed import MEANS, ProgramKilled
from dubd.schedule.process import Hung, Killed, died
from dubd.schedule.ticket import Again, Ticket

log = logging.getLogger("dubd.gpu")

Lost = Hung | Killed | ProgramKilled


class OnceMore:
    """The tasks that were lost once: the next time they run alone, so that no other is lost with them."""

    def __init__(self) -> None:
        self._lone: set[str] = set()

    def part(self, tickets: Sequence[Ticket], items: int) -> Sequence[Ticket]:
        """The first of them that may run in one call, of at most `items`."""
        if tickets[0].task in self._lone:
            return tickets[:1]
        calm = next((index for index, ticket in enumerate(tickets) if ticket.task in self._lone), len(tickets))
        return tickets[: min(calm, items)]

    def ended(self, tasks: Iterable[str]) -> None:
        """They have an answer, a good one or not."""
        self._lone.difference_update(tasks)

    def answer(self, ticket: Ticket, lost: Lost, *, closing: bool) -> DubdError | Again:
        """Another try for the first loss; for the second one in a row, or where all is `closing`, the fault."""
        if ticket.task not in self._lone and not closing:
            self._lone.add(ticket.task)
            why = _why(lost)
            log.warning("%s: its worker is lost, it is tried once more: %s", ticket.task, why)
            return Again(why)
        self._lone.discard(ticket.task)
        if isinstance(lost, ProgramKilled):
            lost.reason += ", the second one in a row"
            return lost
        if isinstance(lost, Killed):
            means = f": {MEANS}" if lost.signal == 9 else ""
            return died(ticket, f"was killed by signal {lost.signal}, the second one in a row{means}")
        return DubdError(
            f"{ticket.engine or ticket.stage} said nothing for {lost.seconds:g} s, twice, and was killed",
            file=ticket.task,
            stage=ticket.stage,
            remedy="see the log in the workspace's .log folder; deadline: gives the stage more seconds",
        )


def _why(lost: Lost) -> str:
    if isinstance(lost, ProgramKilled):
        return lost.reason
    return f"no word for {lost.seconds:g} s" if isinstance(lost, Hung) else f"killed by signal {lost.signal}"
