"""`log/build.log` of a video: a line for each task that ran or failed, of the last builds."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from dubd.graph.build import Event
from dubd.graph.temporary import TEMPORARY

LIMIT = 1 << 20  # bytes that it may have when a build begins; a build of an hour of video adds some 100 000


class BuildLog:
    """Of one build. No build fails for want of a line in its log."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "log" / "build.log"
        self._begun = False

    def hear(self, event: Event) -> None:
        """Keep what ran and what failed: when, for how long, why."""
        if event.state not in ("ran", "failed"):
            return
        at = time.strftime("%Y-%m-%d %H:%M:%S")
        said = f"{event.why}{f' | {event.error}' if event.error else ''}"
        with suppress(OSError):
            self._path.parent.mkdir(exist_ok=True)
            if not self._begun:
                self._begun = True
                _shorten(self._path)
            with self._path.open("a", encoding="utf-8") as log:
                log.write(f"{at} {event.task} {event.state} {event.seconds:.2f}s {said}\n")


def _shorten(path: Path) -> None:
    """Leave the later half of a log that is too long, from a whole line on. Errors: OSError."""
    if not path.exists() or path.stat().st_size <= LIMIT:
        return
    kept = path.read_bytes()[-LIMIT // 2 :].partition(b"\n")[2]
    part = path.with_name(f"{TEMPORARY}{path.name}")
    part.write_bytes(kept)
    os.replace(part, path)
