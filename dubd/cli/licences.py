"""dubd licences: on what terms the engines and models of a rule may be used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dubd.cli.asked import asked
from dubd.cli.console import say, show_json
from dubd.folders import Folders

if TYPE_CHECKING:
    from dubd.graph.rule import Rule

_SAYS = {True: "commercial use: yes", False: "NO commercial use", None: "commercial use: not known"}
_STYLE = {True: "green", False: "red", None: "yellow"}


def licences(
    rule: Annotated[str, typer.Argument(metavar="RULE", help="A rule's name, the path of one, or a video.")],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show each engine's and each model's licence for a rule, and whether the whole may be used commercially.

    That goes as far as the licences say: it knows nothing of your video, of the voices in it, or of your law.
    """
    from dubd.models.licences import together

    found = asked(rule, Folders.find())
    rows = terms(found)
    whole = together(row["commercial"] for row in rows)
    if json:
        show_json({"rule": found.name, "commercial": whole, "parts": rows})
        return
    for row in rows:
        say(f"{row['stage']}: {row['kind']} {row['name']}: {row['licence']}; {_SAYS[row['commercial']]}")
        if row["commercial"] is None and row["home"]:
            say(f"  read {row['home']}")
    because = dict.fromkeys(row["name"] for row in rows if row["commercial"] is whole) if whole is not True else ()
    cause = f" ({', '.join(because)})" if because else ""
    say(f"{found.name} as a whole: {_SAYS[whole]}{cause}, as far as the licences say", _STYLE[whole])


def terms(rule: Rule) -> list[dict[str, Any]]:
    """A row for each engine that a video of the rule goes through, and for each model that it loads."""
    from dubd.engines import registry
    from dubd.graph.needed import active, needed
    from dubd.models.licences import commercial, of_code
    from dubd.models.model import Own

    rows: list[dict[str, Any]] = []

    def row(stage: str, kind: str, name: str, licence: str, may: bool | None, home: str | None = None) -> None:
        rows.append({"stage": stage, "kind": kind, "name": name, "licence": licence, "commercial": may, "home": home})

    for stage, chosen in active(rule):
        engine = registry.find(stage, chosen.engine)
        models = needed(stage, chosen)
        own = engine.published and models and all(isinstance(model, Own) for model in models)
        licence = of_code(engine.licence) if own else engine.licence  # of the published weights none is loaded
        row(stage, "engine", chosen.engine, licence, commercial(licence, engine.commercial))
        for model in models:
            if isinstance(model, Own):
                row(stage, "model", str(model.path), "your own file: its terms are yours to know", None)
            else:
                may = commercial(model.licence, model.commercial)
                row(stage, "model", model.name, model.licence, may, model.home)
    return rows
