"""What came of a build, as its last line and `dubd status` tell it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubd.errors import DubdError
from dubd.graph.lips import Shares, lips
from dubd.graph.remarks import remarked
from dubd.graph.state import State
from dubd.graph.tasks import VideoTasks
from dubd.graph.video import Video


@dataclass(frozen=True)
class Dubbed:
    """The files in the order of the rule's languages; by language how much of the picture was changed; and `remarks`:
    what went otherwise than the rule asks, as the report has it.
    """

    files: Sequence[Path]
    lips: Mapping[str, Shares]
    remarks: Sequence[str] = ()


def dubbed(video: Video) -> Dubbed:
    """What is there now; `remarks` are those of the report that was written last."""
    return Dubbed(results(video), changed_lips(video), remarked(video.folder))


def results(video: Video) -> list[Path]:
    """The dubbed files that are there, in the order of the rule's languages."""
    files = (video.folder / f"dubbed.{language}.mp4" for language in video.rule.languages.target)
    return [file for file in files if file.exists()]


def changed_lips(video: Video) -> dict[str, Shares]:
    """How much of the picture was changed, by language; see `lips`. Nothing where the records cannot be read."""
    try:
        state = State(video.folder)
        try:
            return shares(video, VideoTasks(video).runs(state), VideoTasks(video).read_plan())
        finally:
            state.close()
    except DubdError:
        return {}


def shares(video: Video, runs: Mapping[str, Mapping[str, Any]], plan: Mapping[str, Any] | None) -> dict[str, Shares]:
    """The same of records and a plan that were read already."""
    there = [target for target in video.rule.languages.target if (video.folder / f"dubbed.{target}.mp4").exists()]
    return lips(runs, plan, there) if video.rule.stages.lipsync.on else {}
