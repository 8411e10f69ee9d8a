"""A workspace whose stages are stand-ins at the executor's seam: real graph, real records, no media."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dubd.errors import DubdError
from dubd.folders import Folders
from dubd.graph import rules
from dubd.graph.build import Event
from dubd.graph.video import Video
from dubd.graph.video_build import VideoBuild
from dubd.schedule.admission import Capacity
from dubd.schedule.executor import Executor, Slot
from dubd.schedule.scheduler import Scheduler
from dubd.schedule.ticket import Again, Ticket
from dubd.stages.job import Facts, Outcome

RULE = """
languages: {source: en, target: es}
stages: {speak: {engine: espeak, voice: %s}}
output: {subtitles: %s}
default: true
"""


class Stand(Executor):
    """An executor that makes each output a digest of inputs and key, as a real stage would: same in, same out."""

    def __init__(self, segments: int = 2) -> None:
        self.segments = segments
        self.ran: list[str] = []
        self.fail: dict[str, DubdError] = {}
        self.facts: dict[str, Facts] = {}  # by stage
        self.during: Callable[[Ticket], None] = lambda _: None
        self.delay = 0.0
        self._guard = threading.Lock()

    def capacity(self) -> Capacity:
        return Capacity(2)

    def resident(self) -> set[tuple[str, ...]]:
        return set()

    def run(self, slot: Slot, tickets: Sequence[Ticket], heard: Callable[[int, float], None]) -> list[Outcome | Again]:
        del slot, heard
        return [self.one(ticket) for ticket in tickets]

    def one(self, ticket: Ticket) -> Outcome:
        with self._guard:
            self.ran.append(ticket.task.partition(":")[2] if not ticket.task.startswith("plan:") else "plan")
        self.during(ticket)
        time.sleep(self.delay)
        if ticket.task in self.fail:
            return self.fail[ticket.task]
        for name, path in ticket.outputs.items():
            Path(path).write_text(self.content(ticket, name), encoding="utf-8")
        return self.facts.get(ticket.stage, {"stand": True})

    def content(self, ticket: Ticket, name: str) -> str:
        if ticket.stage == "plan":
            return json.dumps(plan(self.segments))
        if ticket.stage == "voice":
            return "one speaker\n"  # as the real stage, which rounds so that small edits do not move it
        seen = [f"{k}={Path(p).read_text(encoding='utf-8')}" for k, p in sorted(ticket.inputs.items())]
        seen += [Path(p).read_text(encoding="utf-8") for paths in ticket.lists.values() for p in paths]
        params = json.dumps(dict(ticket.params), sort_keys=True)
        digest = hashlib.sha256(f"{name}{ticket.stage}{params}{seen}".encode()).hexdigest()
        return json.dumps({"stand": digest}) + "\n"


def plan(segments: int) -> dict[str, Any]:
    """A plan of 10 s segments at 25 frames a second."""
    return {
        "source": {"sha256": "0" * 64, "bytes": 3},
        "picture": {"rate": "25/1", "width": 64, "height": 64, "copy": True},
        "sound": {"index": 1, "channels": 1},
        "start": 0.0,
        "frames": 250 * segments,
        "samples": 480000 * segments,
        "segments": [
            {
                "id": f"{i:03d}",
                "start": 10.0 * i,
                "end": 10.0 * (i + 1),
                "first_frame": 250 * i,
                "frames": 250,
                "first_sample": 480000 * i,
                "samples": 480000,
                "cut": "silence",
            }
            for i in range(segments)
        ],
    }


class Desk:
    """One workspace and the means to build in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folders = Folders(root / "inbox", root / "workspace", root / "rules", root / "models")
        for folder in (self.folders.inbox, self.folders.workspace, self.folders.rules):
            folder.mkdir()
        self.stand = Stand()
        self.events: list[Event] = []
        self.rule()
        self.source = self.folders.inbox / "talk.mp4"
        self.source.write_text("abc", encoding="utf-8")

    def rule(self, voice: str = "auto", subtitles: str = "[srt, vtt]", more: str = "") -> None:
        text = RULE % (voice, subtitles) + more
        (self.folders.rules / "lite.yaml").write_text(text, encoding="utf-8")

    def claim(self) -> Video:
        rule = rules.load(self.folders.rules / "lite.yaml", ready=False)
        subtitles = self.source.with_suffix(".srt")
        return Video.claim(self.source, rule, self.folders, subtitles if subtitles.exists() else None)

    def build(self) -> list[str]:
        """Build once; returns the names of the tasks that ran, in order."""
        self.events.clear()
        self.stand.ran.clear()
        with VideoBuild(self.claim(), self.events.append) as build:
            scheduler = Scheduler(self.stand)
            scheduler.add(build)
            scheduler.run()
        return list(self.stand.ran)

    @property
    def folder(self) -> Path:
        return next(self.folders.workspace.glob("talk-*"))

    def artifacts(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and not path.name.startswith(".") and path.parent.name != "log"
        }
