"""Translation memory: what was translated before, in whatever video, is not translated again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from dubd.engines.contract import Translation

_WAIT = 30.0  # s for another process to finish its write


class Memory:
    """A file of translations by key; use it in a `with`.

    Several processes may share the file. A damaged one is made anew, and one that cannot be
    opened or written is done without: a cache never fails a translation.
    """

    def __init__(self, folder: Path | None) -> None:
        self._path = folder / "translations.sqlite" if folder is not None else None
        self._base: sqlite3.Connection | None = None

    def __enter__(self) -> Memory:
        if self._path is not None:
            with contextlib.suppress(OSError, sqlite3.Error):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._base = _open(self._path)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._base is not None:
            self._base.close()

    def recall(self, keys: Iterable[str]) -> dict[str, Translation]:
        """What is known of `keys`."""
        found: dict[str, Translation] = {}
        for key in keys:
            if (text := self._value(key)) is not None:
                with contextlib.suppress(ValueError, TypeError, AttributeError):
                    value = json.loads(text)
                    value |= {name: tuple(value.get(name, ())) for name in ("alternatives", "scores", "missed")}
                    found[key] = Translation(**value)
        return found

    def learn(self, made: Mapping[str, Translation]) -> None:
        """Keep `made`, all or nothing."""
        rows = [(key, json.dumps(asdict(one))) for key, one in made.items()]
        if self._base is not None and rows:
            with contextlib.suppress(sqlite3.Error), self._base:
                self._base.executemany("insert or replace into translation values (?, ?)", rows)

    def _value(self, key: str) -> str | None:
        if self._base is None:
            return None
        try:
            row = self._base.execute("select value from translation where key = ?", (key,)).fetchone()
        except sqlite3.OperationalError:
            return None
        except sqlite3.DatabaseError:  # damaged inside, though it could be opened
            self._base.close()
            self._base = _anew(self._path) if self._path is not None else None
            return None
        return str(row[0]) if row else None


def key(*parts: Any) -> str:
    """The key of a translation: everything that may change it, as JSON values."""
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


def _open(path: Path) -> sqlite3.Connection:
    try:
        return _patiently(path)
    except sqlite3.OperationalError:  # a disk that cannot be written: not the file's fault
        raise
    except sqlite3.DatabaseError:
        made = _anew(path)
        if made is None:
            raise
        return made


def _patiently(path: Path) -> sqlite3.Connection:
    """Open the file; while another process makes it SQLite refuses at once, whatever the timeout says."""
    end = time.monotonic() + _WAIT
    while True:
        try:
            return _connected(path)
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.02)


def _anew(path: Path) -> sqlite3.Connection | None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    with contextlib.suppress(sqlite3.Error):
        return _connected(path)
    return None


def _connected(path: Path) -> sqlite3.Connection:
    base = sqlite3.connect(path, timeout=_WAIT)
    try:
        base.execute("pragma journal_mode = wal")
        base.execute("pragma synchronous = normal")
        base.execute("create table if not exists translation (key text primary key, value text) without rowid")
        base.commit()
    except sqlite3.Error:
        base.close()
        raise
    return base
