"""Rates of the stages, from the records of all videos of the workspace: seconds of a device per second of video."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubd.errors import DubdError
from dubd.graph.state import FILE, State
from dubd.graph.video import videos

CPU = "cpu"
_SPARE = 50  # videos that are measured for the disk at most


@dataclass(frozen=True)
class Median:
    """Seconds of one device (a CPU slot, or a GPU of that name) per second of video, of so many tasks."""

    seconds: float
    count: int


Kind = tuple[str, str, str]
"""Stage, who does it (`signature`), device."""


def signature(key: Mapping[str, Any]) -> str:
    """Who does a task: engine, parameters, precision and models of its key; nothing of it where it has no engine.

    The engine's revision is left out: what it took before an upgrade says more than a figure from elsewhere.
    """
    engine = key.get("engine") or {}
    return json.dumps({name: engine[name] for name in sorted(engine) if name != "revision"}, sort_keys=True)


def rates(workspace: Path) -> dict[Kind, Median]:
    """The median by stage, engine and device over all tasks that ended well; a video that cannot be read is left out.

    A task's seconds are wall time on its slot or card, also where others shared that card. Those that had the load of
    their worker in them count only where there are no others.
    """
    warm, cold = defaultdict[Kind, list[float]](list), defaultdict[Kind, list[float]](list)
    for folder in videos(workspace):
        try:
            for kind, rate, loaded in _of(folder):
                (cold if loaded else warm)[kind].append(rate)
        except (DubdError, OSError, ValueError, KeyError, TypeError):
            continue
    return {kind: Median(statistics.median(taken), len(taken)) for kind, taken in {**cold, **warm}.items()}


def _of(folder: Path) -> Iterator[tuple[Kind, float, bool]]:
    if not (folder / FILE).exists():
        return
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    whole = plan["samples"] / 48_000
    length = {segment["id"]: segment["end"] - segment["start"] for segment in plan["segments"]}
    state = State(folder)
    try:
        runs = state.runs()
        for task, run in runs.items():
            key = (state.get(task, "_values_:") or {}).get("key")
            name = task.partition(":")[2]
            seconds = length.get(name.partition("/")[0]) if "/" in name else whole
            if run["state"] == "ran" and key and seconds:
                stage = "plan" if task.startswith("plan:") else name.rpartition("/")[2].partition("-")[0]
                facts = run["facts"] or {}
                if facts.get("remembered"):
                    continue  # lines that the translation memory had took no engine
                kind = (stage, signature(key), str(facts.get("device") or CPU))
                yield kind, run["seconds"] / seconds, bool(facts.get("loaded"))
    finally:
        state.close()


def disk(workspace: Path) -> tuple[float, int] | None:
    """Bytes per second of video in the latest videos' folders, sources apart, and of how many; None without any."""
    taken, seconds, count = 0, 0.0, 0
    latest = sorted(videos(workspace), key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in latest[:_SPARE]:
        try:
            if not any(folder.glob("dubbed.*.mp4")):
                continue
            plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
            size = sum(path.lstat().st_size for path in folder.rglob("*") if not path.name.startswith("source."))
            taken, seconds, count = taken + size, seconds + plan["samples"] / 48_000, count + 1
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return (taken / seconds, count) if seconds else None
