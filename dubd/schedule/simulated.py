"""Cards that exist as a folder, for tests and benchmarks: processes allocate on them, run out and die as on real ones.

`devices.json` is a list of {"uuid", "name", "total"} (MiB) with, where wanted: "lag" (s: how late the driver shows what
changed), "processes": false (it tells no use by process, as in a container), "lost": true (it does not answer).
Beside it is a folder for each device with one flock'ed file for each allocation, which dies with its process.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from dubd.schedule.gpu import SIMULATED, Device, GpuError

_RECORD = 128  # bytes; records have one length, so that each is written whole by one call


class OutOfMemory(Exception):
    """An allocation that the card has no room for; sizes in MiB."""

    def __init__(self, asked: int, free: int) -> None:
        self.asked, self.free = asked, free
        super().__init__(f"out of memory: asked for {asked} MiB, {free} MiB are free")


def simulate(
    folder: Path, devices: Sequence[Device], *, lag: float = 0.0, processes: bool = True, lost: bool = False
) -> None:
    """Make or change the cards of a folder; allocations stay. Safe while others read."""
    folder.mkdir(parents=True, exist_ok=True)
    conduct = {"lag": lag, "processes": processes, "lost": lost}
    text = json.dumps([{"uuid": d.uuid, "name": d.name, "total": d.total, **conduct} for d in devices])
    part = folder / f".devices-{secrets.token_hex(4)}"
    part.write_text(text)
    part.replace(folder / "devices.json")


class Simulated:
    """The cards of a folder as a `Gpu`. `lag` (s) is for devices that name none of their own."""

    def __init__(self, folder: Path, lag: float = 0.0, now: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._lag, self._now = folder, lag, now
        self._file = folder / "devices.json"

    @property
    def why(self) -> str | None:
        """None, or that the folder holds no card, or what is wrong with the file that names them."""
        try:
            return None if self._cards() else f"no simulated GPU: {self._file} names none"
        except GpuError as error:
            return str(error)

    def devices(self) -> Sequence[Device]:
        """Those of devices.json, lost or not; () where it is wrong."""
        with suppress(GpuError):
            return [Device(card["uuid"], card["name"], int(card["total"])) for card in self._cards()]
        return ()

    def used(self, uuid: str) -> int:
        """MiB in use as of `lag` seconds ago. GpuError where the device is lost or unknown."""
        return sum(block.mib for block in self._seen(uuid, self._answer(uuid)))

    def processes(self, uuid: str) -> Mapping[int, int] | None:
        """MiB by pid as of `lag` seconds ago. GpuError as in `used`."""
        card = self._answer(uuid)
        if not card.get("processes", True):
            return None
        found: Counter[int] = Counter()
        for block in self._seen(uuid, card):
            found[block.pid] += block.mib
        return found

    def _cards(self) -> list[dict[str, Any]]:
        try:
            cards: list[dict[str, Any]] = json.loads(self._file.read_text(encoding="utf-8"))
            if all(isinstance(card["uuid"], str) and card["name"] and int(card["total"]) > 0 for card in cards):
                return cards
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, KeyError):
            pass
        remedy = f'write a list of {{"uuid", "name", "total"}} there, or unset {SIMULATED}'
        raise GpuError(f"no simulated GPU: {self._file} cannot be read; {remedy}")

    def _answer(self, uuid: str) -> dict[str, Any]:
        for card in self._cards():
            if card["uuid"] == uuid:
                if card.get("lost"):
                    raise GpuError("GPU is lost")
                return card
        raise GpuError(f"no GPU {uuid}")

    def _seen(self, uuid: str, card: dict[str, Any]) -> list[_Block]:
        lag = float(card.get("lag", self._lag))
        with _mutex(self._folder / uuid) as folder:
            moment = self._now() - lag
            return [b for b in _blocks(folder, self._now(), lag) if b.since <= moment and (b.ended or moment) >= moment]


class Allocation:
    """So many MiB of a simulated card, until closed or until the process ends. Use with `with`.

    OutOfMemory where the card has not that much free at this very moment, lag or not. `pid` stands for another process.
    """

    def __init__(
        self, folder: Path, uuid: str, mib: int, *, pid: int | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        total = next(device.total for device in Simulated(folder).devices() if device.uuid == uuid)
        self.mib, self._folder, self._now = mib, folder / uuid, now
        with _mutex(self._folder) as place:
            free = total - sum(block.mib for block in _blocks(place, now(), None) if block.ended is None)
            if mib > free:
                raise OutOfMemory(mib, free)
            self._path = place / f"{secrets.token_hex(8)}.block"
            self._block = _Block(pid or os.getpid(), mib, now(), None)
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            self._block.write(self._fd)

    def __enter__(self) -> Allocation:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the memory back; the driver goes on showing it for its lag. Safe to call twice."""
        if self._fd >= 0:
            with _mutex(self._folder):
                _Block(self._block.pid, self.mib, self._block.since, self._now()).write(self._fd)
                os.close(self._fd)
                self._fd = -1


@dataclass(frozen=True)
class _Block:
    """One allocation; `ended` (s) where it is over."""

    pid: int
    mib: int
    since: float
    ended: float | None

    def write(self, fd: int) -> None:
        os.pwrite(fd, json.dumps([self.pid, self.mib, self.since, self.ended]).ljust(_RECORD).encode(), 0)


def _blocks(folder: Path, now: float, lag: float | None) -> Iterator[_Block]:
    """All allocations, those that ended too; what ended over `lag` seconds ago is removed (None: nothing is)."""
    for entry in os.scandir(folder):
        if not entry.name.endswith(".block"):
            continue
        fd = os.open(entry.path, os.O_RDWR)
        try:
            block = _Block(*json.loads(os.pread(fd, _RECORD, 0)))
            if block.ended is None and _unheld(fd):
                block = _Block(block.pid, block.mib, block.since, now)  # its process died, at the latest now
                block.write(fd)
            if lag is not None and block.ended is not None and block.ended < now - lag:
                os.unlink(entry.path)
        finally:
            os.close(fd)
        yield block


def _unheld(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _mutex(folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    fd = os.open(folder / "mutex", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield folder
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)  # a child forked meanwhile has a copy of the descriptor
        os.close(fd)
