"""Where batches run when one machine is too few: the pool of this one, and an agent with such a pool on every node.

The scheduler sees one machine with the slots and the cards of all. Artifacts go by value: the head reads inputs, and
writes what comes back to the private paths that the build syncs and renames, so that a task may run twice.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from ray.exceptions import RayError

from dubd.cluster import connection
from dubd.cluster.freight import Cargo, to_send
from dubd.cluster.losses import Losses
from dubd.cluster.member import Lost, Member
from dubd.cluster.placement import Place, choose
from dubd.cluster.roster import Roster
from dubd.errors import DubdError, Exit
from dubd.schedule import gpu
from dubd.schedule.admission import Capacity, Card, Start
from dubd.schedule.estimates import Cards, apart
from dubd.schedule.executor import Executor, LocalExecutor, Slot
from dubd.schedule.gpu import Device
from dubd.schedule.process import Heard
from dubd.schedule.ticket import Again, Kind, Ticket
from dubd.stages.job import Outcome

log = logging.getLogger("dubd.cluster")

_JOIN = 60.0  # s that nodes which are there at the start have to join before the first task is placed
_ASKED = 32  # nodes at a time, for their cards


class Berth(Slot):
    """Room for one batch: here (with what the local pool gave), or at a member."""

    def __init__(
        self,
        executor: RayExecutor,
        video: str,
        member: Member | None,
        place: int | None,
        local: Slot | None,
        *,
        at_home: bool = False,
    ) -> None:
        super().__init__()
        self.at_home = at_home  # it can be nowhere else
        self.video, self.member, self.place, self.local = video, member, place, local
        self.begun = False
        self._executor = executor

    def close(self) -> None:
        """Safe to call twice."""
        self._executor.leave(self)


class RayExecutor(Executor):
    """Connects to a cluster that is there, and disconnects at the end."""

    def __init__(self, logs: Path, slots: int | None, address: str, *, shared: bool = False) -> None:
        """Errors: DubdError where there is no cluster at `address`."""
        self._connection = connection.Connection(address)
        self._local = LocalExecutor(logs, slots)
        self._here = self._local.capacity().slots
        workspace = logs.parent.absolute()
        self._cargo = Cargo(workspace if shared else None)
        self._guard = threading.Lock()
        self._busy = 0  # slots of this machine
        self._at_home = 0  # of those, by tickets that cannot run elsewhere
        self._videos: Counter[str] = Counter()  # batches on them
        self._losses = Losses()
        self._wanted: dict[Kind, Ticket] = {}  # one of each line that found no room, since the last look
        self._seen: Cards = ()  # names and largest leases of all cards, as of the last look
        self._berths: set[Berth] = set()
        self._roster = Roster(logs, self._cargo.shared)
        self._roster.wait(_JOIN)
        gpu.reach_further(self._devices)

    @property
    def roster(self) -> Roster:
        """Who is in the cluster."""
        return self._roster

    def capacity(self) -> Capacity:
        """The slots of all machines that are there now."""
        slots = self._here + sum(member.slots for member in self._roster.members)
        return Capacity(slots, home=None if self._cargo.shared else self._here - self._busy)

    def resident(self) -> set[Kind]:
        """Kinds with an idle worker anywhere, as far as is known."""
        return self._local.resident().union(*(member.resident for member in self._roster.members))

    def cards(self) -> tuple[Card, ...]:
        """The cards of all machines. Those of one that does not answer are left out."""
        with self._guard:
            wanted, self._wanted = self._wanted, {}
        with ThreadPoolExecutor(max_workers=_ASKED) as asking:
            there = asking.map(partial(self._cards_of, wanted), self._roster.members)
            found = (*self._local.cards(), *itertools.chain.from_iterable(there))
        self._seen = self._known(None)
        return found

    def need(self, ticket: Ticket, batch: int) -> int:
        """As for one machine, by what was measured on any. Asked many times a decision: by the cards as last seen."""
        return self._local.estimates.need(ticket, batch, self._seen)

    def refuses(self, ticket: Ticket) -> DubdError | None:
        """No card in the whole cluster is as large as one item needs. A node that was just lost may come back."""
        if ticket.vram is None or not self._roster.settled:
            return None
        known = self._known(ticket.kind)
        largest = max((most for _, most in known), default=0)
        if known and (need := self.need(ticket, 1)) > largest:
            asked, has = apart(need, largest)
            reason = f"{ticket.engine} asks for {asked}; the largest GPU of the cluster has {has}"
            remedy = "use a smaller model or precision, add a node with a larger GPU, or device: cpu"
        elif not known:
            reason = f"{ticket.engine} asks for a GPU, but no node of the cluster can give it one{self._whys(ticket)}"
            remedy = "add a node with a GPU, or use device: auto, or cpu"
        else:
            return None
        return DubdError(reason, file=ticket.task, stage=ticket.stage, remedy=remedy, exit=Exit.RULE)

    def want(self, ticket: Ticket) -> None:
        """Ask the other dubd processes of every machine for room; those of nodes with the next look at their cards."""
        self._local.want(ticket)
        with self._guard:
            self._wanted[ticket.line] = ticket

    def reserve(self, start: Start) -> Slot | None:
        """A slot on the best machine, or the place on a card that admission chose."""
        video = _video(start.batch[0].ticket)
        if start.card is None:
            return self._slot(start, video)
        ident, slash, _ = start.card.partition("/")
        member = next((member for member in self._roster.members if slash and member.id == ident), None)
        if member is None:
            local = None if slash else self._local.reserve(start)
            return self._enter(Berth(self, video, None, None, local)) if local else None
        try:
            place = member.reserve(start)
        except (RayError, Lost) as error:
            log.debug("no place on a card of %s: %s", member.name, error)
            return None
        return None if place is None else self._enter(Berth(self, video, member, place, None))

    def run(self, slot: Slot, tickets: Sequence[Ticket], heard: Heard) -> list[Outcome | Again]:
        """See `Executor`. Errors: OSError of the head's own disk."""
        assert isinstance(slot, Berth)
        slot.begun = True
        if slot.member is None:
            answers = self._local.run(slot.local or Slot(), tickets, heard)
            self._losses.answered(tickets, answers)
            return answers
        try:
            delivery = slot.member.run(slot.place, tickets, heard, self._cargo)
        except (RayError, Lost):
            return [self._losses.lost(ticket, slot.member.name) for ticket in tickets]
        if delivery.late:
            return [self._losses.late(ticket, slot.member.name) for ticket in tickets]
        if delivery.peaks:
            self._local.estimates.peaks.take(delivery.peaks)
        self._losses.answered(tickets, delivery.answers)
        return list(delivery.answers)

    def close(self) -> None:
        """End the agents, then what runs here, then the connection."""
        gpu.reach_further(None)
        self._roster.close()
        self._local.close()
        self._connection.close()

    def __enter__(self) -> RayExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def leave(self, berth: Berth) -> None:
        """A batch has ended, or was not begun after all."""
        with self._guard:
            if berth not in self._berths:
                return
            self._berths.discard(berth)
            videos = berth.member.videos if berth.member else self._videos
            videos[berth.video] -= 1
            if not videos[berth.video]:
                del videos[berth.video]
            if berth.place is None and berth.local is None:
                if berth.member:
                    berth.member.busy -= 1
                else:
                    self._busy -= 1
                    self._at_home -= berth.at_home
        if berth.local:
            berth.local.close()
        if berth.member and berth.place is not None and not berth.begun:
            berth.member.give_back(berth.place)

    # Within.

    def _cards_of(self, wanted: Mapping[Kind, Ticket], member: Member) -> tuple[Card, ...]:
        try:
            found = member.cards(wanted)
        except (RayError, Lost) as error:
            log.debug("no word of the cards of %s: %s", member.name, error)
            return ()
        if member.look.peaks:
            self._local.estimates.peaks.take(member.look.peaks)
        return found

    def _slot(self, start: Start, video: str) -> Slot | None:
        """Called from the scheduler's thread: by what is known, nobody is asked."""
        ticket, kind = start.batch[0].ticket, start.batch[0].ticket.kind
        with self._guard:
            same, warm = self._videos[video], kind in self._local.resident()
            free, wanted = self._here - self._busy, bool(self._at_home) and not self._cargo.at_home(ticket)
            here = Place("", free, self._here, warm, same=same, wanted=wanted)
            places = [(here, None), *self._elsewhere(ticket, kind, video)]
        chosen = choose(place for place, _ in places)
        if chosen is None:
            return None
        member = next(member for place, member in places if place is chosen)
        if member:
            member.resident.discard(kind)  # one batch: a second one would load it again
        return self._enter(Berth(self, video, member, None, None, at_home=self._cargo.at_home(ticket)))

    def _elsewhere(self, ticket: Ticket, kind: Kind, video: str) -> Iterator[tuple[Place, Member]]:
        if self._cargo.at_home(ticket):
            return
        pieces = self._cargo.pieces(ticket)
        for member in self._roster.members:
            if member.busy < member.slots and kind not in member.fitness.barred():
                load = to_send(pieces, member.held)
                free, slots, same = member.slots - member.busy, member.slots, member.videos[video]
                yield Place(member.name, free, slots, kind in member.resident, load, member.bandwidth, same), member

    def _enter(self, berth: Berth) -> Berth:
        with self._guard:
            self._berths.add(berth)
            (berth.member.videos if berth.member else self._videos)[berth.video] += 1
            if berth.place is None and berth.local is None:
                if berth.member:
                    berth.member.busy += 1
                else:
                    self._busy += 1
                    self._at_home += berth.at_home
        return berth

    def _known(self, kind: Kind | None) -> Cards:
        """Cards and largest leases, of machines that can run a kind (None: of all), those just lost included."""
        members = [*self._roster.members, *self._roster.gone]
        able = [member for member in members if kind is None or kind not in member.fitness.lacking()]
        return (*self._local.known, *(card for member in able for card in member.look.known))

    def _devices(self) -> Sequence[Device]:
        members = [*self._roster.members, *self._roster.gone]
        return [device for member in members for device in member.look.devices]

    def _whys(self, ticket: Ticket) -> str:
        """Which nodes could have, but for something."""
        whys = [f"{name} is refused: {why}" for name, why in self._roster.refused.items()]
        for member in self._roster.members:
            if why := member.fitness.lacking().get(ticket.kind):
                whys.append(f"{member.name} {why}")
        return f" ({'; '.join(whys)})" if whys else ""


def _video(ticket: Ticket) -> str:
    return ticket.task.partition(":")[0]
