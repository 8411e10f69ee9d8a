"""What every command prints with: colour on a terminal, plain lines elsewhere, JSON where asked."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from dubd.cli.printable import printable, printable_json
from dubd.errors import DubdError

if TYPE_CHECKING:
    from rich.console import Console


def console() -> Console:
    """Standard output; into a pipe it is wide, unless $COLUMNS says otherwise."""
    from rich.console import Console

    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit():
        return Console(highlight=False)
    return Console(highlight=False, soft_wrap=True, width=200)


def say(text: str, style: str = "") -> None:
    """One line on standard output, coloured on a terminal."""
    text = printable(text)
    if style and sys.stdout.isatty():
        console().print(text, style=style, markup=False, soft_wrap=True)
    else:
        print(text, flush=True)


def complain(error: DubdError) -> None:
    """One line a fault on standard error; the remedy stands out on a terminal."""
    if "JOURNAL_STREAM" in os.environ:  # what reads it knows more of dubd than every command has to load
        from dubd.cli import journal

        if journal.reads(sys.stderr):
            journal.fault(error)
            return
    for each in error.each():
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.text import Text

            head = printable(str(DubdError(each.reason, file=each.file, stage=each.stage)))
            remedy = printable(f"; {each.remedy}" if each.remedy else "")
            line = Text.assemble(("dubd: ", "bold red"), head, (remedy, "cyan"))
            Console(stderr=True, highlight=False).print(line, soft_wrap=True)
        else:
            print(printable(f"dubd: {each}"), file=sys.stderr, flush=True)


def show_json(data: Any, *, line: bool = False) -> None:
    """One JSON document, or one JSON line."""
    text = json.dumps(data, ensure_ascii=False, indent=None if line else 2)
    print(printable_json(text), flush=True)


def clock(seconds: float) -> str:
    """Seconds as a person reads them: 0.8 s, 42 s, 3:07, 1:02:03."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def many(number: int, of: str) -> str:
    """A count with its noun: 1 task, 3 tasks."""
    return f"{number:,} {of}" if number == 1 else f"{number:,} {of}s"


def name_in(task: str) -> str:
    """A task's name without its video: `plan:<video>` -> plan, `<video>:000/speak` -> 000/speak."""
    group, _, name = task.partition(":")
    return "plan" if group == "plan" else name or task
