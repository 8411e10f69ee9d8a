"""A node as the head sees it: the actor there, what it is doing, and what it is known to hold."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from dubd.cluster.agent import Agent, Look
from dubd.cluster.fitness import Fitness
from dubd.cluster.freight import Cargo, Delivery, Known
from dubd.cluster.placement import BANDWIDTH
from dubd.cluster.versions import Versions
from dubd.schedule.admission import Card, Start
from dubd.schedule.process import Heard
from dubd.schedule.ticket import Again, Kind, Ticket
from dubd.stages.job import Outcome

log = logging.getLogger("dubd.cluster")

_START = 120.0  # s that a node has to start an agent and to tell what it computes with, model files hashed included
_ASK = 10.0  # s that a node has for an answer that takes no work
_END = 3.0  # s that an agent has to end its workers and to remove its files
_FRESH = 1.0  # s for which the cards are taken to be as they were, unless something was begun or ended there
_ENOUGH = 1 << 20  # bytes from which on a transfer tells the bandwidth
_MORE_THREADS = 16  # of an agent, for batches on its cards

_runs = itertools.count()


class Lost(Exception):
    """The node, or its agent, is gone."""


class Member:
    """One node with an agent. Any thread may call; `Lost` and RayError are what goes wrong."""

    def __init__(self, node: Mapping[str, Any], name: str) -> None:
        """Starts the agent there, pinned; the answer to `versions` tells whether that went well."""
        self.id: str = node["NodeID"]
        self.name, self.address = name, str(node["NodeManagerAddress"])
        self.slots = max(1, int(node["Resources"].get("CPU", 1)))
        groups = {"work": self.slots + _MORE_THREADS, "control": 4, "pulse": 1}  # a driver that hangs is no lost node
        self._actor: Any = (
            ray.remote(concurrency_groups=groups)(Agent)
            .options(
                num_cpus=0,
                max_restarts=0,  # a new one could run other sources: the node joins anew, and is compared
                scheduling_strategy=NodeAffinitySchedulingStrategy(self.id, soft=False),
                # The agent gates the cards itself, all of them: Ray must not hide any.
                runtime_env={"env_vars": {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}},
            )
            .remote(self.slots)
        )
        self.held = Known()
        self.bandwidth = BANDWIDTH
        self.resident: set[Kind] = set()
        self.videos: Counter[str] = Counter()  # batches that run there, by video
        self.busy = 0  # CPU slots
        self.look = Look((), (), (), None)
        self.answered = time.monotonic()
        self.lost = threading.Event()
        self.fitness = Fitness()
        self.pid = 0  # of the agent
        self._looked = float("-inf")
        self._wishes: dict[Kind, Ticket] = {}  # not told there yet
        self._heard: dict[str, Heard] = {}

    # Joining.

    def versions(self) -> Versions:
        """What it computes with. Errors: RayError where no agent can be started there; Lost where it is too slow."""
        answer: Versions = self._wait(self._call("versions"), _START)
        return answer

    def sees(self, path: Path, token: str) -> bool:
        """Whether it has that file by the same path. Errors: RayError, Lost."""
        return bool(self._ask(self._call("sees", str(path), token)))

    def pulse(self, seconds: float = _ASK) -> None:
        """Hear that it lives and how far its batches are. Errors: RayError; Lost after so many seconds."""
        call = self._actor.pulse.options(concurrency_group="pulse").remote()
        self.pid, heard = self._wait(call, seconds)
        self.answered = time.monotonic()
        for run, fractions in heard.items():
            if hear := self._heard.get(run):
                for index, fraction in fractions.items():
                    hear(index, fraction)

    # What an executor asks.

    def cards(self, wanted: Mapping[Kind, Ticket] | None = None) -> tuple[Card, ...]:
        """Its cards, under names that hold for the whole cluster. Errors: RayError, Lost.

        `wanted`: one ticket of each line that found no room; the other dubd processes of that machine are asked for it.
        """
        self._wishes |= wanted or {}
        if time.monotonic() - self._looked > _FRESH:
            began, wishes = time.monotonic(), tuple(self._wishes.values()) if self.look.devices else ()
            self._wishes = {}
            self.look = self._ask(self._call("look", wishes))
            self._looked = began
        barred = frozenset(self.fitness.barred())
        return tuple(replace(card, uuid=f"{self.id}/{card.uuid}", barred=barred) for card in self.look.cards)

    def reserve(self, start: Start) -> int | None:
        """See `Agent`. Errors: RayError, Lost."""
        self._looked = float("-inf")
        assert start.card
        first = replace(start, card=start.card.partition("/")[2], batch=start.batch[:1])
        place: int | None = self._ask(self._call("reserve", first))
        return place

    def give_back(self, place: int) -> None:
        """See `Agent`; no answer is waited for."""
        self._looked = float("-inf")
        if not self.lost.is_set():
            self._call("give_back", place)

    def run(self, place: int | None, tickets: Sequence[Ticket], heard: Heard, cargo: Cargo) -> Delivery:
        """Have a batch done there, its outputs written.

        Errors: RayError and Lost where the node went meanwhile; OSError of an input or an output.
        """
        run, ticket = f"run-{next(_runs)}", tickets[0]
        self._heard[run] = heard
        try:
            delivery = self._send(run, place, tickets, cargo, self.held)
            if delivery.lacks:  # it let some go: everything, then
                self.held.drop(delivery.lacks)
                delivery = self._send(run, place, tickets, cargo, ())
            fault = "has no room for their inputs" if delivery.lacks else ""
        except RayTaskError as error:  # a fault of that machine, such as a full disk
            log.error("%s on %s: %s", ticket.task, self.name, error)
            delivery, fault = Delivery(), f"fails: {error.cause}"
        finally:
            del self._heard[run]
            self._looked = float("-inf")
        if delivery.lacks and place is not None:
            self.give_back(place)
        if why := delivery.unfit or fault:
            self.fitness.bar(ticket.kind, why, passing=not delivery.unfit)
            log.warning("%s is given no tasks of %s: it %s", self.name, ticket.stage, why)
            return replace(delivery, answers=[Again(f"{self.name} {why}")] * len(tickets))
        if delivery.late:
            return delivery
        self.resident = set(delivery.resident)
        self.held.add(cargo.unpack(tickets, delivery))
        return replace(delivery, answers=[_here(answer, self.name) for answer in delivery.answers], made=())

    def close(self) -> None:
        """End the agent, in an orderly way if it answers; its workers go with it."""
        if not self.lost.is_set():
            with suppress(RayError, Lost):
                self._wait(self._call("close"), _END)
        self.lost.set()
        ray.kill(self._actor)

    def forsake(self) -> None:
        """Whoever waits for it waits no longer; should it still live, it ends."""
        self.lost.set()
        ray.kill(self._actor)

    def _send(
        self, run: str, place: int | None, tickets: Sequence[Ticket], cargo: Cargo, held: Known | tuple[()]
    ) -> Delivery:
        parcel = cargo.pack(tickets, held)
        began, size = time.monotonic(), parcel.size
        delivery: Delivery = self._wait(self._actor.run.options(concurrency_group="work").remote(run, place, parcel))
        self.held.add(parcel.contents.values())
        size += delivery.size
        if size >= _ENOUGH:
            rate = size / max(1e-3, time.monotonic() - began - delivery.seconds)
            self.bandwidth += (rate - self.bandwidth) / 4
        return delivery

    def _call(self, name: str, *words: Any) -> Any:
        return getattr(self._actor, name).options(concurrency_group="control").remote(*words)

    def _ask(self, call: Any) -> Any:
        return self._wait(call, _ASK)

    def _wait(self, call: Any, seconds: float | None = None) -> Any:
        """The answer. Errors: RayError; Lost where the node is found gone before Ray finds it."""
        future: Future[Any] = call.future()
        end = time.monotonic() + seconds if seconds else None
        while not self.lost.is_set():
            try:
                return future.result(timeout=0.5)
            except FutureTimeout:
                if end and time.monotonic() > end:
                    break
            except RayActorError:  # whatever is sent there from now on would be lost as well
                self.lost.set()
                raise
        raise Lost(self.name)


def _here(answer: Outcome | Again, name: str) -> Outcome | Again:
    """Keep with a task's facts on which node it ran."""
    return {**answer, "node": name} if isinstance(answer, dict) else answer
