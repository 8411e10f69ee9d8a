"""What a person sees while models are loaded: a bar a file on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

from dubd.cli.console import clock, say
from dubd.errors import DubdError
from dubd.models.download import Listener
from dubd.models.store import bytes_of

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_EVERY = 5.0  # s between two lines of one file


class Loading(Listener):
    """Plain lines: when a file begins, now and then how far it is, and when it is here."""

    def __init__(self) -> None:
        self._size: int | None = None
        self._here = self._came = 0
        self._began = self._last = 0.0
        self._what = ""

    def __enter__(self) -> Loading:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def began(self, what: str, size: int | None, here: int) -> None:
        """See Listener."""
        self._what, self._size, self._here, self._came = what, size, here, 0
        self._began = self._last = time.monotonic()
        whole = bytes_of(size) if size is not None else "a size that the server does not tell"
        self.line(f"{what}: {whole}{f', {bytes_of(here)} of it are here already' if here else ''}")

    def moved(self, count: int) -> None:
        """See Listener."""
        self._here, self._came = self._here + count, self._came + count
        if (now := time.monotonic()) - self._last >= _EVERY:
            self._last = now
            pace = self._came / (now - self._began)
            of = f" of {bytes_of(self._size)}" if self._size else ""
            left = f", {clock((self._size - self._here) / pace)} to go" if self._size and pace else ""
            self.line(f"{self._what}: {bytes_of(self._here)}{of}, {bytes_of(round(pace))}/s{left}")

    def ended(self, what: str, size: int) -> None:
        """See Listener."""
        self.line(f"{what}: here, {bytes_of(size)}, checked", "green")

    def says(self, what: str, text: str) -> None:
        """See Listener."""
        self.line(f"{what}: {text}", "yellow")

    def line(self, text: str, style: str = "") -> None:
        """A line of its own."""
        say(text, style)

    def fault(self, error: DubdError) -> None:
        """A file that could not be had."""
        from dubd.cli.console import complain

        complain(error)


class Bars(Loading):
    """A bar for the file that comes; what is said and done stays above it."""

    def __init__(self) -> None:
        super().__init__()
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.progress import TransferSpeedColumn as Speed

        self._bar: TaskID | None = None
        self._progress: Progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            DownloadColumn(binary_units=True),
            Speed(),
            TimeRemainingColumn(),
            transient=True,
        )

    def __enter__(self) -> Loading:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def began(self, what: str, size: int | None, here: int) -> None:
        """See Listener."""
        self._drop()
        self._bar = self._progress.add_task(what, total=size, completed=here)

    def moved(self, count: int) -> None:
        """See Listener."""
        if self._bar is not None:
            self._progress.advance(self._bar, count)

    def ended(self, what: str, size: int) -> None:
        """See Listener."""
        self._drop()
        super().ended(what, size)

    def line(self, text: str, style: str = "") -> None:
        """Above the bar."""
        self._progress.console.print(text, style=style or None, markup=False, highlight=False, soft_wrap=True)

    def fault(self, error: DubdError) -> None:
        """Above the bar, which goes."""
        self._drop()
        self.line(f"dubd: {error}", "red")

    def _drop(self) -> None:
        if self._bar is not None:
            self._progress.remove_task(self._bar)
            self._bar = None


def loading() -> Loading:
    """The one that fits."""
    return Bars() if sys.stdout.isatty() else Loading()
