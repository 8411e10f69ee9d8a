"""Who is in the cluster: nodes that come are looked over and taken in or refused, nodes that go are let go of."""

from __future__ import annotations

import json
import logging
import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from dubd.cluster import guard
from dubd.cluster.member import Lost, Member
from dubd.cluster.standing import STANDING, teller
from dubd.cluster.versions import Versions, differences, versions
from dubd.schedule.admission import PATIENCE

log = logging.getLogger("dubd.cluster")

_EVERY = 1.0  # s between two looks at who is there
_SILENT = 5.0  # s without an answer after which a node counts as gone
_DECLARED = 90.0  # s that Ray has to give a node up: it takes 14 where that was killed, a minute where it is parted
_AGAIN = 60.0  # s after which a refused node is looked over again: a person may have mended it
_NAMED = 3  # differences that are told


class Roster:
    """Follows the nodes of the cluster that this process is connected to, from a thread of its own.

    `shared`: a folder that every node must see as it is here; None where artifacts go by value.
    """

    def __init__(self, logs: Path, shared: Path | None) -> None:
        self._logs, self._standing, self._shared = logs, logs / STANDING, shared
        self._ours: Versions = versions()
        self._here: str = ray.get_runtime_context().get_node_id()
        self._members: dict[str, Member] = {}
        self._refused: dict[str, tuple[str, str, float]] = {}  # name, why, and when (s)
        self._gone: dict[str, tuple[Member, float]] = {}  # by node, and when (s)
        self._joining: set[str] = set()
        self._starting: set[Member] = set()  # of those, the ones that have an agent
        self._guard = threading.Lock()
        self._closed = threading.Event()
        self._first = threading.Event()
        self._written: object = None
        self._writing = threading.Lock()
        self._joins = ThreadPoolExecutor(max_workers=32, thread_name_prefix="joining")
        self._pulses = ThreadPoolExecutor(max_workers=64, thread_name_prefix="pulse")  # joins may take minutes
        self._token = self._mark()
        self._thread = threading.Thread(target=self._follow, name="roster", daemon=True)
        self._thread.start()
        self._beat = threading.Thread(target=self._pulse_all, name="pulse", daemon=True)
        self._beat.start()

    @property
    def members(self) -> Sequence[Member]:
        """The nodes that take work now."""
        with self._guard:
            return [member for member in self._members.values() if not member.lost.is_set()]

    @property
    def refused(self) -> Mapping[str, str]:
        """The nodes that were refused, and why."""
        with self._guard:
            return {name: why for name, why, _ in self._refused.values()}

    @property
    def gone(self) -> Sequence[Member]:
        """Those that were lost not long ago: they may come back."""
        with self._guard:
            here = self._members
            return [
                *(member for member in here.values() if member.lost.is_set()),
                *(member for member, _ in self._gone.values() if member.id not in here),
            ]

    @property
    def settled(self) -> bool:
        """Whether every node that there is has been looked over."""
        with self._guard:
            return self._first.is_set() and not self._joining

    def wait(self, seconds: float) -> None:
        """Until the nodes that are there now have been looked over, or so long."""
        end = time.monotonic() + seconds
        while not self.settled and time.monotonic() < end:
            time.sleep(0.05)

    def close(self) -> None:
        """End all agents."""
        self._closed.set()
        self._thread.join(_EVERY + _SILENT)
        self._beat.join(_EVERY)
        with self._guard:
            starting = list(self._starting)
        for member in starting:  # its thread waits for it no longer
            with suppress(RayError):
                member.forsake()
        with ThreadPoolExecutor(max_workers=32) as ending:
            list(ending.map(_end, self.members))
        for pool in (self._joins, self._pulses):
            pool.shutdown(cancel_futures=True)
        with suppress(OSError):
            if teller(self._logs) == os.getpid():
                self._standing.unlink(missing_ok=True)
            if self._shared:
                self._token_path.unlink(missing_ok=True)

    # Within.

    def _follow(self) -> None:
        while not self._closed.is_set():
            try:
                self._turn()
            except Exception:  # the head of the cluster is away: it may come back
                log.exception("looking at the nodes of the cluster")
            self._first.set()
            self._closed.wait(self._every)

    def _pulse_all(self) -> None:
        """Not by `_follow`: Ray's list of nodes may hang with its head, while agents answer, and end without a word."""
        while not self._closed.wait(self._every):
            for member in self.members:
                self._pulses.submit(self._pulse, member)

    @property
    def _every(self) -> float:
        return max(_EVERY, len(self._members) / 50)

    def _turn(self) -> None:
        nodes = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
        names = _names(list(nodes.values()))
        if nodes.pop(self._here, None) is None:
            guard.ended()
        with self._guard:
            members = list(self._members.values())
        for member in members:
            if member.id not in nodes:
                self._lose(member, "the node is gone")
            elif member.lost.is_set():
                self._lose(member, "its agent has ended")
        now = time.monotonic()
        with self._guard:
            for ident in [ident for ident in self._refused if ident not in nodes]:
                del self._refused[ident]
            self._gone = {ident: gone for ident, gone in self._gone.items() if now - gone[1] < PATIENCE}
            refused = {ident for ident, (_, _, at) in self._refused.items() if now - at < _AGAIN}
            fresh = nodes.keys() - self._members.keys() - self._joining - refused
            self._joining |= fresh
        for ident in fresh:
            self._joins.submit(self._join, nodes[ident], names[ident])
        self._tell()

    def _join(self, node: Mapping[str, Any], name: str) -> None:
        member = why = None
        dead = False  # as far as one can tell
        try:
            member = Member(node, name)
            with self._guard:
                self._starting.add(member)
            if self._closed.is_set():  # `close` has not seen it
                raise Lost(name)
            why = self._objection(member)
            if why is None:
                member.cards()
                member.pulse()
        except Lost:
            why, dead = "it has not answered in time", True
        except RayTaskError as error:
            why = f"its dubd does not answer as the one here: {error.cause}"
        except RayError as error:
            why, dead = f"no agent can be started there: {_line(error)}", True
        except Exception as error:
            log.exception("%s", name)
            why = f"{type(error).__name__}: {error}"
        with self._guard:
            self._joining.discard(node["NodeID"])
            known = self._refused.pop(node["NodeID"], None)
            joins = why is None and member and not self._closed.is_set()
            if joins and member:
                self._members[member.id] = member
                self._gone.pop(member.id, None)
            elif dead and self._just_lost(node["NodeID"]):
                why = None
            elif why is not None:
                self._refused[node["NodeID"]] = name, why, time.monotonic()
            if member:
                self._starting.discard(member)
        if joins and member:
            cards = ", ".join(device.name for device in member.look.devices) or "no GPU"
            log.info("the node %s (%s) joins with %d slots and %s", name, member.address, member.slots, cards)
        else:
            if member:
                with suppress(RayError):
                    member.close()
            if why and not self._closed.is_set() and (known is None or known[1] != why):
                log.warning("the node %s is refused: %s", name, why)
        self._tell()

    def _just_lost(self, ident: str) -> bool:
        """Whether a node was lost so lately that Ray may not know yet."""
        return ident in self._gone and time.monotonic() - self._gone[ident][1] < _DECLARED

    def _objection(self, member: Member) -> str | None:
        if found := differences(self._ours, member.versions()):
            more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
            return "; ".join(found[:_NAMED]) + more
        if self._shared and not member.sees(self._token_path, self._token):
            return f"it does not see {self._shared}, which storage: shared needs"
        return None

    def _pulse(self, member: Member) -> None:
        if self._closed.is_set():
            return
        try:
            member.pulse(max(_EVERY, member.answered + _SILENT - time.monotonic()))
        except (RayError, Lost):
            if member.lost.is_set():
                self._lose(member, "its agent has ended")
            elif time.monotonic() - member.answered >= _SILENT:
                self._lose(member, f"no answer for {_SILENT:g} s")

    def _lose(self, member: Member, why: str) -> None:
        with self._guard:
            if self._members.pop(member.id, None) is None:
                return
            self._gone[member.id] = member, time.monotonic()
        log.warning("the node %s is lost, what ran there runs elsewhere: %s", member.name, why)
        with suppress(RayError):
            member.forsake()

    @property
    def _token_path(self) -> Path:
        assert self._shared
        return self._shared / f".cluster-token-{os.getpid()}"

    def _mark(self) -> str:
        token = secrets.token_hex(16)
        if self._shared:
            for old in self._shared.glob(".cluster-token-*"):
                with suppress(PermissionError, ValueError):
                    try:
                        os.kill(int(old.name.rpartition("-")[2]), 0)
                    except ProcessLookupError:  # it was killed
                        old.unlink(missing_ok=True)
            self._token_path.write_text(token, encoding="ascii")
        return token

    def _tell(self) -> None:
        """Write down how the nodes stand, for `dubd status`, where that has changed."""
        with self._guard:
            nodes = [_member(member) for member in self._members.values()]
            nodes += [{"name": name, "state": "refused", "why": why} for name, why, _ in self._refused.values()]
            here = {node["name"] for node in nodes}  # with another id where Ray was started there again
            lost = sorted({member.name for member, _ in self._gone.values()} - here)
            nodes += [{"name": name, "state": "lost", "why": None} for name in lost]
        told = {"pid": os.getpid(), "nodes": nodes}
        with self._writing:
            if self._closed.is_set() or told == self._written:
                return
            if teller(self._logs) not in (None, os.getpid()):  # another process uses the cluster, and tells of it
                return
            part = self._standing.with_suffix(f".{os.getpid()}.tmp")
            try:
                part.write_text(json.dumps(told, indent=1), encoding="utf-8")
                part.replace(self._standing)
                self._written = told
            except OSError as error:
                log.warning("%s: how the cluster stands is not told: %s", self._standing, error.strerror)


def _member(member: Member) -> dict[str, Any]:
    return {
        "name": member.name,
        "address": member.address,
        "state": "joined",
        "slots": member.slots,
        "busy": member.busy,
        "gpus": [device.name for device in member.look.devices],
        "unfit": sorted(set(member.fitness.barred().values())),
    }


def _end(member: Member) -> None:
    with suppress(RayError):
        member.close()


def _names(nodes: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What `ray start --node-name` says, else host names; where two nodes have one, with the start of their ids."""
    names = {node["NodeID"]: _own_name(node) or node["NodeManagerHostname"] for node in nodes}
    count = Counter(names.values())
    return {ident: name if count[name] == 1 else f"{name}-{ident[:6]}" for ident, name in names.items()}


def _own_name(node: Mapping[str, Any]) -> str:
    name = str(node.get("NodeName") or "")
    return "" if name == node.get("NodeManagerAddress") else name  # where nobody named it


def _line(error: Exception) -> str:
    """The last line of what Ray says, which is the cause."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
