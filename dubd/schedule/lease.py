"""One lease: so many MiB of a device, as a file that lives no longer than the processes that hold it.

The holder keeps the file flock'ed. Whoever can lock it has found that nobody holds it any more, and removes it. All
that is done to the files of a device is done under the flock of its `mutex`.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType

from dubd.schedule.gpu import GpuError

_RECORD = 2048  # bytes; records have one length, so that each is written whole by one call
_WHAT = 100  # characters of `what`: at most twelve bytes each, as JSON escapes them
_STEPS = 8  # settled amounts that are told apart within a lag


@dataclass(frozen=True)
class Record:
    """What a lease's file says.

    `space` is the pid namespace that `pid` counts in, `settled` how many MiB the holder said it has, from when (s) on.
    """

    pid: int
    space: int
    mib: int
    what: str
    since: float
    settled: tuple[tuple[int, float], ...] = ()

    def surely(self, moment: float) -> int:
        """MiB that the holder had at `moment` (s) and ever since: the least of what it said of that time."""
        known = max((index for index, (_, since) in enumerate(self.settled) if since <= moment), default=None)
        return 0 if known is None else min(mib for mib, _ in self.settled[known:])

    def now_has(self, mib: int, now: float, lag: float) -> Record:
        """Add what the holder has now. Forgotten is only what makes `surely` too small, or is two lags old."""
        said = list(self.settled)
        if len(said) > 1 and now - said[-2][1] < lag / _STEPS:
            (low, since), (last, _) = said[-2:]
            said[-2:] = [(min(low, last), since)]
        said.append((mib, now))
        old = [index for index, (_, since) in enumerate(said) if since <= now - 2 * lag]
        return replace(self, settled=tuple(said[max(old, default=0) :]))

    def write(self, fd: int) -> None:
        """Put it in place of what the file says. OSError."""
        os.pwrite(fd, json.dumps(asdict(self)).encode().ljust(_RECORD), 0)

    @classmethod
    def read(cls, fd: int) -> Record:
        """What the file says. GpuError where that is no record: the memory it stands for cannot be told."""
        return _parsed(os.pread(fd, _RECORD, 0))


@functools.lru_cache(maxsize=512)  # every look reads all records, and few have changed
def _parsed(text: bytes) -> Record:
    try:
        found = json.loads(text)
        return Record(**{**found, "settled": tuple((int(mib), float(since)) for mib, since in found["settled"])})
    except (ValueError, TypeError, KeyError) as error:
        raise GpuError(f"a lease that is held cannot be read: {text[:80]!r}") from error


class Lease:
    """So many MiB of a device, promised to whoever holds this open file. Use with `with`, or hand it to a worker.

    The lock belongs to the open file description: a process that was given the descriptor (pass_fds, SCM_RIGHTS) holds
    the lease as much as we do, and goes on holding it when we close ours or die. A plain fork gives a copy away too.
    """

    def __init__(self, place: Path, uuid: str, record: Record, now: Callable[[], float], lag: float) -> None:
        """For `Ledger.take`, which holds the mutex of `place`. OSError where the record cannot be written."""
        record = replace(record, what=record.what[:_WHAT])
        self.uuid, self.mib, self.what = uuid, record.mib, record.what
        self._now, self._lag = now, lag
        self._path = place / f"{secrets.token_hex(8)}.lease"
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            _share(self._path, place)
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
        """Record whose memory this is for: the worker's pid, as we count pids."""
        self._change(lambda record: replace(record, pid=pid, space=pid_space()))

    def settled(self, mib: int) -> None:
        """Say that the load is done, and that the holder has at least `mib` MiB (context included) from now on.

        Call it after taking more, and *before* giving back: where the driver does not tell whose memory is whose,
        what is said here is what tells ours from others'. Does nothing once the lease is gone.
        """
        now = self._now()
        self._change(lambda record: record.now_has(mib, now, self._lag))

    def release(self) -> None:
        """Close our copy of the descriptor: the lease is now its worker's alone. Safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def close(self) -> None:
        """Give our hold back; the room is free for others unless a worker was given the descriptor and lives."""
        try:
            with mutex(self._path.parent):
                self.release()
                held(self._path)
        finally:
            self.release()

    def _change(self, how: Callable[[Record], Record]) -> None:
        with mutex(self._path.parent):
            try:
                fd = os.open(self._path, os.O_RDWR)  # not ours: that may be closed, the worker holding its own
            except FileNotFoundError:
                return
            try:
                how(Record.read(fd)).write(fd)
            finally:
                os.close(fd)


def live(place: Path) -> list[Record]:
    """The records of the leases that someone holds, oldest first; the others are removed. Under the mutex. GpuError."""
    found = [held(f"{place}/{entry}") for entry in os.listdir(place) if entry.endswith(".lease")]
    return sorted((record for record in found if record), key=lambda record: record.since)


def held(path: Path | str) -> Record | None:
    """The record of a lease that someone holds. None where nobody does: it is removed. Under the mutex. GpuError."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return Record.read(fd)
    else:
        with contextlib.suppress(PermissionError):  # a user who may look but not touch
            os.unlink(path)
        return None
    finally:
        os.close(fd)


def pid_space() -> int:
    """Which pid namespace ours is: the same pid in another one is another process. 0 where the kernel has none."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


@contextlib.contextmanager
def mutex(place: Path) -> Iterator[Path]:
    """Nobody else reads or changes the leases in this folder, which is made where it is not there. OSError."""
    try:
        fd = os.open(place / "mutex", os.O_RDONLY)
    except FileNotFoundError:
        fd = _first(place)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield place
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)  # a child that is forked meanwhile has a copy of the descriptor
        os.close(fd)


def _first(place: Path) -> int:
    place.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # a cleaner may have taken it
    for folder in (place.parent, place):
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            _share(folder, folder.parent)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(place / "mutex", os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o600))
        _share(place / "mutex", place)
    return os.open(place / "mutex", os.O_RDONLY)


def _share(path: Path, parent: Path) -> None:
    """Give what we made the group and the permissions of its folder: who may use the folder may use the ledger."""
    like = parent.stat()
    with contextlib.suppress(PermissionError):  # a group that we are not of: then it is for its owner alone
        os.chown(path, -1, like.st_gid)
        mode = stat.S_IMODE(like.st_mode)
        path.chmod(mode if path.is_dir() else mode & 0o666)
