"""What was spent: seconds of CPU and GPU by stage, video and month, what was spared, and the same minutes' price."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dubd.cost.ledger import empty, finished, kept, minutes
from dubd.cost.ledger import month as month_of
from dubd.cost.prices import Prices, elsewhere
from dubd.errors import DubdError, Exit
from dubd.graph import rules
from dubd.graph.report import stage_of
from dubd.graph.state import FILE, State
from dubd.graph.video import RULE

UNFINISHED = "unfinished"


def costs(folders: Iterable[Path], prices: Prices, one: Path | None = None) -> dict[str, Any]:
    """Every video's costs, and the sums by month (local time), then of them all.

    A month has the work that ended in it, and the videos and minutes that were finished in it first; what was never
    finished is in `UNFINISHED`. With `one` it is told alone, as it is told among the others. `faults` names what could
    not be read, and what of its video is `uncounted` for it: the "price" elsewhere, with it the "minutes", or "all".
    Errors: DubdError where the records of `one` cannot be read.
    """
    found: dict[Path, dict[str, Any]] = {}
    unread = []
    for folder in folders:
        try:
            found[folder] = _video(folder)
        except DubdError as error:
            if folder == one:
                raise
            unread.append(_fault(folder, "all", error))
    _estimate(list(found.values()))
    if one is not None:
        found, unread = {one: found[one]}, []
    by_month = defaultdict[str, list[dict[str, Any]]](list)
    for video in found.values():
        for month, part in video["months"].items():
            by_month[month].append(part)
    return {
        "videos": [
            {name: video[name] for name in ("video", "finished", "origin")} | _sum(video["months"].values(), prices)
            for video in found.values()
        ],
        "months": [_month(month, by_month[month], prices) for month in sorted(by_month)],
        "total": _sum([part for parts in by_month.values() for part in parts], prices),
        "faults": [*unread, *(video["fault"] for video in found.values() if video["fault"])],
    }


def _month(month: str, parts: Collection[Mapping[str, Any]], prices: Prices) -> dict[str, Any]:
    """A month's sums; of `UNFINISHED` those of the videos alone, as what they took is in the months."""
    row = {"month": month, **_sum(parts, prices)}
    told = row if month != UNFINISHED else ("month", "videos", "minutes", "cloud")
    return {name: value if name in told else None for name, value in row.items()}


def _video(folder: Path) -> dict[str, Any]:
    """What was spent stands in the records alone: a broken rule or plan costs no more than what is read there."""
    runs, spent = _records(folder)
    last = spent["finished"] if spent else finished(runs)
    months: dict[str, dict[str, Any]] = spent["months"] if spent else _last_runs(runs)
    dubbed, fault = _dubbed(folder, spent, last or UNFINISHED)
    for month in {*months, *dubbed}:
        part = dubbed.get(month, {"minutes": 0.0, "cloud": []})
        months[month] = months.get(month, empty()) | {"videos": int(month == (last or UNFINISHED)), **part}
    origin = "builds" if spent else "last runs"
    return {"video": folder.name, "finished": last, "origin": origin, "months": months, "fault": fault}


def _dubbed(
    folder: Path, spent: Mapping[str, Any] | None, month: str
) -> tuple[dict[str, dict[str, Any]], dict[str, Any] | None]:
    """By month the minutes and their price elsewhere, as they were when they were dubbed; else in `month` as they are.

    And what could not be read for that.
    """
    if spent and spent.get("dubbed"):
        return {
            name: {
                "minutes": part["minutes"],
                "cloud": elsewhere(part["minutes"], part["languages"], lips=part["lips"]),
            }
            for name, part in spent["dubbed"].items()
        }, None
    found: dict[str, Any] = {"minutes": 0.0, "cloud": []}
    fault, lacks = None, "minutes"
    try:
        found["minutes"], lacks = minutes(folder / "plan.json"), "price"
        rule = rules.load(folder / RULE, ready=False)
        found["cloud"] = elsewhere(found["minutes"], len(rule.languages.target), lips=rule.stages.lipsync.on)
    except DubdError as error:
        fault = _fault(folder, lacks, error)
    return {month: found}, fault


def _records(folder: Path) -> tuple[dict[str, dict[str, Any]], dict[str, Any] | None]:
    """The last runs, and what is kept of all builds. Errors: DubdError."""
    if not (folder / FILE).exists():
        return {}, None
    state = State(folder)
    try:
        return state.runs(), kept(state)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        remedy = "check the disk, or delete it to have all built anew"
        reason = f"the state file cannot be used: {error}"
        raise DubdError(reason, file=folder / FILE, remedy=remedy, exit=Exit.WORKSPACE) from error
    finally:
        state.close()


def _fault(folder: Path, uncounted: str, error: DubdError) -> dict[str, Any]:
    return {"video": folder.name, "uncounted": uncounted, **error.to_json()}


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

    Tasks that had their worker's load in them count only where there are no others. None where no utterance of any
    video was translated without the memory.
    """
    of_all = [part for video in videos for part in video["months"].values()]
    for video in videos:
        own = list(video["months"].values())
        ways = (_each(parts, kind) for kind in ("fresh", "cold") for parts in (own, of_all))
        each = next((seconds for seconds in ways if seconds is not None), None)
        for part in own:
            known = part["remembered"]
            part["remembered_seconds"] = 0.0 if not known else None if each is None else each * known


def _each(parts: Sequence[Mapping[str, Any]], kind: str) -> float | None:
    """Seconds of one utterance."""
    utterances = sum(part[kind]["utterances"] for part in parts)
    return sum(part[kind]["seconds"] for part in parts) / utterances if utterances else None


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
            known["videos"] += row["videos"]
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
