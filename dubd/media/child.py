"""A running ffmpeg or ffprobe: bounded while it runs, reaped when it ends, and one line for how it failed."""

from __future__ import annotations

import re
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from dubd.errors import DubdError, Exit
from dubd.media import untrusted
from dubd.media.killed import require_alive

_LAST_LINES: Final = 40
_LONGEST_LINE: Final = 1 << 16  # bytes
_NO_SPACE: Final = ("No space left on device", "Disk quota exceeded")
_UNWRITTEN: Final = ("Error writing trailer", "Error closing file")  # with either, ffmpeg 5.1 still exits with 0
_OUR_OWN_EXIT: Final = re.compile(r"Conversion failed!|Error while (filtering|processing)|Exiting")
_SAYS_NOTHING: Final = "Invalid data found when processing input"
_ORIGIN: Final = re.compile(r"^\[[^\]]* @ 0x[0-9a-f]+\]\s*")
_NOT_TAKEN: Final = re.compile(r"^\[(\S+) @ 0x[0-9a-f]+\] Format not on whitelist")


class Child:
    """A running ffmpeg whose standard error is drained as it comes, so that no pipe ever fills up.

    With `seconds` it is killed after that time. One that is not fed by us has but so much memory.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        stage: str | None,
        file: Path | str,
        reads: bool = False,
        writes: bool = False,
        seconds: float | None = None,
    ) -> None:
        self._stage, self._file, self._command = stage, file, list(command)
        self._reads, self._writes, self._seconds = reads, writes, seconds
        self._late = False
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self.stdin: IO[bytes] | None = None
        self.stdout: IO[bytes] | None = None

    def __enter__(self) -> Child:
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE if self._writes else subprocess.DEVNULL,
                stdout=subprocess.PIPE if self._reads else subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        except FileNotFoundError as error:
            raise _not_installed(self._command[0]) from error
        if not self._writes:
            untrusted.confine(self._process.pid)
        self._timer = threading.Timer(self._seconds, self._give_up) if self._seconds else None
        if self._timer:
            self._timer.daemon = True
            self._timer.start()
        self.stdin, self.stdout = self._process.stdin, self._process.stdout
        self._drain = threading.Thread(target=self._read_errors, daemon=True)
        self._drain.start()
        return self

    def _read_errors(self) -> None:
        assert self._process.stderr
        while line := self._process.stderr.readline(_LONGEST_LINE):  # what does not end in time comes in pieces
            self._last.append(line.decode("utf-8", "replace").rstrip())

    def _give_up(self) -> None:
        self._late = True
        self._process.kill()

    def finish(self) -> None:
        """Wait for the end; DubdError where it was not a good one."""
        if self.stdin and not self.stdin.closed:
            with suppress(BrokenPipeError):  # its last words say why
                self.stdin.close()
        code = self.wait()
        if code == 0 and not self._said(*_UNWRITTEN):
            return
        if self._said(*_NO_SPACE):
            raise DubdError(
                "no space left on the disk",
                file=self._file,
                stage=self._stage,
                remedy="free some space and run again",
                exit=Exit.WORKSPACE,
            )
        reason = _last_meaning(self._last, self._file) or (
            f"{self._command[0]} was killed by signal {-code}" if code < 0 else f"{self._command[0]} ended with {code}"
        )
        raise DubdError(reason, file=self._file, stage=self._stage)

    def wait(self) -> int:
        """Its exit code, a good one or not. Errors: DubdError where it was ended, by us or by somebody else."""
        code = self._process.wait()
        self._drain.join()
        if self._late and code:
            raise DubdError(f"reading it did not end within {self._seconds:.0f} s", file=self._file, stage=self._stage)
        require_alive(code, self._command[0], file=self._file, stage=self._stage)
        return code

    def _said(self, *words: str) -> bool:
        return any(word in line for word in words for line in self._last)

    def __exit__(self, *_: object) -> None:
        if self._timer:
            self._timer.cancel()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self.stdin, self.stdout):
            if pipe and not pipe.closed:
                with suppress(BrokenPipeError):  # closing flushes, and nobody is left to read
                    pipe.close()
        self._drain.join()
        assert self._process.stderr
        self._process.stderr.close()


def _last_meaning(lines: Sequence[str] | deque[str], path: Path | str) -> str:
    """The last line that says what is wrong, without addresses in memory and without the path."""
    for line in lines:
        if refused := _NOT_TAKEN.match(line):
            return f"its content is {refused[1]}, which is not taken"
    told = [_ORIGIN.sub("", line).replace(f"file:{path}: ", "").strip() for line in lines]
    told = [line for line in told if line and not _OUR_OWN_EXIT.search(line)]
    if len(told) > 1 and told[-1] == _SAYS_NOTHING:
        return told[-2]
    return told[-1] if told else ""


def _not_installed(command: str) -> DubdError:
    return DubdError(f"{command} is not installed", remedy="apt install ffmpeg", exit=Exit.WORKSPACE)
