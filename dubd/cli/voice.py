"""Where the log goes: into the workspace, for a developer; and what it tells people of GPUs and disk, on the board."""

from __future__ import annotations

import logging
import logging.handlers
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dubd.cli.printable import OneLine

if TYPE_CHECKING:
    from dubd.cli.board import Board

GPU_LOG = "dubd.gpu"  # no GPU, one that is lost or answers again, memory that ran out, a worker that hung
CLUSTER_LOG = "dubd.cluster"  # nodes that join, are refused or lost
DISK_LOG = "dubd.disk"  # no room for what is to be done next, and room again

LOGS = ".log"  # in the workspace

_KEPT = ("dubd", "watchdog")  # watchdog calls it an error that its thread was told to stop while it read
_MOST = 1 << 20  # bytes of dubd.log before it is begun anew; the last one is kept as dubd.log.1


class _File(logging.handlers.RotatingFileHandler):
    """Costs the line where the disk is full: Python would print how it came to it."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (the library's name)
        pass


def keep_log(folder: Path) -> None:
    """Send what only a developer reads to a file in `folder`, where it is there, so that people get a line a fault.

    Called again once there is a workspace: the first start makes it.
    """
    logs = [logging.getLogger(name) for name in _KEPT]
    if any(isinstance(handler, logging.FileHandler) for handler in logs[0].handlers):
        return
    if folder.is_dir() and os.access(folder, os.W_OK):
        handler: logging.Handler = _File(
            folder / "dubd.log", maxBytes=_MOST, backupCount=1, encoding="utf-8", delay=True
        )
        handler.setFormatter(OneLine("%(asctime)s %(name)s %(message)s"))
    else:
        handler = logging.NullHandler()
    for log in logs:
        log.propagate = False
        log.addHandler(handler)


class _OnBoard(logging.Handler):
    def __init__(self, board: Board) -> None:
        super().__init__()
        self._board = board

    def emit(self, record: logging.LogRecord) -> None:
        say = self._board.warn if record.levelno >= logging.WARNING else self._board.line
        say(record.getMessage())


@contextmanager
def voiced(board: Board) -> Iterator[None]:
    """While inside, warnings about GPUs, disk and cluster are shown as well as logged, and which nodes join."""
    logging.getLogger(CLUSTER_LOG).setLevel(logging.INFO)
    logs, handler = [logging.getLogger(name) for name in (GPU_LOG, DISK_LOG, CLUSTER_LOG)], _OnBoard(board)
    for log in logs:
        log.addHandler(handler)
    try:
        yield
    finally:
        for log in logs:
            log.removeHandler(handler)
