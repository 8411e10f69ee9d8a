"""A program that was killed: no fault of what it was given, so its task is worth another try."""

from __future__ import annotations

import signal

from dubd.errors import DubdError

MEANS = "as the kernel does where memory runs out"
_BY_SHELL = 128 + signal.SIGKILL  # how a shell tells that its last command was killed (sh(1), exit status)


class ProgramKilled(DubdError):
    """Signal 9 ended a program that a worker ran; nobody in dubd sent it."""


def require_alive(code: int | None, program: str, *, file: object = None, stage: str | None = None) -> None:
    """Errors: ProgramKilled where `code`, as of Popen or of a shell, is that of signal 9.

    Other signals are the program's own faults, and come again.
    """
    if code in (-signal.SIGKILL, _BY_SHELL):
        raise ProgramKilled(
            f"{program} was killed by signal {signal.SIGKILL.value}, {MEANS}",
            file=file,
            stage=stage,
            remedy="give the machine more memory, or dubd fewer --jobs; `dubd retry VIDEO` tries it again",
        )
