"""What dubd says when something is wrong: one line with the file, the stage and the remedy."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path


class Exit(IntEnum):
    """Exit codes of every dubd command, documented in docs/cli.md."""

    OK = 0
    FAILED = 1  # at least one task failed; the others went on
    USAGE = 2  # the command line itself
    RULE = 3  # a rule is wrong, or names something that is not here
    INPUT = 4  # a video cannot be dubbed as it is
    WORKSPACE = 5  # the disk: full, not writable, or not a place for state
    BUSY = 6  # another dubd process is building a video that was asked for, or watches the workspace
    CLUSTER = 7  # the Ray cluster that was asked for is not there, or was lost; what was finished is kept
    STOPPED = 130  # interrupted; what was finished is kept


class DubdError(Exception):
    """A fault that a person can act on.

    `reason` says what is wrong, `file` and `stage` where, `remedy` what to do about it. `also` are further faults
    of the same thing: a rule file may have several. `absent` are files that mend it by coming.
    """

    def __init__(
        self,
        reason: str,
        *,
        file: object = None,
        stage: str | None = None,
        remedy: str = "",
        exit: Exit = Exit.FAILED,
        also: Sequence[DubdError] = (),
        absent: Sequence[Path] = (),
    ) -> None:
        self.reason = reason
        self.file = None if file is None else str(file)
        self.stage = stage
        self.remedy = remedy
        self.exit = exit
        self.also = tuple(also)
        self.absent = tuple(absent)
        super().__init__(str(self))

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.file, self.stage) if part)
        line = f"{where}: {self.reason}" if where else self.reason
        return f"{line}; {self.remedy}" if self.remedy else line

    def each(self) -> tuple[DubdError, ...]:
        """This fault and the further ones, a line each."""
        return (self, *self.also)

    def to_json(self) -> dict[str, object]:
        """The form in which a worker hands an error over its pipe, and `--json` prints it."""
        return {
            "reason": self.reason,
            "file": self.file,
            "stage": self.stage,
            "remedy": self.remedy,
            "exit": int(self.exit),
        }

    @classmethod
    def from_json(cls, data: dict[str, object]) -> DubdError:
        """The inverse of `to_json`."""
        exit = data.get("exit")
        return cls(
            str(data.get("reason", "failed without a reason")),
            file=data.get("file"),
            stage=str(data["stage"]) if data.get("stage") else None,
            remedy=str(data.get("remedy") or ""),
            exit=Exit(exit) if isinstance(exit, int) else Exit.FAILED,
        )


def disk_fault(error: OSError) -> DubdError:
    """An error of the disk as the line a person can act on."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return DubdError(
        "no space left on the disk" if full else error.strerror or str(error),
        file=error.filename,
        remedy="free some space and run again" if full else "check the workspace's permissions",
        exit=Exit.WORKSPACE,
    )
