"""A machine on paper: videos, CPU slots, cards and a clock that jumps from event to event; the decider is the real one.

A stage takes `fixed + each * items` seconds a batch when it has a card for itself. A card is shared: every stage
takes its `share` of the card's compute, and where the shares of those that run together add up to more than 1, all
of them slow down by that sum (an assumption; MPS and time slicing both come near it). A load takes its seconds
whatever else runs, and no compute.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from dubd.cost.bounds import Stage
from dubd.schedule.admission import EAGER, REST, Capacity, Card, Seated, Start, Waiting, Waitlist
from dubd.schedule.ledger import MARGIN
from dubd.schedule.ticket import Kind, Ticket

EVICTION = 1.0  # seconds until an ended worker's memory is back: 0.5 to 1.5 (facts: ollama, sched.go)

Decide = Callable[[Waitlist, int, Capacity, set[Kind], float], list[Start]]


@dataclass
class Task:
    """A stage of a segment, or of a whole video."""

    stage: Stage
    video: int
    ticket: Ticket
    before: int = 0  # tasks that must end first
    then: list[Task] = field(default_factory=list)


@dataclass
class Shared:
    """A card with its workers. `work` is the time that a job alone would have had since the start."""

    uuid: str
    total: int
    idle: list[tuple[float, Seated]] = field(default_factory=list)  # since when, longest idle first
    busy: list[Seated] = field(default_factory=list)
    loading: bool = False
    shares: float = 0.0
    work: float = 0.0
    at: float = 0.0
    foreign: int = 0
    jobs: list[tuple[float, int, Seated, tuple[Task, ...]]] = field(default_factory=list)

    @property
    def free(self) -> int:
        """MiB without the margin, without leases and what is foreign."""
        return self.total - MARGIN - self.foreign - sum(worker.mib for worker in self.ours)

    @property
    def ours(self) -> list[Seated]:
        """All workers."""
        return [*(worker for _, worker in self.idle), *self.busy]

    def take(self, worker: Seated) -> bool:
        """Have the latest idle worker like that, if there is one."""
        at = max((index for index, (_, one) in enumerate(self.idle) if one == worker), default=None)
        if at is not None:
            del self.idle[at]
        return at is not None

    def seen(self, now: float) -> Card:
        """As admission sees it."""
        return Card(
            self.uuid,
            self.total - MARGIN,
            max(0, self.free),
            self.loading,
            tuple(worker for _, worker in self.idle),
            tuple(self.busy),
            sum(now - since >= REST for since, _ in self.idle),
        )

    def advance(self, now: float) -> None:
        """Let the jobs run up to `now`."""
        self.work += (now - self.at) / max(1.0, self.shares)
        self.at = now

    def next(self) -> float:
        """When the first job ends, should nothing change."""
        return self.at + (self.jobs[0][0] - self.work) * max(1.0, self.shares) if self.jobs else float("inf")


def tasks(chain: Sequence[Stage], segments: Sequence[int]) -> list[Task]:
    """All tasks of videos with so many segments each, wired up, in each video's order."""
    made: list[Task] = []
    for video, count in enumerate(segments):
        of: dict[str, list[Task]] = {}
        for stage in chain:
            of[stage.name] = [Task(stage, video, _ticket(stage, video, i)) for i in range(1 if stage.whole else count)]
            for index, task in enumerate(of[stage.name]):
                for name in stage.after:
                    ahead = of[name] if stage.whole else [of[name][index if len(of[name]) > 1 or count == 1 else 0]]
                    task.before += len(ahead)
                    for one in ahead:
                        one.then.append(task)
        made += itertools.chain.from_iterable(of.values())
    return made


def _ticket(stage: Stage, video: int, index: int) -> Ticket:
    name, batch, parallel = f"{video}:{stage.name}:{index}", stage.batch, stage.parallel
    return Ticket(name, stage.name, stage.name, {}, {}, {}, {}, batch=batch, parallel=parallel, vram=stage.vram)


class Machine:
    """Runs all tasks; `now` is then the makespan in seconds. Not `aged`: as of one build, in order of readiness."""

    def __init__(
        self, decide: Decide, work: Sequence[Task], cards: Sequence[int], slots: int, *, aged: bool = True
    ) -> None:
        self.now = 0.0
        self.loads = 0
        self.cards = [Shared(f"GPU-{index}", total) for index, total in enumerate(cards)]
        self.ended: dict[str, float] = {}
        self._aged = aged
        self._decide, self.slots, self.running = decide, slots, 0
        self._all = {task.ticket.task: task for task in work}
        self.waiting = Waitlist()
        self._warm: Counter[Kind] = Counter()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()
        self._dues = set[float]()  # the moments at which it looks again
        for task in work:
            if not task.before:
                self._ready(task)

    def run(self) -> float:
        """Seconds until all has ended. RuntimeError where something never can."""
        for _ in self.steps():
            pass
        if len(self.ended) < len(self._all):
            raise RuntimeError(f"{len(self._all) - len(self.ended)} tasks never start")
        return self.now

    def steps(self) -> Iterator[float]:
        """The clock after every event and the decision on it."""
        self._admit()
        while True:
            card = min(self.cards, key=Shared.next, default=None)
            first = card.next() if card else float("inf")
            event = self._events[0][0] if self._events else float("inf")
            if min(first, event) == float("inf"):
                return
            self.now = min(first, event)
            if card and first <= event:
                self._job_ends(card)
            else:
                heapq.heappop(self._events)[2]()
            self._admit()
            yield self.now

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Have something happen at a time."""
        heapq.heappush(self._events, (when, next(self._number), what))

    def _ready(self, task: Task) -> None:
        self.waiting.add(Waiting(task.video if self._aged else 0, next(self._number), task.ticket, self.now))

    def _admit(self) -> None:
        capacity = Capacity(self.slots, tuple(card.seen(self.now) for card in self.cards))
        resident = {kind for kind, count in self._warm.items() if count}
        for start in self._decide(self.waiting, self.running, capacity, resident, self.now):
            self.waiting.start(start.batch, self.now)
            batch = tuple(self._all[w.ticket.task] for w in start.batch)
            if start.card is None:
                self._on_slot(batch)
            else:
                self._on_card(next(card for card in self.cards if card.uuid == start.card), start, batch)
        self._look_again()

    def _look_again(self) -> None:
        """Where a card is not used, decide once more when a kind that waits may have it; the daemon looks anyway."""
        if all(card.busy for card in self.cards):
            return
        dues = [due for line in self.waiting.lines(gpu=True) if (due := line.hungry + EAGER) > self.now]
        if dues and (due := min(dues)) not in self._dues:
            self._dues.add(due)
            self.at(due, lambda: self._dues.discard(due))

    def _on_slot(self, batch: tuple[Task, ...]) -> None:
        kind, stage = batch[0].ticket.kind, batch[0].stage
        load = 0.0 if self._warm[kind] else stage.load
        self._warm[kind] -= bool(self._warm[kind])
        self.running += 1
        if self.running > self.slots:
            raise RuntimeError("more CPU batches than slots")

        def end() -> None:
            self.running -= 1
            self._warm[kind] += 1
            self._end(batch)

        self.at(self.now + load + stage.seconds(len(batch)), end)

    def _on_card(self, card: Shared, start: Start, batch: tuple[Task, ...]) -> None:
        worker, stage = Seated(batch[0].ticket.kind, start.mib), batch[0].stage
        for one in start.evict:
            if not card.take(one):
                raise RuntimeError(f"{one.kind} has no idle worker on {card.uuid}")
        if card.take(worker):
            card.busy.append(worker)
            self._compute(card, worker, batch)
            return
        if card.loading:
            raise RuntimeError(f"two loads at once on {card.uuid}")
        if start.mib > card.free:
            raise RuntimeError(f"{start.mib} MiB leased on {card.uuid}, {card.free} are free")
        card.busy.append(worker)
        if sum(one.kind == worker.kind for one in card.ours) > stage.parallel:
            raise RuntimeError(f"more than {stage.parallel} workers of {stage.name} on {card.uuid}")
        card.loading = True
        self.loads += 1

        def loaded() -> None:
            card.loading = False
            self._compute(card, worker, batch)

        self.at(self.now + stage.load + EVICTION * bool(start.evict), loaded)

    def _compute(self, card: Shared, worker: Seated, batch: tuple[Task, ...]) -> None:
        card.advance(self.now)
        stage = batch[0].stage
        card.shares += stage.share
        heapq.heappush(card.jobs, (card.work + stage.seconds(len(batch)), next(self._number), worker, batch))

    def _job_ends(self, card: Shared) -> None:
        card.advance(self.now)
        _, _, worker, batch = heapq.heappop(card.jobs)
        card.shares = card.shares - batch[0].stage.share if card.jobs else 0.0
        card.busy.remove(worker)
        card.idle.append((self.now, worker))
        self._end(batch)

    def _end(self, batch: tuple[Task, ...]) -> None:
        for task in batch:
            self.ended[task.ticket.task] = self.now
            for after in task.then:
                after.before -= 1
                if not after.before:
                    self._ready(after)
