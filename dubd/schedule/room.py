"""Room on the disk: what tasks are about to write against what is free, and which of them wait for more."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dubd.errors import DubdError, Exit
from dubd.models.store import bytes_of
from dubd.schedule.ticket import Space, Ticket
from dubd.schedule.waitlist import Waiting

log = logging.getLogger("dubd.disk")

RESERVE: Final = 256 << 20  # bytes that no task gets: records, logs and reports are written when all else waits


def fitting(needs: Iterable[int], room: int) -> list[bool]:
    """Which of the needs are met out of `room` bytes, served in this order; one that is not keeps nobody back. Pure."""
    found = []
    for need in needs:
        found.append(need <= room)
        room -= need if need <= room else 0
    return found


def free(folder: Path) -> int:
    """Bytes that this user may still write where a folder lies. Errors: OSError."""
    there = os.statvfs(folder)
    return there.f_bavail * there.f_frsize


def need(space: Space) -> int:
    """Bytes that a task takes at most, as far as they can be foreseen: files that it copies are looked at now."""
    return space.writes + sum(_size(path) for path in space.copies)


@dataclass(frozen=True)
class Shortage:
    """A task that the disk has no room for, whatever else ends: it wants `wanted` bytes free, the reserve included."""

    folder: Path
    wanted: int
    free: int

    @property
    def says(self) -> str:
        """What comes after "waiting for"."""
        return f"{bytes_of(self.wanted)} on {self.folder}: {bytes_of(self.free)} free"

    def __str__(self) -> str:
        return f"waiting for {self.says}"

    def fault(self, stage: str) -> DubdError:
        """For whoever does not wait."""
        return DubdError(
            f"no space left on the disk: this takes {bytes_of(self.wanted)}, {bytes_of(self.free)} are free",
            file=self.folder,
            stage=stage,
            remedy="free some space, or have `dubd clean` do it, and run again",
            exit=Exit.WORKSPACE,
        )


def shortage(space: Space | None, free: Callable[[Path], int] = free) -> Shortage | None:
    """What is lacking for a task if it were the only one; None where it has room, or nobody can tell."""
    if space is None:
        return None
    try:
        there, wanted = free(space.folder), need(space) + RESERVE
    except OSError:
        return None
    return Shortage(space.folder, wanted, there) if wanted > there else None


class Room:
    """The disks of the tasks of one scheduler. `look` begins a turn; what is asked in it goes by one look at each disk.

    A disk that cannot be asked keeps no task from running: the task says what is wrong with it.
    """

    def __init__(self, free: Callable[[Path], int] = free) -> None:
        self._free = free
        self._rooms: dict[int, int | None] = {}  # bytes by file system, as of this turn
        self._running: dict[str, tuple[int, int, Sequence[str]]] = {}  # by task: file system, need, outputs
        self._held: dict[tuple[int, int], Waiting] = {}  # by rank: ready, but without room
        self._short: Shortage | None = None  # what the first of them lacks that no running task will give back
        self._shut: Shortage | None = None  # what a new video lacks

    @property
    def short(self) -> Shortage | None:
        """What is lacking, as of the last turn."""
        return self._short or self._shut

    @property
    def count(self) -> int:
        """How many tickets wait for room."""
        return len(self._held)

    @property
    def held(self) -> list[Waiting]:
        """The tickets that wait for room, oldest build first."""
        return [self._held[rank] for rank in sorted(self._held)]

    def look(self) -> None:
        """Begin a turn: whatever was seen of the disks is old."""
        self._rooms.clear()

    def hold(self, waiting: Waiting) -> None:
        """It waits for room from now on."""
        self._held[waiting.rank] = waiting

    def let_go(self, waiting: Waiting) -> bool:
        """It waits no more, for whatever cause; whether it did."""
        return self._held.pop(waiting.rank, None) is not None

    def released(self) -> list[Waiting]:
        """Those for which there is room now, all of them together; they wait no more."""
        waiting = self.held
        places = [_place(one.ticket) for one in waiting]
        found = []
        for place in dict.fromkeys(places):
            these = [one for one, where in zip(waiting, places, strict=True) if where == place]
            room = self._room(place, these[0].ticket.space)
            needs = [need(one.ticket.space) if one.ticket.space else 0 for one in these]
            fits = [True] * len(these) if room is None else fitting(needs, room)
            found += [one for one, fit in zip(these, fits, strict=True) if fit]
        for one in found:
            del self._held[one.rank]
        return found

    def fits(self, ticket: Ticket) -> bool:
        """Whether it could start if it were next."""
        room = self._room(_place(ticket), ticket.space)
        return room is None or ticket.space is None or need(ticket.space) <= room

    def take(self, ticket: Ticket) -> bool:
        """Promise a task what it needs, if there is as much beside what was promised to others."""
        if not self.fits(ticket):
            return False
        if ticket.space and (place := _place(ticket)) is not None:
            wanted = need(ticket.space)
            if (room := self._rooms[place]) is not None:
                self._rooms[place] = room - wanted
            self._running[ticket.task] = place, wanted, ()
        return True

    def begin(self, ticket: Ticket) -> None:
        """A task that was promised room runs: what its outputs hold already counts as written."""
        if known := self._running.get(ticket.task):
            self._running[ticket.task] = *known[:2], tuple(ticket.outputs.values())

    def end(self, task: str) -> None:
        """It runs no more."""
        self._running.pop(task, None)

    def lack(self, ticket: Ticket) -> Shortage | None:
        """What it lacks even if nothing else runs."""
        return shortage(ticket.space, self._free)

    def admits(self, folder: Path) -> bool:
        """Whether a new video may come to `folder`: its records are all that it takes at first."""
        before, self._shut = self.short, shortage(Space(folder, 0), self._free)
        self._tell(before)
        return self._shut is None

    def sum_up(self, *, tell: bool) -> None:
        """End a turn: what the first ticket lacks that waits for more than others to end; `tell` has the log say it."""
        lacks = (self.lack(one.ticket) for one in self.held)
        before, self._short = self.short, next((lack for lack in lacks if lack), None)
        if tell:
            self._tell(before)

    def _tell(self, before: Shortage | None) -> None:
        if self.short and not before:
            log.warning("%s; it goes on by itself once there is, `dubd clean` makes some", self.short)
        elif before and not self.short:
            log.warning("there is room on %s again: it goes on", before.folder)

    def _room(self, place: int | None, space: Space | None) -> int | None:
        """Bytes of a file system that may still be promised in this turn; None where nothing is to be counted."""
        if place is None or space is None:
            return None
        if place not in self._rooms:
            try:
                self._rooms[place] = self._free(space.folder) - RESERVE - self._unfinished(place)
            except OSError:
                self._rooms[place] = None
        return self._rooms[place]

    def _unfinished(self, place: int) -> int:
        """Bytes that running tasks were promised and have not written yet."""
        mine = [(wanted, outputs) for where, wanted, outputs in self._running.values() if where == place]
        return sum(max(0, wanted - sum(map(_taken, outputs))) for wanted, outputs in mine)


def _place(ticket: Ticket) -> int | None:
    """The file system that a task writes to; None where it needs none, or its folder is gone."""
    with suppress(OSError):
        return ticket.space.folder.stat().st_dev if ticket.space else None
    return None


def _size(path: str) -> int:
    with suppress(OSError):
        return os.stat(path).st_size
    return 0


def _taken(path: str) -> int:
    with suppress(OSError):
        return os.stat(path).st_blocks * 512
    return 0
