"""Lines as systemd's journal reads them from a stream: `<priority>` ahead (sd-daemon(3)), `key=value` behind."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from dubd.cli.board import Board
from dubd.cli.console import name_in
from dubd.cli.course import Course
from dubd.cli.printable import printable
from dubd.errors import DubdError
from dubd.graph.build import Event

if TYPE_CHECKING:
    from dubd.graph.dubbed import Dubbed

_ERROR, _WARNING, _NOTICE, _INFO = 3, 4, 5, 6  # syslog(3)
_PRIORITIES = {"red": _ERROR, "yellow": _WARNING, "bold yellow": _WARNING, "bold green": _NOTICE}


def reads(stream: TextIO) -> bool:
    """Whether the journal reads what is written there: $JOURNAL_STREAM names its device and inode (systemd.exec(5))."""
    try:
        stat = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{stat.st_dev}:{stat.st_ino}"


def fault(error: DubdError, of: Mapping[str, str] | None = None) -> None:
    """A line on standard error for each fault that it has, and of what."""
    for each in error.each():
        stage = {"stage": each.stage} if each.stage else {}
        _write(sys.stderr, _ERROR, str(each), {**(of or {}), **stage})


def _write(stream: TextIO, priority: int, text: str, of: Mapping[str, str]) -> None:
    tail = "".join(f" {key}={value}" for key, value in of.items())
    print(f"<{priority}>{printable(text + tail)}", file=stream, flush=True)


class Journal(Board):
    """The plain lines; those of a video, a task or a segment say so in words to search for."""

    def __init__(self) -> None:
        super().__init__()
        self._of: dict[str, str] = {}

    def show(self, folder: Path, course: Course, event: Event) -> None:
        """As on other boards."""
        segment, _, rest = name_in(event.task).partition("/")
        of = {"stage": event.stage, **({"segment": segment} if rest else {}), "state": event.state}
        with self._about(folder, **of, **({"seconds": f"{event.seconds:.3f}"} if event.state == "ran" else {})):
            super().show(folder, course, event)

    def line(self, text: str, style: str = "") -> None:
        """Its style is its priority."""
        _write(sys.stdout, _PRIORITIES.get(style, _INFO), text, self._of)

    def fault(self, error: DubdError) -> None:
        """As a line, with what it is of."""
        fault(error, self._of)

    def built(self, folder: Path, dubbed: Dubbed, seconds: float) -> None:
        """As on other boards."""
        with self._about(folder, state="done", seconds=f"{seconds:.3f}"):
            super().built(folder, dubbed, seconds)

    def current(self, folder: Path, dubbed: Dubbed, seconds: float) -> None:
        """As on other boards."""
        with self._about(folder, state="done"):
            super().current(folder, dubbed, seconds)

    def waiting(self, folder: Path, errors: Sequence[DubdError], seconds: float) -> None:
        """As on other boards."""
        with self._about(folder, state="waiting"):
            super().waiting(folder, errors, seconds)

    def failed(self, folder: Path, errors: Sequence[DubdError], seconds: float) -> None:
        """As on other boards."""
        with self._about(folder, state="failed"):
            super().failed(folder, errors, seconds)

    @contextmanager
    def _about(self, folder: Path, **of: str) -> Iterator[None]:
        self._of = {"video": folder.name, **of}
        try:
            yield
        finally:
            self._of = {}
