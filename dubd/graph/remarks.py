"""What went otherwise than the rule asks, and still made a dub: said in the report, since nothing has failed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from dubd import regular
from dubd.errors import DubdError

REPORT: Final = "report.json"  # in a video's folder; written at the end of each build
_MOST: Final = 64 << 20  # bytes of it

Runs = Mapping[str, Mapping[str, Any]]


def facts(runs: Runs) -> dict[str, dict[str, Any]]:
    """What each task that ran found worth telling, by the task's name without its video."""
    return {
        task.partition(":")[2]: dict(run["facts"])
        for task, run in runs.items()
        if run["state"] == "ran" and run["facts"]
    }


def remarks(
    told: Mapping[str, Mapping[str, Any]], lines: Sequence[Mapping[str, Any]], *, consented: bool = True
) -> list[str]:
    """One sentence each: `told` as `facts` gives it, `lines` those of all dubs, with the `doubts` of speech.json.

    `consented`: false where the engine would take on the speakers' voices and the rule does not say that it may.
    """
    return [*_of_tasks(told), *(() if consented else _of_voices(lines)), *_of_lines(lines)]


def remarked(folder: Path) -> list[str]:
    """The remarks of the report in a video's folder; none where there is no report, or none that can be read."""
    try:
        found = json.loads(regular.read(folder / REPORT, _MOST).decode("utf-8"))
        return [str(remark) for remark in found["remarks"]]
    except (DubdError, OSError, ValueError, KeyError, TypeError):
        return []


def _of_tasks(told: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for task, each in told.items():
        if count := each.get("fallback"):
            reasons = "; ".join(map(str, each.get("why", ())))
            yield f"{task}: {count} of {each.get('pieces', count)} stretches by the fallback engine: {reasons}"
        if count := each.get("repaired"):
            yield f"{task}: {count} frames cut off or repeated, to have the exact number of them"
        if count := each.get("glossary_missed"):
            yield f"{task}: {count} glossary {'term' if count == 1 else 'terms'} not kept: look at translation.json"


def _of_voices(lines: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if speakers := sorted({str(line["speaker"]) for line in lines if line.get("speaker")}):
        *some, last = speakers
        speak = (
            f"{', '.join(some)} and {last} speak in catalogue voices" if some else f"{last} speaks in a catalogue voice"
        )
        yield f"{speak}: the rule has no consent: true"


def _of_lines(lines: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for line in lines:
        if doubts := line.get("doubts"):
            yield f"line {line['id']} ({line['language']}) may sound wrong: {'; '.join(map(str, doubts))}"
