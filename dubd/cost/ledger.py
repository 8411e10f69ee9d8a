"""What the builds of a video took and what they spared: one note in its state, of a few sums for each month."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dubd.errors import DubdError, Exit, disk_fault
from dubd.graph.build import Event
from dubd.graph.report import stage_of
from dubd.graph.rule import Rule
from dubd.graph.state import State

NOTE = "spent"


def empty() -> dict[str, Any]:
    """The sums of a month without work: seconds by stage, on the CPU and on GPUs."""
    return {
        "builds": 0,
        "tasks": 0,
        "cpu": {},
        "gpu": {},
        "spared": {"tasks": 0, "cpu": 0.0, "gpu": 0.0},
        "remembered": 0,  # utterances that the translation memory had
        "fresh": {"utterances": 0, "seconds": 0.0},  # of translate tasks that it had nothing of
        "cold": {"utterances": 0, "seconds": 0.0},  # of those of them that had their worker's load in them
    }


def kept(state: State) -> dict[str, Any] | None:
    """What is kept of a video, None where nothing is: sums by month (`YYYY-MM`, local time, of each task's end).

    `finished`: the month in which it was whole first, or None. `dubbed`: by month, the minutes by which what is dubbed
    of it has grown, its languages, and whether the lips were done. `whole`: its last build was finished. Sums from
    before they were kept by month stand in that of the last run.
    """
    spent: dict[str, Any] | None = state.note(NOTE)
    if spent is None:
        return None
    if "months" in spent:
        return spent | {"months": {name: empty() | sums for name, sums in spent["months"].items()}}
    runs = state.runs()
    last = max((run["at"] for run in runs.values()), default=time.time())
    sums = {name: spent[name] for name in empty() if name in spent}
    return {"whole": spent.get("whole", False), "finished": finished(runs), "months": {month(last): empty() | sums}}


def finished(runs: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The month in which a dub was assembled last, by the last runs of a video's tasks; None where none was."""
    ends = [run["at"] for task, run in runs.items() if stage_of(task) == "assemble" and run["state"] == "ran"]
    return month(max(ends)) if ends else None


def month(at: float) -> str:
    """Of a unix time."""
    return time.strftime("%Y-%m", time.localtime(at))


def minutes(plan: Path) -> float:
    """Of the video that a plan.json is of; 0 where it is not planned yet. Errors: DubdError where it is none."""
    try:
        return float(json.loads(plan.read_text(encoding="utf-8"))["samples"]) / 48_000 / 60
    except FileNotFoundError:
        return 0.0
    except OSError as error:
        raise disk_fault(error) from error
    except (ValueError, KeyError, TypeError) as error:
        remedy = "mend it, or delete it to have it made"
        raise DubdError(f"is not a plan ({error})", file=plan, remedy=remedy, exit=Exit.INPUT) from error


class Ledger:
    """Hears one build's events. Each task that ends is written down at once: a kill loses none of them.

    A task that is up to date is spared where the video had been whole before and something of it ran: what a build
    goes on with after a stop or a failure is no saving. It counts with the seconds of its last run.
    """

    def __init__(self, state: State, *, whole: bool) -> None:
        """`whole`: the video was built before, as its state tells it."""
        self._state = state
        self._known = kept(state)  # now: once a task has begun, the last run says nothing of what was before
        self._spent: dict[str, Any] | None = None
        self._whole = whole
        self._skipped: list[str] = []
        self._runs: dict[str, dict[str, Any]] = {}

    def hear(self, event: Event) -> None:
        """Count an event; what cannot be written costs no build."""
        with suppress(DubdError):
            if event.state == "skipped" and not event.why:
                self._skipped.append(event.task)
                if self._spent is not None:
                    self._write(self._spent)
            elif event.state in ("ran", "failed"):
                spent = self._open()
                _count(_now(spent), event)
                self._write(spent)

    def done(self, plan: Path, rule: Rule) -> None:
        """Everything is built: what a later build skips is spared, and what is dubbed is known."""
        if self._spent is None:
            return
        now, dubbed = month(time.time()), dict(self._spent.get("dubbed", {}))
        first = self._spent["finished"] or now
        here = now if dubbed else first  # sums from before that was kept have all of it in the first
        with suppress(DubdError):
            more = minutes(plan) - sum(part["minutes"] for part in dubbed.values())
            if more > 1e-5:  # a clip of it is dubbed first, then all: each in its month
                more += dubbed[here]["minutes"] if here in dubbed else 0.0
                lips, languages = rule.stages.lipsync.on, len(rule.languages.target)
                dubbed[here] = {"minutes": round(more, 6), "languages": languages, "lips": lips}
            self._write(self._spent | {"whole": True, "finished": first, "dubbed": dubbed})

    def _open(self) -> dict[str, Any]:
        if self._spent is None:
            self._runs = self._state.runs()
            self._spent = self._known or {"whole": self._whole, "finished": finished(self._runs), "months": {}}
            _now(self._spent)["builds"] += 1
            # Until it is done: where this build fails, the next one only goes on with it.
            self._whole, self._spent["whole"] = self._spent["whole"], False
        return self._spent

    def _write(self, spent: dict[str, Any]) -> None:
        for task in self._skipped if self._whole else ():
            run = self._runs.get(task)
            if run and run["state"] == "ran":
                on, spared = "gpu" if (run["facts"] or {}).get("device") else "cpu", _now(spent)["spared"]
                spared["tasks"] += 1
                spared[on] = round(spared[on] + run["seconds"], 3)
        self._skipped.clear()
        self._state.set_note(NOTE, spent)


def _now(spent: dict[str, Any]) -> dict[str, Any]:
    sums: dict[str, Any] = spent["months"].setdefault(month(time.time()), empty())
    return sums


def _count(sums: dict[str, Any], event: Event) -> None:
    on = sums["cpu" if event.device == "cpu" else "gpu"]
    on[event.stage] = round(on.get(event.stage, 0.0) + event.seconds, 3)
    sums["tasks"] += 1
    if event.stage == "translate" and event.state == "ran":
        known = int(event.facts.get("remembered", 0))
        sums["remembered"] += known
        if not known and (utterances := int(event.facts.get("utterances", 0))):
            took = sums["cold" if event.facts.get("loaded") else "fresh"]
            took["utterances"] += utterances
            took["seconds"] = round(took["seconds"] + event.seconds, 3)
