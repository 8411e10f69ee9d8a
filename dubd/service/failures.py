"""What became of what failed: told once, tried again after a while where time may mend it, said beside the drop."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from dubd.errors import DubdError, Exit
from dubd.service import error_file


class Failures:
    """Kept by the daemon, by drop or by video's folder. Times are those of `now`, in seconds."""

    def __init__(self, inbox: Path, now: Callable[[], float]) -> None:
        self._inbox = inbox
        self._now = now
        self._told: dict[Path, str] = {}
        self._rules: set[Path] = set()  # what failed for its rule's sake
        self._later: dict[Path, float] = {}
        self._soon: set[Path] = set()  # those of `_later` that need nobody's help

    def news(self, path: Path, errors: Sequence[DubdError]) -> bool:
        """Whether these were not the last faults that were told of `path`."""
        text = "\n".join(sorted(map(str, errors)))
        fresh = self._told.get(path) != text
        self._told[path] = text
        self._rules.discard(path)
        if any(error.exit == Exit.RULE for error in errors):
            self._rules.add(path)
        return fresh

    def stays(self, path: Path) -> bool:
        """Whether `path` failed of something that no other file of the rules folder can mend."""
        return path in self._told and path not in self._rules

    def told(self, path: Path, error: DubdError) -> bool:
        """Whether `error` is among the last faults that were told of `path`."""
        return str(error) in self._told.get(path, "").splitlines()

    def forget(self, path: Path) -> None:
        """It went well, or a hand has changed something: whoever did it wants to hear."""
        self._told.pop(path, None)
        self._rules.discard(path)

    def gone(self, path: Path) -> None:
        """The drop or the folder is there no more."""
        self.forget(path)
        self.at_once(path)

    def later(self, path: Path, seconds: float, *, soon: bool = False) -> None:
        """Try it again by itself; `soon` where nobody's help is needed."""
        self._later[path] = self._now() + seconds
        if soon:
            self._soon.add(path)

    def at_once(self, path: Path) -> None:
        """Nothing is waited for any more."""
        self._later.pop(path, None)
        self._soon.discard(path)

    def due(self) -> list[Path]:
        """What is to be tried again now; each is named once."""
        found = [path for path, when in self._later.items() if when <= self._now()]
        for path in found:
            self.at_once(path)
        return found

    def waits(self, path: Path) -> bool:
        """Whether it is tried again by itself, but not yet."""
        return path in self._later

    @property
    def next(self) -> float | None:
        """When the next one is due."""
        return min(self._later.values(), default=None)

    @property
    def soon(self) -> bool:
        """Whether something mends itself without anybody's help."""
        return bool(self._soon)

    def beside(self, drop: Path, errors: Sequence[DubdError], retry: str = "") -> None:
        """Say it in `<name>.error.txt`; `retry` is the video, where there is one."""
        if drop.is_relative_to(self._inbox):
            error_file.write(drop, self._inbox, errors, retry or shlex.quote(str(drop)))

    def said(self, drop: Path) -> bool:
        """Whether there is a `<name>.error.txt`."""
        return drop.is_relative_to(self._inbox) and error_file.since(drop, self._inbox) is not None

    def mended(self, drop: Path) -> None:
        """Take `<name>.error.txt` away."""
        if drop.is_relative_to(self._inbox):
            error_file.remove(drop, self._inbox)
