"""What is said of the GPUs while videos are built, put on the board: the log's warnings, from whatever thread."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dubd.cli.board import Board

GPU_LOG = "dubd.gpu"  # no GPU, one that is lost or answers again, memory that ran out, a worker that hung


class _OnBoard(logging.Handler):
    def __init__(self, board: Board) -> None:
        super().__init__(logging.WARNING)
        self._board = board

    def emit(self, record: logging.LogRecord) -> None:
        self._board.warn(record.getMessage())


@contextmanager
def voiced(board: Board) -> Iterator[None]:
    """While inside, warnings about the GPUs are shown as well as logged."""
    log, handler = logging.getLogger(GPU_LOG), _OnBoard(board)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
