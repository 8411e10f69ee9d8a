"""What the daemon tells of drops, tasks and videos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dubd.errors import DubdError
from dubd.graph.build import Event
from dubd.graph.video import Video
from dubd.graph.video_build import VideoBuild


@dataclass(frozen=True)
class News:
    """`claimed`, `alias`, `task`, `built`, `current`, `waiting`, `failed`, `over`, `refused` or `note`, and of what.

    A `note` is no failure: how the daemon watches, or that a drop was removed. An `alias` has the content of another
    drop. `over` is the last word of every build, whatever it came to.
    """

    kind: str
    path: Path  # the drop, or the video's folder
    event: Event | None = None
    error: DubdError | None = None
    # All that a build failed of, its closing and its report included, or the models that it waits for.
    failed: tuple[DubdError, ...] = ()
    build: VideoBuild | None = None
    video: Video | None = None  # that of a task, as its build read it
    seconds: float = 0.0
    same: tuple[Path, Path] | None = None  # of an alias: the drop that counts, and its video's folder
