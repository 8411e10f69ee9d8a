"""What came of a video, in figures: timing line by line, seconds per stage, and the engines for what they are."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dubd import __version__
from dubd.engines import registry
from dubd.errors import DubdError, Exit
from dubd.graph import timing
from dubd.graph.dubbed import shares
from dubd.graph.remarks import REPORT, facts, remarks
from dubd.graph.report_page import page
from dubd.graph.rule import Rule
from dubd.graph.settled import untouched
from dubd.graph.state import State, owner
from dubd.graph.superseded import kept, removed, superseded
from dubd.graph.tasks import VideoTasks
from dubd.graph.video import Video
from dubd.graph.why import why

HTML = "report.html"


def report(folder: Path) -> dict[str, Any]:
    """The report of one video, as docs/cli.md describes it: it reads artifacts and records, and makes nothing.

    Errors: DubdError where the folder is no video, or its plan or an artifact is broken.
    """
    video = Video.open(folder)
    state = State(folder)
    try:
        runs = VideoTasks(video).runs(state)
        edited = [
            (path, newer)
            for path, _, newer in state.all_made()
            if newer and (folder / newer_path(path, newer)).exists()
        ]
        drop = state.note("drop")
        whole, built = untouched(state), state.note("settled") is not None
    finally:
        state.close()
    plan = VideoTasks(video).read_plan()
    seconds = _clock(plan)
    languages = video.rule.languages
    lips = shares(video, runs, plan)
    told = facts(runs)
    dubs = [
        _dub(video, plan, runs, target, target == languages.target[0]) | {"lips": lips.get(target)}
        for target in languages.target
    ]
    failed = [{"task": task, **run["error"]} for task, run in runs.items() if run["state"] == "failed" and run["error"]]
    return {
        "dubd": __version__,
        "video": video.id,
        "title": video.title,
        "drop": drop,
        "rule": video.rule.name,
        "device": _devices(runs.values()),
        "source": _source(plan, seconds),
        "segments": len(plan["segments"]) if plan else 0,
        "engines": _engines(video),
        "stages": _stages(runs, seconds),
        "seconds": round(sum(run["seconds"] for run in runs.values()), 3),
        "dubs": dubs,
        "remarks": remarks(
            told,
            [line | {"language": dub["language"]} for dub in dubs for line in dub["lines"]],
            consented=video.rule.consent or not _clones(video.rule),
        ),
        "facts": told,
        "edited": [{"artifact": path, "newer": newer} for path, newer in edited],
        "failed": failed,
        "state": "done" if whole else _state(folder, failed=bool(failed), built=built),
    }


def _state(folder: Path, *, failed: bool, built: bool) -> str:
    if owner(folder) not in (None, os.getpid()):
        return "building"
    if superseded(folder):
        return "superseded"
    if removed(folder):
        return "removed"
    if kept(folder):
        return "kept"
    if failed:
        return "failed"
    if not (stale := why(folder)):
        return "done"
    if any(verdict.lack and not verdict.waits_for for verdict in stale):
        return "waiting"
    return "changed" if built else "unfinished"


def write(folder: Path) -> None:
    """Write report.json and report.html into the video's folder; a broken artifact or a full disk costs only them."""
    try:
        data = report(folder)
        _put(folder / REPORT, json.dumps(data, ensure_ascii=False, indent=2) + "\n")
        _put(folder / HTML, page(data))
    except (DubdError, OSError, KeyError, TypeError, ValueError):
        return  # the build has told what is wrong; `dubd report` tells again


def newer_path(artifact: str, newer: str) -> str:
    """Where the machine's newer version of a hand-edited artifact lies, relative to the video's folder."""
    return str(Path(artifact).with_name(newer))


def _source(plan: Mapping[str, Any] | None, seconds: float) -> dict[str, Any] | None:
    if plan is None:
        return None
    picture = plan["picture"]
    return {
        "seconds": round(seconds, 3),
        "start": plan["start"],
        "width": picture["width"],
        "height": picture["height"],
        "rate": picture["rate"],
        "bytes": plan["source"].get("bytes"),
        "sha256": plan["source"]["sha256"],
    }


def _clock(plan: Mapping[str, Any] | None) -> float:
    return plan["samples"] / 48_000 if plan else 0.0


def _clones(rule: Rule) -> bool:
    """Whether the engine that speaks would take on a speaker's voice, if the rule let it."""
    try:
        engine = registry.find("speak", rule.stages.speak.engine)
        return engine.clones(engine.Params(**rule.stages.speak.params))
    except (DubdError, TypeError, ValueError):  # what made the dub is not here any more, or takes other parameters
        return False


def _engines(video: Video) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for stage, chosen in video.rule.stages:
        if not chosen.on:
            found[stage] = None
            continue
        found[stage] = {"name": chosen.engine, **_described(stage, chosen.engine), "params": chosen.params}
    return found


def _described(stage: str, name: str) -> dict[str, Any]:
    try:
        engine = registry.find(stage, name)
    except DubdError:
        return {"revision": None, "summary": "not installed here any more", "licence": "not known"}
    return {"revision": engine.revision(), "summary": engine.summary, "licence": engine.licence}


def _stages(runs: Mapping[str, Mapping[str, Any]], seconds: float) -> dict[str, Any]:
    """Seconds of work per stage (of the run that made each artifact), and how many times real time that is."""
    found: dict[str, dict[str, Any]] = defaultdict(lambda: {"tasks": 0, "failed": 0, "seconds": 0.0})
    of_stage = defaultdict[str, list[Mapping[str, Any]]](list)
    for task, run in runs.items():
        stage = found[stage_of(task)]
        stage["tasks"] += 1
        stage["failed"] += run["state"] == "failed"
        stage["seconds"] += run["seconds"]
        of_stage[stage_of(task)].append(run)
    for name, stage in found.items():
        stage["device"] = _devices(of_stage[name])
        stage["seconds"] = round(stage["seconds"], 3)
        stage["times_real_time"] = round(stage["seconds"] / seconds, 3) if seconds else None
    return dict(found)


def _devices(runs: Iterable[Mapping[str, Any]]) -> str:
    """The GPUs that tasks really ran on, by name; "cpu" where none did."""
    return ", ".join(sorted({str(name) for run in runs if (name := (run["facts"] or {}).get("device"))})) or "cpu"


def stage_of(task: str) -> str:
    """`<video>:000/es/speak` -> speak, `plan:<video>` -> plan, `<video>:assemble-es` -> assemble."""
    group, _, name = task.partition(":")
    return "plan" if group == "plan" else name.rpartition("/")[2].partition("-")[0]


def _dub(
    video: Video, plan: Mapping[str, Any] | None, runs: Mapping[str, Mapping[str, Any]], target: str, first: bool
) -> dict[str, Any]:
    file = video.folder / f"dubbed.{target}.mp4"
    lines: list[dict[str, Any]] = []
    heard: list[tuple[float, float]] = []
    for segment in plan["segments"] if plan else ():
        where = video.folder / "segments" / segment["id"]
        there = where if first else where / target
        said = {item["id"]: item for item in _read(there / "translation.json").get("utterances", ())}
        spoken = _read(there / "speech.json").get("lines", ())
        lines += [_line(line, said.get(line["id"], {}), segment["id"]) for line in spoken]
        heard += [(item["start"], item["end"]) for item in _read(where / "transcript.json").get("utterances", ())]
    task = f"{video.id}:assemble" if first else f"{video.id}:assemble-{target}"
    facts = runs.get(task, {}).get("facts") or {}
    figures = timing.figures(lines, heard)
    figures["loudness"] = facts.get("loudness")
    figures["true_peak"] = facts.get("true_peak")
    wanted = video.rule.output.loudness
    figures["loudness_error"] = None if facts.get("loudness") is None else round(facts["loudness"] - wanted, 2)
    return {
        "language": target,
        "file": str(file) if file.exists() else None,
        "bytes": file.stat().st_size if file.exists() else None,
        "figures": figures,
        "lines": lines,
    }


def _line(line: Mapping[str, Any], said: Mapping[str, Any], segment: str) -> dict[str, Any]:
    return {
        "id": line["id"],
        "segment": segment,
        "speaker": line.get("speaker"),
        "slot": line["slot"],
        "start": line["start"],
        "end": line["end"],
        "tempo": line["tempo"],
        "natural": line.get("natural"),
        "overrun": line["overrun"],
        "source": said.get("source", ""),
        "text": line.get("text", said.get("text", "")),
        "doubts": line.get("doubts", []),
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise DubdError(
            f"not JSON: {error}", file=path, remedy="mend it, or delete it to have it made again", exit=Exit.INPUT
        ) from error
    return data


def _put(path: Path, text: str) -> None:
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


__all__: Sequence[str] = ("HTML", "newer_path", "report", "stage_of", "write")
