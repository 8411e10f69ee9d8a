"""dubd why: which input or parameter makes an artifact stale."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dubd.cli.chosen import chosen, complete
from dubd.cli.console import clock, say, show_json
from dubd.folders import Folders

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dubd.graph.needed import Lack
    from dubd.graph.why import Verdict


def why(
    what: Annotated[
        str,
        typer.Argument(metavar="ARTIFACT|VIDEO", help="A file in the workspace, or a video.", autocompletion=complete),
    ],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Tell why an artifact, or everything in a video, would be made again: the input or parameter that changed.

    Where a model is not here, a line names it and the command that brings it.

    [bold]dubd why workspace/talk-1234abcd/segments/003/speech.wav[/]

    [bold]dubd why talk[/]  every stale task of that video
    """
    from dubd.graph.why import why as ask

    folders = Folders.find()
    path = Path(what).absolute()
    if not path.exists() and (folders.workspace / what).is_dir():
        path = folders.workspace / what  # an id, said inside a video's folder
    inside = path.is_relative_to(folders.workspace) and len(path.relative_to(folders.workspace).parts) > 1
    folder = folders.workspace / path.relative_to(folders.workspace).parts[0] if inside else chosen(what, folders)
    verdicts = ask(chosen(folder.name, folders), path if inside else None)
    if json:
        show_json([_plain(verdict) for verdict in verdicts])
        return
    for verdict in verdicts:
        _tell(verdict)
    for lack in _lacks(verdicts):
        say(f"{lack.stage} waits for a model: {lack.says}; {lack.remedy}", "yellow")
    if not verdicts:
        say(f"{folder.name}: everything is up to date", "green")


def _tell(verdict: Verdict) -> None:
    if not verdict.stale:
        say(f"{verdict.task}: up to date{_last(verdict)}", "green")
        for reason in verdict.reasons:
            say(f"  {reason}")
        return
    say(f"{verdict.task}: stale{_last(verdict)}", "yellow")
    for reason in verdict.reasons:
        say(f"  {reason}")
    for root in verdict.waits_for:
        say(f"  waits for {root.task}: {root.reasons[0]}")
        for reason in root.reasons[1:]:
            say(f"    and {reason}")


def _lacks(verdicts: Iterable[Verdict]) -> list[Lack]:
    """The models that these tasks wait for, or those before them; once, however many tasks that are."""
    found = [each.lack for verdict in verdicts for each in (verdict, *verdict.waits_for)]
    return list(dict.fromkeys(lack for lack in found if lack))


def _last(verdict: Verdict) -> str:
    if not verdict.last or not verdict.last.get("at"):
        return ""
    at = datetime.fromtimestamp(float(verdict.last["at"])).strftime("%Y-%m-%d %H:%M")
    first, more, _ = str(verdict.last.get("why") or "").partition("; ")  # --json has all of them
    why_then = f", because: {first}{', ...' if more else ''}" if first else ""
    return f" (last {verdict.last['state']} {at} in {clock(float(verdict.last['seconds']))}{why_then})"


def _plain(verdict: Verdict) -> dict[str, object]:
    from dubd.models.store import name

    return {
        "task": verdict.task,
        "targets": list(verdict.targets),
        "stale": verdict.stale,
        "reasons": list(verdict.reasons),
        "model": {"names": [name(model) for model in lack.models], "says": lack.says, "remedy": lack.remedy}
        if (lack := verdict.lack)
        else None,
        "waits_for": [{"task": root.task, "reasons": list(root.reasons)} for root in verdict.waits_for],
        "last": dict(verdict.last) if verdict.last else None,
    }
