"""Who waits for how much of a GPU, and why: the tickets of a build against the ledger, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dubd.schedule.estimates import apart
from dubd.schedule.ledger import Held, View, promised
from dubd.service.gpus import Machine, Seen, size

FOREIGN_AFTER = 60.0  # s; without use by process, what others seem to use may be a worker of ours that just ended
_NAMED = 3  # leases that are told one by one


@dataclass(frozen=True)
class Need:
    """What one ticket waits for: so many MiB for `what`, for `waited` seconds, in a build of process `pid`."""

    mib: int
    what: str  # as its worker's lease is called
    waited: float
    pid: int | None = None


def shortage(need: Need, machine: Machine) -> str:
    """What comes after "waiting for". Several devices: told of the one that has most room."""
    able = [seen for seen in machine.seen if seen.largest >= need.mib]
    if machine.why:
        return f"{size(need.mib)} on a GPU: {machine.why}"
    if not able:
        asked, has = apart(need.mib, max(seen.largest for seen in machine.seen))
        return f"{asked} on a GPU: the largest here has {has}"
    if turn := _turn(need, able):
        return turn
    views = [(seen, seen.view) for seen in able if seen.view]
    if not views:
        return f"{size(need.mib)} on a GPU: {able[0].fault}"
    seen, view = max(views, key=lambda pair: (not pair[1].loading, pair[1].free))
    return f"{size(need.mib)} on {'a GPU' if len(machine.seen) == 1 else seen.short}: {_why(need, view)}"


def _turn(need: Need, able: Sequence[Seen]) -> str | None:
    """A worker of the same build's process that does just this: the ticket only waits for its turn there."""
    for seen in able:
        for held in seen.view.held if seen.view else ():
            if held.what == need.what and need.pid is not None and descends(held.pid, need.pid):
                doing = "loads" if held.loading else f"has {size(held.mib)}"
                return f"a turn with its worker, which {doing} on {seen.short} (pid {held.pid})"
    return None


def _why(need: Need, view: View) -> str:
    loading = next((held for held in view.held if held.loading), None)
    if loading and view.free >= need.mib:
        return f"{loading.what} (pid {loading.pid}) loads there first"
    says = [f"{_short(view.free) if view.free else 'none'} free", *_holders(view.held)]
    if view.free < need.mib and view.foreign and (view.exact or need.waited >= FOREIGN_AFTER):
        says.append(f"{size(view.foreign)} are in use by other programs")
    return ", ".join(says)


def _holders(held: Sequence[Held]) -> list[str]:
    """The largest leases by name, the others as one sum."""
    ranked = sorted(held, key=lambda one: -one.counts)
    says = [f"{_short(one.counts)} held by {one.what} (pid {one.pid})" for one in ranked[:_NAMED]]
    if rest := ranked[_NAMED:]:
        says.append(f"{_short(promised(rest))} by {len(rest)} more")
    return says


def descends(pid: int, ancestor: int) -> bool:
    """Whether a process is `ancestor` or came of it; False where /proc does not tell."""
    while pid > 1:
        if pid == ancestor:
            return True
        try:
            said = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return False
        pid = int(said.rpartition(")")[2].split()[1])
    return False


def _short(mib: int) -> str:
    """As after a size in GiB; a small one says its unit."""
    return size(mib).removesuffix(" GiB")
