"""What was spent: seconds of CPU and GPU by stage, video and month, what was spared, and the same minutes' price."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dubd.cost.ledger import NOTE, empty
from dubd.cost.prices import Prices, elsewhere
from dubd.errors import DubdError
from dubd.graph.report import stage_of
from dubd.graph.state import FILE, State
from dubd.graph.video import Video

UNFINISHED = "unfinished"


def costs(folders: Iterable[Path], prices: Prices) -> dict[str, Any]:
    """Every video's costs, and the sums by the month in which each was finished last (local time), then of them all.

    A video that cannot be read is left out of the sums and named in `unread`.
    """
    rows, unread = [], []
    for folder in folders:
        try:
            if (folder / FILE).exists():
                rows.append(_video(folder))
        except (DubdError, OSError, ValueError, KeyError, TypeError):
            unread.append(folder.name)
    _estimate(rows)
    by_month = defaultdict[str, list[dict[str, Any]]](list)
    for row in rows:
        by_month[row["month"]].append(row)
    months = [{"month": month, **_sum(by_month[month], prices)} for month in sorted(by_month)]
    return {
        "videos": [row | _figures(row, prices) for row in rows],
        "months": months,
        "total": _sum(rows, prices),
        "unread": unread,
    }


def _video(folder: Path) -> dict[str, Any]:
    video = Video.open(folder)
    state = State(folder)
    try:
        runs, spent = state.runs(), state.note(NOTE)
    finally:
        state.close()
    try:
        minutes = json.loads((folder / "plan.json").read_text(encoding="utf-8"))["samples"] / 48_000 / 60
    except FileNotFoundError:
        minutes = 0.0
    ends = [run["at"] for task, run in runs.items() if stage_of(task) == "assemble" and run["state"] == "ran"]
    return {
        "video": video.id,
        "month": time.strftime("%Y-%m", time.localtime(max(ends))) if ends else UNFINISHED,
        "minutes": minutes,
        "origin": "builds" if spent else "last runs",
        **({**empty(), **spent} if spent else _last_runs(runs)),
        "cloud": elsewhere(minutes, len(video.rule.languages.target), lips=video.rule.stages.lipsync.on),
    }


def _last_runs(runs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """For a video that was built before there was a ledger: what its last runs took, and nothing spared."""
    found = empty() | {"tasks": len(runs)}
    for task, run in runs.items():
        on = found["gpu" if (run["facts"] or {}).get("device") else "cpu"]
        on[stage_of(task)] = on.get(stage_of(task), 0.0) + run["seconds"]
    return found


def _estimate(rows: Sequence[dict[str, Any]]) -> None:
    """Seconds that the translation memory spared: what an utterance took the video itself, else all of them."""
    utterances = sum(row["fresh"]["utterances"] for row in rows)
    all_seconds = sum(row["fresh"]["seconds"] for row in rows)
    for row in rows:
        own = row["fresh"]
        of = own if own["utterances"] else {"utterances": utterances, "seconds": all_seconds}
        each = of["seconds"] / of["utterances"] if of["utterances"] else None
        row["remembered_seconds"] = 0.0 if not row["remembered"] else None if each is None else each * row["remembered"]


def _sum(rows: Sequence[Mapping[str, Any]], prices: Prices) -> dict[str, Any]:
    total: dict[str, Any] = {
        "videos": len(rows),
        "minutes": sum(row["minutes"] for row in rows),
        "builds": sum(row["builds"] for row in rows),
        "tasks": sum(row["tasks"] for row in rows),
        "remembered": sum(row["remembered"] for row in rows),
        "remembered_seconds": sum(row["remembered_seconds"] or 0.0 for row in rows),
        "spared": {name: sum(row["spared"][name] for row in rows) for name in ("tasks", "cpu", "gpu")},
        "cloud": _clouds(rows),
    }
    for on in ("cpu", "gpu"):
        total[on] = defaultdict[str, float](float)
        for row in rows:
            for stage, seconds in row[on].items():
                total[on][stage] += seconds
        total[on] = dict(total[on])
    return total | _figures(total, prices)


def _clouds(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The services' prices added up; `videos` says of how many, as not every service does the lips."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        for one in row["cloud"]:
            known = found.setdefault(one["service"], dict(one) | {"price": None, "videos": 0})
            known["videos"] += 1
            if one["price"] is not None:
                known["price"] = round((known["price"] or 0.0) + one["price"], 2)
    return list(found.values())


def _figures(row: Mapping[str, Any], prices: Prices) -> dict[str, Any]:
    cpu, gpu = sum(row["cpu"].values()), sum(row["gpu"].values())
    minutes = row["minutes"]
    return {
        "minutes": round(minutes, 3),
        "cpu": {stage: round(seconds, 3) for stage, seconds in row["cpu"].items()},
        "gpu": {stage: round(seconds, 3) for stage, seconds in row["gpu"].items()},
        "cpu_seconds": round(cpu, 3),
        "gpu_seconds": round(gpu, 3),
        "gpu_minutes_per_minute": round(gpu / 60 / minutes, 4) if minutes else None,
        "cpu_minutes_per_minute": round(cpu / 60 / minutes, 4) if minutes else None,
        "prices": prices.of(gpu / 3600),
    }
