"""What a person sees while videos are built: bars on a terminal, lines elsewhere, JSON lines where asked."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from dubd.cli.console import clock, complain, name_in, say, show_json
from dubd.cli.course import Course
from dubd.cli.printable import printable
from dubd.errors import DubdError
from dubd.graph.build import Event
from dubd.graph.lips import Shares, said

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from dubd.graph.dubbed import Dubbed

_REMARKS = 3  # of a report, in full where a video's end is told
_EVERY = 5.0  # s between two progress lines of one video where no bar can be drawn


class Board:
    """Plain lines; the other boards say the same in another form. `know` is told a video's tasks by its owner."""

    def __init__(self) -> None:
        self.courses: dict[Path, Course] = {}
        self._last: dict[Path, float] = {}
        self._waits: dict[Path, set[str]] = {}

    def __enter__(self) -> Board:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def know(self, folder: Path, stages: dict[str, str]) -> None:
        """The stage of each task of a video."""
        self.courses.setdefault(folder, Course()).know(stages)

    def hear(self, folder: Path, event: Event) -> None:
        """Show an event of a video."""
        course = self.courses.setdefault(folder, Course())
        course.hear(event)
        self.show(folder, course, event)

    def show(self, folder: Path, course: Course, event: Event) -> None:
        """One line for each task that ran or failed, and now and then one for a long task's progress."""
        name = name_in(event.task)
        if event.state == "ran":
            self.line(f"{folder.name} {name}: {clock(event.seconds)}, {event.why}{_forecast(course)}")
        elif event.state == "failed" and event.error:
            self.fault(event.error)
        elif event.state == "waits" and event.error:
            self.waits(folder, event.error)
        elif (
            event.state == "progress"
            and event.fraction < 1
            and time.monotonic() - self._last.get(folder, 0.0) >= _EVERY
        ):
            self.line(f"{folder.name} {name}: {event.fraction:.0%} done{_forecast(course)}")
        else:
            return
        self._last[folder] = time.monotonic()

    def line(self, text: str, style: str = "") -> None:
        """A line of its own."""
        say(text, style)

    def warn(self, text: str) -> None:
        """A line that must be seen, wherever the output goes."""
        self.line(text, "bold yellow")

    def fault(self, error: DubdError) -> None:
        """A fault that belongs to no task."""
        complain(error)

    def waits(self, folder: Path, error: DubdError) -> None:
        """Tasks of a video wait for a model: once for all of a stage."""
        told = self._waits.setdefault(folder, set())
        if str(error) not in told:
            told.add(str(error))
            self.fault(error)

    def over(self, folder: Path) -> None:
        """A build has ended, whatever was told of it: nothing is kept of the video."""
        self.courses.pop(folder, None)
        self._last.pop(folder, None)
        self._waits.pop(folder, None)

    def waiting(self, folder: Path, errors: Sequence[DubdError], seconds: float) -> None:  # noqa: ARG002
        """What could be made of a video is made, the rest waits for models; each was told when it was reached."""
        self.courses.pop(folder, None)
        self._waits.pop(folder, None)
        self.line(f"{folder.name}: not finished, it waits for models ({clock(seconds)}); the rest is kept", "yellow")

    def built(self, folder: Path, dubbed: Dubbed, seconds: float) -> None:
        """A video is done."""
        self.courses.pop(folder, None)
        for file in dubbed.files:
            self.line(f"{file} ({clock(seconds)}){changed(file, dubbed.lips)}", "bold green")
        for remark in shortly(dubbed.remarks, folder.name):
            self.line(f"{folder.name}: {remark}", "yellow")

    def current(self, folder: Path, dubbed: Dubbed, seconds: float) -> None:  # noqa: ARG002
        """A video was found up to date."""
        self.courses.pop(folder, None)
        for file in dubbed.files:
            self.line(f"up to date: {file}{changed(file, dubbed.lips)}")

    def failed(self, folder: Path, errors: Sequence[DubdError], seconds: float) -> None:
        """A video could not be finished; each error was shown when it happened."""
        course = self.courses.pop(folder, None)
        if course and course.ran:
            many = f"{len(errors)} tasks" if len(errors) != 1 else "a task"
            self.line(f"{folder.name}: not finished, {many} failed ({clock(seconds)}); the rest is kept", "red")


class Lines(Board):
    """JSON, one object a line: the form that `dubd run --json` documents."""

    def show(self, folder: Path, course: Course, event: Event) -> None:  # noqa: ARG002
        """A line for each task that ran, was skipped or failed."""
        if event.state in ("ran", "skipped", "failed", "waits"):
            line: dict[str, Any] = {
                "video": folder.name,
                "task": event.task,
                "stage": event.stage,
                "state": event.state,
                "seconds": round(event.seconds, 3),
                "why": event.why,
                "error": event.error.to_json() if event.error else None,
            }
            show_json(line, line=True)

    def line(self, text: str, style: str = "") -> None:
        """Prose has no place between JSON lines."""

    def warn(self, text: str) -> None:
        """Beside the JSON lines."""
        print(printable(f"dubd: {text}"), file=sys.stderr, flush=True)

    def built(self, folder: Path, dubbed: Dubbed, seconds: float) -> None:
        """The video's own line: its task is the video."""
        self._close(folder, "done", seconds, dubbed)

    def current(self, folder: Path, dubbed: Dubbed, seconds: float) -> None:
        """The video's own line: it is done, though nothing ran."""
        self._close(folder, "done", seconds, dubbed)

    def waiting(self, folder: Path, errors: Sequence[DubdError], seconds: float) -> None:
        """The video's own line, with what it waits for first."""
        self._close(folder, "waiting", seconds, error=errors[0] if errors else None)

    def failed(self, folder: Path, errors: Sequence[DubdError], seconds: float) -> None:
        """The video's own line, with its first error."""
        self._close(folder, "failed", seconds, error=errors[0] if errors else None)

    def _close(
        self,
        folder: Path,
        state: str,
        seconds: float,
        dubbed: Dubbed | None = None,
        *,
        error: DubdError | None = None,
    ) -> None:
        line = {
            "video": folder.name,
            "task": folder.name,
            "stage": "video",
            "state": state,
            "seconds": round(seconds, 3),
            "files": [str(file) for file in dubbed.files] if dubbed else [],
            "lips": dict(dubbed.lips) if dubbed else {},
            "remarks": list(dubbed.remarks) if dubbed else [],
            "error": error.to_json() if error else None,
        }
        show_json(line, line=True)


class Bars(Board):
    """A bar for each video, with what it is at and when it will be done."""

    def __init__(self) -> None:
        super().__init__()
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

        self._bars: dict[Path, TaskID] = {}
        self._progress: Progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("[cyan]{task.fields[at]:<16}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            transient=True,
        )

    def __enter__(self) -> Board:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, folder: Path, course: Course, event: Event) -> None:
        """Move the bar; failures stay above it."""
        if event.state == "failed" and event.error:
            self.fault(event.error)
        elif event.state == "waits" and event.error:
            self.waits(folder, event.error)
        if folder not in self._bars:
            self._bars[folder] = self._progress.add_task(folder.name, total=1.0, at="", left="")
        left = course.remaining
        self._progress.update(
            self._bars[folder],
            completed=course.fraction,
            at=course.now_at,
            left=f"ETA {clock(left)}" if left is not None else "",
        )

    def line(self, text: str, style: str = "") -> None:
        """Above the bars."""
        self._progress.console.print(_plain(text), style=style or None, soft_wrap=True)

    def fault(self, error: DubdError) -> None:
        """Above the bars."""
        for each in error.each():
            self._progress.console.print(f"[bold red]dubd:[/] {_plain(str(each))}", soft_wrap=True)

    def built(self, folder: Path, dubbed: Dubbed, seconds: float) -> None:
        """The bar goes, the paths stay."""
        self._drop(folder)
        super().built(folder, dubbed, seconds)

    def current(self, folder: Path, dubbed: Dubbed, seconds: float) -> None:
        """The bar that skipped tasks have drawn goes."""
        self._drop(folder)
        super().current(folder, dubbed, seconds)

    def waiting(self, folder: Path, errors: Sequence[DubdError], seconds: float) -> None:
        """The bar goes."""
        self._drop(folder)
        super().waiting(folder, errors, seconds)

    def failed(self, folder: Path, errors: Sequence[DubdError], seconds: float) -> None:
        """The bar goes."""
        self._drop(folder)
        super().failed(folder, errors, seconds)

    def over(self, folder: Path) -> None:
        """The bar goes, also where there was nothing to say."""
        self._drop(folder)
        super().over(folder)

    def _drop(self, folder: Path) -> None:
        if folder in self._bars:
            self._progress.remove_task(self._bars.pop(folder))


def board(*, json: bool = False) -> Board:
    """The one that fits: JSON where asked, the journal's lines for it, bars on a terminal, plain lines elsewhere."""
    from dubd.cli import journal

    if json:
        return Lines()
    if journal.reads(sys.stdout):
        return journal.Journal()
    return Bars() if sys.stdout.isatty() else Board()


def changed(file: Path, lips: Mapping[str, Shares]) -> str:
    """What a dub's line says of its lips, from the comma on."""
    shares = lips.get(file.name.split(".")[1])
    return f", {said(shares)}" if shares else ""


def shortly(remarks: Sequence[str], video: str) -> list[str]:
    """The first remarks of a report, and where the others stand."""
    more = [f"and {len(remarks) - _REMARKS} remarks more: dubd report {video}"] if len(remarks) > _REMARKS else []
    return [*remarks[:_REMARKS], *more]


def _forecast(course: Course) -> str:
    left = course.remaining
    return f"; the video {course.fraction:.0%}, {clock(left)} to go" if left else ""


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(printable(text))
