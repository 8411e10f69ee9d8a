"""Run a foreign program to its end or its time limit: an argument list, a group of its own, its last words kept."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LINES: Final = 50  # of what it said last that are kept
_KEEPER: Final = Path(__file__).with_name("external_keep.py")
_TICK: Final = 1.0  # seconds between two words to whoever waits
_TAIL: Final = 1 << 16  # bytes of the log that are looked at
# Escape sequences (ECMA-48): titles and links up to their end, colours and moves of the cursor, and the short ones.
_SEQUENCE: Final = re.compile(
    r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]*(?:\x07|\x1b\\|\x9c)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-~]"
)
# Other control characters, ends of lines and paragraphs, and marks that turn the direction of writing.
_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
# Of our own interpreter: they would put our libraries before those of the other one.
_OURS: Final = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONSAFEPATH", "VIRTUAL_ENV", "GLIBC_TUNABLES")


@dataclass(frozen=True)
class Ended:
    """How a run ended: `reason` is empty where it ended well; `lines` are the last that it said."""

    reason: str
    lines: tuple[str, ...]

    @property
    def killed(self) -> bool:
        """By signal 9, as the kernel does where memory runs out: it may go well the next time."""
        return self.reason == f"was killed by signal {signal.SIGKILL.value}"

    @property
    def last(self) -> str:
        """What it said last, in short."""
        said = self.lines[-1] if self.lines else ""
        return said if len(said) <= 160 else f"{said[:157]}..."


def environment(python: str, more: Mapping[str, str]) -> dict[str, str]:
    """What the program finds: ours without our interpreter's, its own `bin` folder first on PATH, and `more`.

    An environment is not activated: ffmpeg and ninja that were installed into it are found by PATH.
    """
    environ = {name: value for name, value in os.environ.items() if name not in _OURS}
    if "/" in python:
        environ["PATH"] = os.pathsep.join((str(Path(python).parent), environ.get("PATH", os.defpath)))
    return {**environ, "PYTHONUNBUFFERED": "1", **more}  # unbuffered: else a run that is killed has said nothing


def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    seconds: float,
    tick: Callable[[], None] = lambda: None,
) -> Ended:
    """Run `argv` in `cwd` for at most `seconds`, all that it says into `log`; `tick` is called every few seconds.

    Nothing of it lives on afterwards, nor where this process is killed. Errors: none of the program's; OSError where no
    process can be started.
    """
    with log.open("wb") as words:
        keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_KEEPER), *argv],
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
            start_new_session=True,
        )
    try:
        reason = _reason(_answer(keeper, seconds, tick), seconds)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(keeper.pid, signal.SIGKILL)  # before it is reaped: its number is still its own
        for pipe in (keeper.stdin, keeper.stdout):
            if pipe:
                pipe.close()
        keeper.wait()
    return Ended(reason, last_lines(log))


def _answer(keeper: subprocess.Popen[bytes], seconds: float, tick: Callable[[], None]) -> str | None:
    """The keeper's line, empty where it was killed; None at the time limit."""
    assert keeper.stdout
    until = time.monotonic() + seconds
    waiting = select.poll()
    waiting.register(keeper.stdout, select.POLLIN)
    while (left := until - time.monotonic()) > 0:
        if waiting.poll(1000 * min(left, _TICK)):
            return keeper.stdout.readline().decode().strip()
        tick()
    return None


def _reason(answer: str | None, seconds: float) -> str:
    if answer is None:
        return f"was still running after {seconds:.0f} s, and was ended"
    if not re.fullmatch(r"-?\d+", answer):
        return answer or "was killed"
    code = int(answer)
    return "" if code == 0 else f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"


def last_lines(log: Path) -> tuple[str, ...]:
    """The last lines with something on them, as plain text; each state of a progress bar is a line."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL))
        text = file.read().decode("utf-8", "replace")
    lines = [_plain(line).strip() for line in re.split(r"[\r\n]+", text)]
    return tuple(line for line in lines if line)[-LINES:]


def _plain(line: str) -> str:
    """Without colours and the like, and without what else drives a terminal or hides text in a page."""
    return _UNSEEN.sub("", _SEQUENCE.sub("", line).replace("\t", " "))


@contextmanager
def alone(folder: Path, tick: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Wait until no other process is in here with the same folder."""
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                tick()
                time.sleep(0.2)
        yield
    finally:
        os.close(descriptor)
