"""Who was promised how much of each GPU: leases that all dubd processes of the machine see, and that die with a holder.

A lease is a file that its holder keeps flock'ed, in a folder for each device; whoever can lock a file has found a
holder that died, and removes it. Records are read and written under the device's `mutex`, a flock too; the driver is
asked outside of it, so that a driver that hangs holds up nobody else.

Nothing is ever overcommitted: with `foreign` the memory of processes that hold no lease,
    promised + foreign + asked <= total - margin
at every admission. Foreign is what the driver says is in use less what the leases' holders have in that very reading,
for which only a lower bound will do. Where the driver tells use by process, that is the smaller of what it tells just
before and just after. Where it does not, it is what a holder said it has (`Lease.settled`) longer ago than the
driver's view can be old. What is not known to be ours counts as foreign: a fresh load is then counted twice until it
has shown, and so is, with either, the memory of a worker that just ended. That only makes us wait.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from dubd.schedule.gpu import Device, Gpu, GpuError

MARGIN = 512  # MiB left alone on every device: a CUDA context takes 300-400 (pytorch #20532), and it is nobody's lease
LAG = 3.0  # s: twice what ollama finds an NVIDIA driver takes to show a change ("typical 0.5-1.5 s", server/sched.go)

_RECORD = 1024  # bytes; records have one length, so that each is written whole by one call
_WHAT = 200  # characters


@dataclass(frozen=True)
class Held:
    """One lease as others see it: `mib` promised, `allocated` what its holder is known to have, both MiB."""

    pid: int
    mib: int
    what: str
    since: float
    loading: bool
    allocated: int


@dataclass(frozen=True)
class View:
    """A device at one moment; all in MiB."""

    device: Device
    held: tuple[Held, ...]
    foreign: int
    margin: int
    used: int

    @property
    def promised(self) -> int:
        """What the leases may come to; a holder that has more than its lease counts with what it has."""
        return sum(max(held.mib, held.allocated) for held in self.held)

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

    def view(self, uuid: str) -> View:
        """The device as it is now. GpuError where the driver does not tell."""
        reading = self._read(uuid)
        with _mutex(self._place(uuid)) as place:
            return self._judge(reading, list(_live(place)))

    def views(self) -> list[View | GpuError]:
        """Every device as it is now, in the driver's order, or why it cannot be told."""
        found: list[View | GpuError] = []
        for device in self.gpu.devices():
            try:
                found.append(self.view(device.uuid))
            except GpuError as error:
                found.append(error)
        return found

    def take(self, uuid: str, mib: int, what: str) -> Lease | None:
        """A lease, or None: there is no room now, or another load is under way on that device.

        `what` says who asks and for what, for status. ValueError where the device could never have so much room;
        GpuError where the driver does not tell; OSError where the record cannot be written.
        """
        reading = self._read(uuid)
        if not 0 < mib <= reading.device.total - self.margin:
            raise ValueError(f"{mib} MiB of a device where at most {reading.device.total - self.margin} can be leased")
        with _mutex(self._place(uuid)) as place:
            view = self._judge(reading, list(_live(place)))
            if view.loading or mib > view.free:
                return None
            return Lease(
                place, uuid, _Record(os.getpid(), _pid_space(), mib, what[:_WHAT], self._now()), self._now, self._lag
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

    def _judge(self, reading: _Reading, records: list[_Record]) -> View:
        """Set a reading against the records. They are read after it: a holder tells before it gives memory back."""
        held, ours = [], 0
        unclaimed = dict(reading.processes or {})
        space = _pid_space()
        last = {record.pid: index for index, record in enumerate(records)}
        for index, record in enumerate(records):
            if reading.processes is not None and record.space == space:
                has = unclaimed.get(record.pid, 0)
                own = has if last[record.pid] == index else min(has, record.mib)  # a process with several leases
                unclaimed[record.pid] = has - own
            else:
                own = record.surely(reading.moment - self._lag)
            ours += own
            has_now = max(own, record.settled[-1][0] if record.settled else 0)
            held.append(Held(record.pid, record.mib, record.what, record.since, not record.settled, has_now))
        return View(reading.device, tuple(held), max(0, reading.used - ours), self.margin, reading.used)


class Lease:
    """So many MiB of a device, promised to whoever holds this open file. Use with `with`, or hand it to a worker.

    The lock belongs to the open file description: a process that was given the descriptor (pass_fds, SCM_RIGHTS) holds
    the lease as much as we do, and goes on holding it when we close ours or die. A plain fork gives a copy away too.
    """

    def __init__(self, place: Path, uuid: str, record: _Record, now: Callable[[], float], lag: float) -> None:
        """For `Ledger.take`, which holds the mutex. OSError where the record cannot be written."""
        self.uuid, self.mib, self.what = uuid, record.mib, record.what
        self._now, self._lag = now, lag
        self._path = place / f"{secrets.token_hex(8)}.lease"
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o660)
        try:
            os.fchmod(self._fd, 0o660)  # the umask is not asked: who may use the folder may use the ledger
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            record.write(self._fd)
        except BaseException:
            os.unlink(self._path)
            os.close(self._fd)
            raise

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def fileno(self) -> int:
        """The descriptor to hand on. ValueError once it is closed."""
        if self._fd < 0:
            raise ValueError("the lease is not held here any more")
        return self._fd

    def hand_to(self, pid: int) -> None:
        """Record the worker, as os.getpid() gives it in our own pid namespace, as the one whose memory this is for."""
        self._change(lambda record: replace(record, pid=pid))

    def settled(self, mib: int) -> None:
        """Say that the load is done and that the holder has at least `mib` MiB from now on, context included.

        Call it after taking more, and *before* giving back: what is said here is held against the driver's view
        where that does not tell whose memory is whose. Does nothing once the lease is gone.
        """
        now = self._now()
        self._change(lambda record: record.with_settled(mib, now, self._lag))

    def release(self) -> None:
        """Close our copy of the descriptor: the lease is now its worker's alone. Safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def close(self) -> None:
        """Give our hold back; the memory is free for others unless a worker was given the descriptor and lives."""
        with _mutex(self._path.parent):
            self.release()
            _open_held(self._path)

    def _change(self, how: Callable[[_Record], _Record]) -> None:
        with _mutex(self._path.parent):
            try:
                fd = os.open(self._path, os.O_RDWR)  # not ours: that may be closed, the worker holding its own
            except FileNotFoundError:
                return
            try:
                how(_Record.read(fd)).write(fd)
            finally:
                os.close(fd)


@dataclass(frozen=True)
class _Reading:
    """What the driver said: MiB in use, and at least so many by each process where it tells, not before `moment`."""

    device: Device
    moment: float
    used: int
    processes: Mapping[int, int] | None


@dataclass(frozen=True)
class _Record:
    """What a lease's file says: `space` the holder's pid namespace, `settled` what it has had (MiB) since when (s)."""

    pid: int
    space: int
    mib: int
    what: str
    since: float
    settled: tuple[tuple[int, float], ...] = ()

    def surely(self, moment: float) -> int:
        """MiB that the holder has had at `moment` and ever since: the least of what it said of that time."""
        known = max((index for index, (_, since) in enumerate(self.settled) if since <= moment), default=None)
        return 0 if known is None else min(mib for mib, _ in self.settled[known:])

    def with_settled(self, mib: int, now: float, lag: float) -> _Record:
        """Add what the holder has now, and forget what can not matter to any reading yet to come."""
        said = [*self.settled, (mib, now)]
        old = [index for index, (_, since) in enumerate(said) if since <= now - 2 * lag]
        return replace(self, settled=tuple(said[max(old, default=0) :][-_KEPT:]))

    def write(self, fd: int) -> None:
        text = json.dumps([self.pid, self.space, self.mib, self.what, self.since, self.settled])
        os.pwrite(fd, text.encode().ljust(_RECORD), 0)

    @classmethod
    def read(cls, fd: int) -> _Record:
        pid, space, mib, what, since, settled = json.loads(os.pread(fd, _RECORD, 0))
        return cls(pid, space, mib, what, since, tuple((mib, since) for mib, since in settled))


_KEPT = 16  # settled amounts


def _live(place: Path) -> Iterator[_Record]:
    """The records of leases that someone holds; those that nobody holds are removed."""
    for entry in sorted(os.listdir(place)):
        if entry.endswith(".lease") and (record := _open_held(place / entry)):
            yield record


def _open_held(path: Path) -> _Record | None:
    """The record of a lease that someone holds, None where nobody does: it is then removed. Under the mutex."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        os.unlink(path)
        return None
    except BlockingIOError:
        return _Record.read(fd)
    finally:
        os.close(fd)


def _pid_space() -> int:
    """Which pid namespace ours is: a pid of another one means another process."""
    return os.stat("/proc/self/ns/pid").st_ino


@contextmanager
def _mutex(place: Path) -> Iterator[Path]:
    place.mkdir(parents=True, exist_ok=True)
    fd = os.open(place / "mutex", os.O_RDWR | os.O_CREAT, 0o660)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield place
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)  # a child forked meanwhile has a copy of the descriptor
        os.close(fd)
