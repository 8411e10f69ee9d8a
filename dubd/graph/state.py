"""What was built, and with what: one sqlite file per video, behind doit's backend interface.

Every finished task is committed at once (doit alone writes at the end of a run and loses all to a kill).
Paths are stored relative to the video's folder, so the workspace may move and the daemon and a
hand-run `doit` see the same records from any current directory.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from dubd.errors import DubdError, Exit

FILE = ".state.sqlite"
LOCK = ".lock"
_TRIES, _PAUSE = 10, 0.01  # s

_SCHEMA = """
create table if not exists doit(task_id text primary key, task_data text) without rowid;
create table if not exists made(path text primary key, digests text, superseded text) without rowid;
create table if not exists run(
    task text primary key, state text, at real, seconds real, why text, error text, facts text) without rowid;
create table if not exists note(name text primary key, value text) without rowid;
"""
_RAN = """insert into run values(?,?,?,?,?,?,?) on conflict(task) do update set state=excluded.state, at=excluded.at,
    seconds=excluded.seconds, why=excluded.why, facts=excluded.facts"""


class State:
    """The state file of one video. The process that holds the video's lock writes records; a claim only notes."""

    def __init__(self, folder: Path, seen_as: str | None = None) -> None:
        """`seen_as` is the folder as the paths that will be asked for begin, where that differs."""
        self.folder = folder
        self._prefix = f"{seen_as or folder}{os.sep}"
        try:
            self._db = sqlite3.connect(folder / FILE, isolation_level=None, timeout=30, check_same_thread=False)
            self._db.execute("pragma journal_mode=wal")
            self._db.execute("pragma synchronous=normal")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise _fault(error, folder) from error
        self._rows: dict[str, dict[str, Any]] = {}
        self._dirty: set[str] = set()
        self._all_read = False
        self._made: dict[str, list[str]] | None = None

    def close(self) -> None:
        """Write what is left and let go of the file."""
        for task in list(self._dirty):
            self.flush(task)
        self._db.close()

    # Task records, as doit's Dependency asks for them.

    def row(self, task: str) -> dict[str, Any]:
        """The record of a task, empty where there is none. All records are read at the first call."""
        if not self._all_read:
            for name, data in self._read("select task_id, task_data from doit"):
                self._rows.setdefault(name, json.loads(data))
            self._all_read = True
        return self._rows.setdefault(task, {})

    def get(self, task: str, key: str) -> Any:
        """One entry of a record: a dependency's state, or one of doit's own (`deps:`, `_values_:`)."""
        value = self.row(task).get(self.relative(key))
        return [self.absolute(path) for path in value] if key == "deps:" and value else value

    def set(self, task: str, key: str, value: Any) -> None:
        """Change an entry; `flush` commits it."""
        if key == "deps:":
            value = sorted(self.relative(path) for path in value)
        self.row(task)[self.relative(key)] = value
        self._dirty.add(task)

    def flush(self, task: str) -> None:
        """Commit one task's record."""
        if task in self._dirty:
            self._write("insert or replace into doit values(?,?)", task, json.dumps(self._rows[task], sort_keys=True))
            self._dirty.discard(task)

    def remove(self, task: str) -> None:
        """Forget a task's record, in the file too."""
        if self.row(task):
            self._write("delete from doit where task_id=?", task)
        self._rows[task] = {}
        self._dirty.discard(task)

    def remove_all(self) -> None:
        """Forget every task."""
        self._write("delete from doit")
        self._rows.clear()
        self._dirty.clear()

    # What the machine made, so that a hand's work is known from it.

    def made(self, path: str) -> list[str]:
        """Digests of what the machine put at this path: the last one, and one more around a rename."""
        return list(self._known().get(self.relative(path), ()))

    def set_made(self, path: str, digests: list[str], superseded: str | None = None) -> None:
        """Remember what is the machine's own; `superseded` names the newer version beside a hand edit."""
        known, name = self._known(), self.relative(path)
        self._write("insert or replace into made values(?,?,?)", name, json.dumps(digests), superseded)
        known[name] = digests

    def all_made(self) -> Iterator[tuple[str, list[str], str | None]]:
        """(path relative to the folder, digests, name of a newer version beside it) of every artifact ever made."""
        for path, digests, superseded in self._read("select * from made order by path"):
            yield path, json.loads(digests), superseded

    def forget_made(self, path: str) -> None:
        """The artifact is gone for good."""
        self._write("delete from made where path=?", self.relative(path))
        self._known().pop(self.relative(path), None)

    def _known(self) -> dict[str, list[str]]:
        """All of them: asked for one by one they took a tenth of a build's time."""
        if self._made is None:
            rows = self._read("select path, digests from made")
            self._made = {path: json.loads(digests) for path, digests in rows}
        return self._made

    # How tasks went, for status and report.

    def ran(
        self, task: str, state: str, seconds: float, why: str, error: DubdError | None, facts: dict[str, Any]
    ) -> None:
        """The last run of a task: `running`, `ran` or `failed`. The same fault again keeps the time since when."""
        now = time.time()
        values = [task, state, now, round(seconds, 3), why, None, json.dumps(facts, sort_keys=True)]
        kept = ", error=run.error" if state == "running" else ", error=excluded.error"  # for the next fault
        if error:
            last = self._read("select error from run where task=?", task)
            fault = json.loads(last[0][0]) if last and last[0][0] else {}
            said = error.to_json()
            same = {key: value for key, value in fault.items() if key != "since"} == said
            values[5] = json.dumps(said | {"since": fault.get("since", now) if same else now})
        self._write(f"{_RAN}{kept}", *values)

    def runs(self) -> dict[str, dict[str, Any]]:
        """The last run of every task: state, at and since (unix times), seconds, why, error (or None), facts.

        `since` is when a fault came up first, with the same words; else it is `at`.
        """
        found = {}
        for task, state, at, seconds, why, error, facts in self._read("select * from run order by task"):
            fault = json.loads(error) if error and state == "failed" else None
            since = fault.pop("since", at) if fault else at
            told = {"state": state, "at": at, "since": since, "seconds": seconds, "why": why, "error": fault}
            found[task] = told | {"facts": json.loads(facts)}
        return found

    def forget_run(self, task: str) -> None:
        """The task is no part of the video any more."""
        self._write("delete from run where task=?", task)

    # Anything else worth a line.

    def note(self, name: str) -> Any:
        """A remembered JSON value, or None."""
        rows = self._read("select value from note where name=?", name)
        try:
            return json.loads(rows[0][0]) if rows else None
        except ValueError as error:
            raise _fault(error, self.folder) from error

    def set_note(self, name: str, value: Any) -> None:
        """Remember a JSON value; None forgets it."""
        if value is None:
            self._write("delete from note where name=?", name)
        else:
            self._write("insert or replace into note values(?,?)", name, json.dumps(value))

    def relative(self, path: str) -> str:
        """A path of this video as it is stored."""
        return path[len(self._prefix) :] if path.startswith(self._prefix) else path

    def absolute(self, path: str) -> str:
        """The inverse of `relative`; a path outside the folder is absolute in both."""
        return path if os.path.isabs(path) else f"{self._prefix}{path}"

    def _read(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise _fault(error, self.folder) from error

    def _write(self, statement: str, *values: Any) -> None:
        try:
            self._db.execute(statement, values)
        except sqlite3.Error as error:
            raise _fault(error, self.folder) from error


def noted(folder: Path, name: str) -> Any:
    """What is remembered of a video under a name, or None. Errors: DubdError where its records cannot be read."""
    state = State(folder)
    try:
        return state.note(name)
    finally:
        state.close()


class Shards:
    """doit's backend: `name` is the workspace, each task id leads to the state file of its video.

    Task ids are `<video>:<segment>/<stage>` and `plan:<video>`; a bare `<video>` is the group of them.
    """

    desc = "one sqlite file per video, one commit per finished task"

    def __init__(self, name: str, codec: object = None, *, module_name: str | None = None) -> None:
        del codec, module_name  # records are JSON, whoever asks
        self.name = name
        self._open: dict[str, State] = {}

    def shard(self, task: str) -> State | None:
        """The state of the video that a task belongs to; None for a name that is no video."""
        video, _, name = task.partition(":")
        video = name if video == "plan" else video
        if video not in self._open:
            folder = Path(os.path.join(self.name, video))
            if not folder.is_dir():
                return None
            self._open[video] = State(folder)
        return self._open[video]

    def get(self, task: str, key: str) -> Any:
        """See `State.get`."""
        return shard.get(task, key) if (shard := self.shard(task)) else None

    def set(self, task: str, key: str, value: Any) -> None:
        """See `State.set`; written at once when doit itself sets a lone mark (`doit ignore`)."""
        if shard := self.shard(task):
            shard.set(task, key, value)

    def in_(self, task: str) -> bool:
        """Is there a record?"""
        return bool((shard := self.shard(task)) and shard.row(task))

    def flush(self, task: str) -> None:
        """Commit one task's record."""
        if shard := self.shard(task):
            shard.flush(task)

    def remove(self, task: str) -> None:
        """Forget one task."""
        if shard := self.shard(task):
            shard.remove(task)

    def remove_all(self) -> None:
        """Forget the tasks of every video in the workspace."""
        for folder in sorted(Path(self.name).iterdir()):
            if (folder / FILE).exists() and (shard := self.shard(folder.name)):
                shard.remove_all()

    def dump(self) -> None:
        """Write what is left and close."""
        for shard in self._open.values():
            shard.close()
        self._open.clear()


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Hold the video's lock: one process builds a video at a time. DubdError (BUSY) names the owner."""
    try:
        lock = (folder / LOCK).open("a+")
    except OSError as error:
        raise DubdError(
            error.strerror or str(error), file=error.filename, remedy="make the workspace writable", exit=Exit.WORKSPACE
        ) from error
    with lock:
        if not taken(lock):
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            raise DubdError(
                f"is being built by process {owner}", file=folder.name, remedy="wait for it", exit=Exit.BUSY
            )
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def taken(lock: TextIO) -> bool:
    """Take a lock if nobody has it; one who only looks (see `owner`) has it for an instant, and is waited for."""
    for _ in range(_TRIES):
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(_PAUSE)
    return False


def owner(folder: Path) -> int | None:
    """The process that builds this video now, or None."""
    try:
        with (folder / LOCK).open("r+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                text = lock.read().strip()
                return int(text) if text.isdigit() else -1
    except OSError:
        return None
    return None


def locked_since(folder: Path) -> float:
    """Unix time at which the video was last taken for a build; 0 where it never was."""
    try:
        return (folder / LOCK).stat().st_mtime
    except OSError:
        return 0.0


def _fault(error: sqlite3.Error | ValueError, folder: Path) -> DubdError:
    full = "full" in str(error)
    return DubdError(
        "no space left on the disk" if full else f"the state file cannot be used: {error}",
        file=folder / FILE,
        remedy="free some space and run again" if full else "check the folder's permissions and disk",
        exit=Exit.WORKSPACE,
    )
