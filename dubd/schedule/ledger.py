"""Who was promised how much of each GPU: leases that all dubd processes of the machine see, and that die with a holder.

A lease is a file in the device's folder, `vram/<uuid>/` (lease.py). The driver is asked before that folder's mutex is
taken, so that a driver that hangs holds up nobody else.

Nothing is ever overcommitted: with `foreign` the memory of processes that hold no lease,
    promised + foreign + asked <= total - margin
at every admission. Foreign is what the driver says is in use less what the leases' holders have in that very reading,
for which only a lower bound will do. Where the driver tells use by process, that is the smaller of what it tells just
before and just after. Where it does not, it is what a holder said it has (`Lease.settled`) longer ago than the
driver's view can be old. What is not known to be ours counts as foreign: a fresh load is then counted twice until it
has shown, and so is, with either, the memory of a worker that just ended. That only makes us wait.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dubd.schedule import lease
from dubd.schedule.gpu import Device, Gpu, GpuError
from dubd.schedule.lease import Lease, Record

__all__ = ["LAG", "MARGIN", "Held", "Lease", "Ledger", "View", "promised"]

MARGIN = 512  # MiB left alone on every device: a CUDA context takes 300-400 (pytorch #20532), and it is nobody's lease
LAG = 3.0  # s: twice what ollama finds an NVIDIA driver takes to show a change ("typical 0.5-1.5 s", server/sched.go)


@dataclass(frozen=True)
class Held:
    """One lease as others see it: `mib` promised, `allocated` what its holder is known to have, both MiB."""

    pid: int
    mib: int
    what: str
    since: float
    loading: bool
    allocated: int

    @property
    def counts(self) -> int:
        """MiB that nobody else may have: its lease, or what it has where that is more."""
        return max(self.mib, self.allocated)


def promised(leases: Iterable[Held]) -> int:
    """What they may come to, in MiB."""
    return sum(held.counts for held in leases)


@dataclass(frozen=True)
class View:
    """A device at one moment; all in MiB. `exact`: the driver tells by process whose memory it is."""

    device: Device
    held: tuple[Held, ...]
    foreign: int
    margin: int
    used: int
    exact: bool = False

    @property
    def promised(self) -> int:
        """What the leases may come to."""
        return promised(self.held)

    @property
    def free(self) -> int:
        """What can be leased now."""
        return max(0, self.largest - self.foreign - self.promised)

    @property
    def largest(self) -> int:
        """What can ever be leased."""
        return self.device.total - self.margin

    @property
    def loading(self) -> bool:
        """Whether a holder has yet to say that its load is done: no other lease is given meanwhile."""
        return any(held.loading for held in self.held)


class Ledger:
    """The leases of all devices of `gpu`, in `folder`. Any thread and any process may use it at any time.

    `margin` (MiB) is never promised; `lag` (s) is how old the driver's view may be; `now` is
    one clock for all processes.
    """

    def __init__(
        self,
        folder: Path,
        gpu: Gpu,
        *,
        margin: int = MARGIN,
        lag: float = LAG,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.gpu, self.margin = gpu, margin
        self._folder, self._lag, self._now = folder / "vram", lag, now
        folder.mkdir(parents=True, exist_ok=True)

    def view(self, uuid: str) -> View:
        """The device as it is now. GpuError where the driver does not tell."""
        reading = self._read(uuid)
        with lease.mutex(self._place(uuid)) as place:
            return self._judge(reading, lease.live(place))

    def held(self, uuid: str) -> tuple[Held, ...]:
        """The leases alone, with what their holders say they have: also where the driver does not tell. GpuError."""
        with lease.mutex(self._place(uuid)) as place:
            return tuple(_held(record) for record in lease.live(place))

    def take(self, uuid: str, mib: int, what: str) -> Lease | None:
        """A lease, or None: there is no room now, or another load is under way on that device.

        `what` says who asks and for what, for status. ValueError where the device could never have so much room;
        GpuError where the driver does not tell; OSError where the record cannot be written.
        """
        reading = self._read(uuid)
        if not 0 < mib <= reading.device.total - self.margin:
            raise ValueError(f"{mib} MiB of a device where at most {reading.device.total - self.margin} can be leased")
        with lease.mutex(self._place(uuid)) as place:
            view = self._judge(reading, lease.live(place))
            if view.loading or mib > view.free:
                return None
            return Lease(
                place, uuid, Record(os.getpid(), lease.pid_space(), mib, what, self._now()), self._now, self._lag
            )

    def watch(self, uuid: str, mib: int, seconds: float = 5.0, every: float = 0.25) -> View:
        """Look until there is room for a load of `mib`, at most for `seconds`; the view that was last had. GpuError.

        For a caller that ended workers to make room: the driver shows their memory as free only after a while.
        """
        until = self._now() + seconds
        while True:
            view = self.view(uuid)
            if (view.free >= mib and not view.loading) or self._now() >= until:
                return view
            time.sleep(every)

    def _place(self, uuid: str) -> Path:
        return self._folder / uuid.replace("/", "_")  # older drivers name MIG instances MIG-GPU-<uuid>/<n>/<m>

    def _read(self, uuid: str) -> _Reading:
        device = next((device for device in self.gpu.devices() if device.uuid == uuid), None)
        if device is None:
            raise GpuError(f"no GPU {uuid}")
        moment = self._now()
        before = self.gpu.processes(uuid)
        used = self.gpu.used(uuid)
        after = self.gpu.processes(uuid) if before is not None else None
        if before is None or after is None:
            return _Reading(device, moment, used, None)
        return _Reading(
            device, moment, used, {pid: min(mib, after[pid]) for pid, mib in before.items() if pid in after}
        )

    def _judge(self, reading: _Reading, records: list[Record]) -> View:
        """Set a reading against the records. They are read after it: a holder tells before it gives memory back."""
        held, ours = [], 0
        unclaimed = dict(reading.processes or {})
        space = lease.pid_space()
        last = {record.pid: index for index, record in enumerate(records) if record.space == space}
        for index, record in enumerate(records):
            if reading.processes is not None and record.space == space:
                has = unclaimed.get(record.pid, 0)
                own = has if last[record.pid] == index else min(has, record.mib)  # a process with several leases
                unclaimed[record.pid] = has - own
            else:
                own = record.surely(reading.moment - self._lag)
            ours += own
            held.append(_held(record, own))
        exact = reading.processes is not None and all(record.space == space for record in records)
        return View(reading.device, tuple(held), max(0, reading.used - ours), self.margin, reading.used, exact)


def _held(record: Record, seen: int = 0) -> Held:
    """A lease of which the driver shows so many MiB `seen` in use."""
    has = max(seen, record.settled[-1][0] if record.settled else 0)
    return Held(record.pid, record.mib, record.what, record.since, not record.settled, has)


@dataclass(frozen=True)
class _Reading:
    """What the driver said: MiB in use, and at least so many by each process where it tells, not before `moment`."""

    device: Device
    moment: float
    used: int
    processes: Mapping[int, int] | None
