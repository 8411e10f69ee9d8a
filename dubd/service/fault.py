"""Any exception as the one line that a person reads about a drop or a video."""

from __future__ import annotations

import logging
from pathlib import Path

from dubd.errors import DubdError, disk_fault

log = logging.getLogger("dubd.fault")


def fault_of(error: Exception, path: Path) -> DubdError:
    """What went wrong with `path`; what nobody foresaw goes into the log with its traceback."""
    if isinstance(error, DubdError):
        return error
    if isinstance(error, OSError):
        fault = disk_fault(error)
        fault.file = fault.file or str(path)
        return fault
    log.error("%s", path, exc_info=error)
    return DubdError(f"{type(error).__name__}: {error}", file=path, remedy="drop it again, or report this")
