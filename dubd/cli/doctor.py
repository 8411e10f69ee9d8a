"""dubd doctor: can this machine dub, and if not, what to install."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from dubd.cli.console import say, show_json
from dubd.errors import Exit
from dubd.folders import Folders

_STYLE = {"good": "green", "note": "yellow", "bad": "red"}


def doctor(json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False) -> None:
    """Look at tools, engines, folders, disk and devices, and name a remedy for what is missing.

    Exit code 1 where the default rule cannot run.
    """
    from dubd.service.health import findings

    found = []
    for finding in findings(Folders.find()):
        found.append(finding)
        if not json:
            remedy = f"; {finding.remedy}" if finding.remedy else ""
            say(f"{finding.level}  {finding.what}: {finding.says}{remedy}", _STYLE[finding.level])
    if json:
        show_json([asdict(finding) for finding in found])
    if any(finding.level == "bad" for finding in found):
        raise typer.Exit(int(Exit.FAILED))
