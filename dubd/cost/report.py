"""What was spent: seconds of CPU and GPU by stage, video and month, what was spared, and the same minutes' price."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dubd.cost.ledger import empty, finished, kept
from dubd.cost.ledger import month as month_of
from dubd.cost.prices import Prices, elsewhere
from dubd.errors import DubdError
from dubd.graph.report import stage_of
from dubd.graph.state import FILE, State
from dubd.graph.video import Video

UNFINISHED = "unfinished"


def costs(folders: Iterable[Path], prices: Prices, one: Path | None = None) -> dict[str, Any]:
    """Every video's costs, and the sums by month (local time), then of them all.

    A month has the work that ended in it, and the videos and minutes that were finished in it first; what was never
    finished is in `UNFINISHED`. With `one` it is told alone, as it is told among the others. A video that cannot be
    read is left out of the sums and named in `unread`.
    """
    found, unread = [], []
    for folder in folders:
        try:
            if (folder / FILE).exists():
                found.append((folder, _video(folder)))
        except (DubdError, OSError, ValueError, KeyError, TypeError):
            unread.append(folder.name)
    _estimate([video for _, video in found])
    if one is not None:
        found, unread = [(f, video) for f, video in found if f == one], [name for name in unread if name == one.name]
    by_month = defaultdict[str, list[dict[str, Any]]](list)
    for _, video in found:
        for month, part in video["months"].items():
            by_month[month].append(part)
    return {
        "videos": [
            {name: video[name] for name in ("video", "month", "origin")} | _sum(video["months"].values(), prices)
            for _, video in found
        ],
        "months": [{"month": month, **_sum(by_month[month], prices)} for month in sorted(by_month)],
        "total": _sum([part for parts in by_month.values() for part in parts], prices),
        "unread": unread,
    }


def _video(folder: Path) -> dict[str, Any]:
    video = Video.open(folder)
    state = State(folder)
    try:
        runs, spent = state.runs(), kept(state)
    finally:
        state.close()
    try:
        minutes = json.loads((folder / "plan.json").read_text(encoding="utf-8"))["samples"] / 48_000 / 60
    except FileNotFoundError:
        minutes = 0.0
    first = (spent and spent["finished"]) or finished(runs) or UNFINISHED
    months = {month: empty() | sums for month, sums in (spent["months"] if spent else _last_runs(runs)).items()}
    for sums in months.values():
        sums |= {"videos": 0, "minutes": 0.0, "cloud": []}
    cloud = elsewhere(minutes, len(video.rule.languages.target), lips=video.rule.stages.lipsync.on)
    months[first] = months.get(first, empty()) | {"videos": 1, "minutes": minutes, "cloud": cloud}
    return {"video": video.id, "month": first, "origin": "builds" if spent else "last runs", "months": months}


def _last_runs(runs: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """For a video that was built before there was a ledger: what its last runs took, and nothing spared."""
    found = defaultdict[str, dict[str, Any]](empty)
    for task, run in runs.items():
        sums = found[month_of(run["at"])]
        sums["tasks"] += 1
        on = sums["gpu" if (run["facts"] or {}).get("device") else "cpu"]
        on[stage_of(task)] = on.get(stage_of(task), 0.0) + run["seconds"]
    return found


def _estimate(videos: Sequence[Mapping[str, Any]]) -> None:
    """Seconds that the translation memory spared: what an utterance took the video itself, else all of them.

    None where no utterance of any video was translated without it.
    """
    fresh = [[part["fresh"] for part in video["months"].values()] for video in videos]
    of_all = _each([one for own in fresh for one in own])
    for video, own in zip(videos, fresh, strict=True):
        each = _each(own) or of_all
        for part in video["months"].values():
            known = part["remembered"]
            part["remembered_seconds"] = 0.0 if not known else None if each is None else each * known


def _each(fresh: Sequence[Mapping[str, Any]]) -> float | None:
    """Seconds of one utterance."""
    utterances = sum(one["utterances"] for one in fresh)
    return sum(one["seconds"] for one in fresh) / utterances if utterances else None


def _sum(parts: Collection[Mapping[str, Any]], prices: Prices) -> dict[str, Any]:
    remembered = [part["remembered_seconds"] for part in parts]
    total: dict[str, Any] = {
        **{name: sum(part[name] for part in parts) for name in ("videos", "minutes", "builds", "tasks", "remembered")},
        "remembered_seconds": None if None in remembered else round(sum(remembered), 3),
        "spared": {name: round(sum(part["spared"][name] for part in parts), 3) for name in ("tasks", "cpu", "gpu")},
        "cloud": _clouds(parts),
    }
    for on in ("cpu", "gpu"):
        total[on] = defaultdict[str, float](float)
        for part in parts:
            for stage, seconds in part[on].items():
                total[on][stage] += seconds
    return total | _figures(total, prices)


def _clouds(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
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
