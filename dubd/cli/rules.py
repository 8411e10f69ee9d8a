"""dubd rules: look at the rules, and have them checked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubd.cli.console import complain, say, show_json
from dubd.errors import DubdError, Exit
from dubd.folders import Folders

app = typer.Typer(no_args_is_help=True, help="Look at the rules that say what a video becomes.")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command()
def check(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Rule files; without one, all in the rules folder.")
    ] = None,
    json: Json = False,
) -> None:
    """Tell everything that is wrong with a rule: one line a fault, with file:line and a remedy.

    A rule whose recogniser lacks the language is good for videos with subtitles alone, and says so.
    Exit code 3 where there is a fault.
    """
    from dubd.graph.rules import Rule, Rules, unrecognised
    from dubd.graph.rules import check as faults_of

    rules = Rules(Folders.find().rules)
    found: list[tuple[Path, Rule | None, list[DubdError]]] = [
        (path, *faults_of(path)) for path in files or rules.paths()
    ]
    if not found:
        raise DubdError("no rules", file=rules.folder, remedy="put a rule there, or set DUBD_RULES", exit=Exit.RULE)
    if not files and (clash := rules.clash()):
        found.append((rules.folder, None, [clash]))
    if json:
        show_json(
            [
                {
                    "file": str(path),
                    "faults": [fault.to_json() for fault in faults],
                    "needs_subtitles": bool(rule and unrecognised(rule)),
                }
                for path, rule, faults in found
            ]
        )
    for path, rule, faults in () if json else found:
        if rule:
            languages = f"{rule.languages.source} -> {', '.join(rule.languages.target)}"
            say(f"{path}: good, {languages}{', the default' if rule.default else ''}", "green")
            if lack := unrecognised(rule):
                say(f"{path}: note: {lack}; each video needs subtitles beside it", "yellow")
        for fault in faults:
            complain(fault)
    if any(faults for _, _, faults in found):
        raise typer.Exit(int(Exit.RULE))


@app.command("list")
def list_(json: Json = False) -> None:
    """The rules by name, with their languages and engines."""
    from dubd.graph.rules import Rules
    from dubd.graph.rules import check as faults_of

    rows = []
    for path in Rules(Folders.find().rules).paths():
        rule, faults = faults_of(path, ready=False)
        row: dict[str, object] = {"name": path.stem, "file": str(path), "good": not faults}
        if rule:
            row |= {
                "languages": rule.languages.model_dump(mode="json"),
                "default": rule.default,
                "engines": {stage: chosen.engine for stage, chosen in rule.stages},
            }
        rows.append((row, rule))
    if json:
        show_json([row for row, _ in rows])
        return
    for row, rule in rows:
        if rule is None:
            say(f"{row['name']}: wrong, see dubd rules check {row['file']}", "red")
        else:
            engines = ", ".join(f"{stage} {chosen.engine}" for stage, chosen in rule.stages)
            mark = " (default)" if rule.default else ""
            say(f"{rule.name}{mark}: {rule.languages.source} -> {', '.join(rule.languages.target)}; {engines}")
