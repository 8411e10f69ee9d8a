"""dubd models: what the engines load, brought here, checked, and shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dubd.cli.asked import asked, file_of, readable
from dubd.cli.console import complain, console, say, show_json
from dubd.errors import DubdError, Exit
from dubd.folders import Folders

if TYPE_CHECKING:
    from dubd.graph.rule import Rule
    from dubd.models.model import Model, Needed, Own

app = typer.Typer(no_args_is_help=True, help="The model files that engines load: show, bring and check them.")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
_STYLE = {"good": "green", "bad": "red", "unsummed": "yellow", "partial": "yellow", "absent": "yellow"}


@app.command("list")
def list_(json: Json = False) -> None:
    """Every published model of the installed engines: size, whether it is here, its licence, the rules that use it."""
    from dubd.graph.needed import published

    users = _users(Folders.find())
    rows: dict[str, dict[str, Any]] = {}
    for stage, engine, word, model in published():
        row = rows.setdefault(model.name, _row(model) | {"rules": users.get(model, []), "engines": []})
        row["engines"].append({"stage": stage, "engine": engine, "model": word})
    if json:
        show_json(list(rows.values()))
    elif not rows:
        say("no installed engine publishes a model: dubd doctor tells what can be installed")
    else:
        _show(list(rows.values()))


def _row(model: Model) -> dict[str, Any]:
    from dubd.models import store

    lacking, files = store.lacking(model), store.as_they_are(model)
    folder = store.place(model)
    some = len(lacking) < len(model.files) or any(store.begun(folder / file.path) for file in lacking)
    state = "here" if not lacking else "partial" if some else "absent"
    return {
        "name": model.name,
        "state": state,
        "bytes": store.size(files),
        "licence": model.licence,
        "home": model.home,
        "revision": model.revision or None,
        "path": str(folder),
        "files": [
            {
                "path": file.path,
                "bytes": file.size,
                "sha256": file.sha256,
                "url": file.url,
                "here": known not in lacking,
            }
            for file, known in zip(files, model.files, strict=True)
        ],
    }


def _users(folders: Folders) -> Mapping[Needed, list[str]]:
    from dubd.graph.needed import of_rule

    users: dict[Needed, list[str]] = {}
    for rule in readable(folders):
        for model in dict.fromkeys(model for models in of_rule(rule).values() for model in models):
            users.setdefault(model, []).append(rule.name)
    return users


def _show(rows: Sequence[Mapping[str, Any]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from dubd.models.model import File
    from dubd.models.store import size_said

    table = Table(box=SIMPLE_HEAD)
    for title in ("model", "size", "", "licence", "rules"):
        table.add_column(title, justify="right" if title == "size" else "left")
    for row in rows:
        size = size_said(File(file["path"], None, file["bytes"]) for file in row["files"]) or "not known"
        state = {"here": "here", "partial": "partly here", "absent": "not here"}[row["state"]]
        table.add_row(row["name"], size, state, row["licence"], ", ".join(row["rules"]) or "-")
    console().print(table, markup=False)
    if any(row["bytes"] is None for row in rows):
        say("at least: the size of some files is told by the server alone, when they are loaded")


@app.command()
def pull(
    what: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RULE|MODEL]...", help="Rules, videos or models; without one, what all rules need."),
    ] = None,
) -> None:
    """Load what is not here. It goes on where it was stopped, and checks every byte.

    [bold]dubd models pull kannada-hindi[/]  all models of a rule

    [bold]dubd models pull whisper/large-v3[/]  one model by its name in dubd models list
    """
    from dubd.cli.loading import loading
    from dubd.models import store
    from dubd.models.pull import pull as bring
    from dubd.schedule.stopping import stopping

    folders = Folders.find()
    rules = _rules(what or [], folders)
    models, own = _meant(what or [], rules)
    faults = _own_absent(what or [], folders) if any(map(store.lacking, own)) else []
    for fault in faults:
        complain(fault)
    absent = [model for model in models if store.lacking(model)]
    if not absent:
        if not faults:
            names = ", ".join(model.name for model in models)
            none = "the models are files of your own" if own else "no rule needs a model"
            say(f"nothing to load: {f'{names} in {store.root()}' if names else none}", "green")
        _leave(faults)
        return
    with stopping(_interrupt), loading() as shown:
        for fault in bring(absent, shown):
            shown.fault(fault)
            faults.append(fault)
    _leave(faults)


def _interrupt() -> None:
    raise KeyboardInterrupt  # by either signal, so that what is left is in order


def _leave(faults: Sequence[DubdError]) -> None:
    if faults:
        raise typer.Exit(int(faults[0].exit))


def _rules(words: Sequence[str], folders: Folders) -> list[Rule]:
    """The rules among `words`, all where there is none. Errors: DubdError where a word is neither rule nor model."""
    from dubd.graph.needed import by_name

    known = by_name()
    for text in words:
        if text not in known and "/" in text and not text.endswith((".yaml", ".yml")):
            raise _no_model(text, known)
    return [_rule(text, known, folders) for text in words if text not in known] if words else readable(folders)


def _meant(words: Sequence[str], rules: Iterable[Rule]) -> tuple[list[Model], list[Own]]:
    """What is to be here for `words`, of which `rules` are the rules: published models and the user's, each once."""
    from dubd.graph.needed import by_name, of_rule
    from dubd.models.model import Model

    known = by_name()
    found: dict[Needed, None] = {known[text]: None for text in words if text in known}
    for rule in rules:
        for models in of_rule(rule).values():
            found.update(dict.fromkeys(models))
    published = [model for model in found if isinstance(model, Model)]
    return published, [model for model in found if not isinstance(model, Model)]


def _own_absent(words: Sequence[str], folders: Folders) -> list[DubdError]:
    """What `dubd rules check` says of models of the user's own that these rules lack: no pull brings those."""
    from dubd.graph.needed import by_name
    from dubd.graph.rules import Rules, check

    known = by_name()
    named = [file_of(text, folders) for text in words if text not in known]
    paths = named if words else Rules(folders.rules).paths()
    return [fault for path in paths for fault in check(path)[1] if fault.absent]


def _rule(text: str, known: Mapping[str, Model], folders: Folders) -> Rule:
    """Errors: DubdError, which names the models where `text` is no rule but what a rule calls a model."""
    try:
        return asked(text, folders)
    except DubdError as error:
        if error.exit == Exit.USAGE and _called(text, known):
            raise _no_model(text, known) from error
        raise


def _called(text: str, known: Iterable[str]) -> list[str]:
    """The names in the store of the models that rules call `text`."""
    return [name for name in known if name.partition("/")[2] == text]


def _no_model(text: str, known: Mapping[str, Model]) -> DubdError:
    import difflib

    close = _called(text, known) or difflib.get_close_matches(text, known, n=1)
    remedy = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(known) or 'none'}"
    return DubdError(f"no model {text!r}", remedy=remedy, exit=Exit.USAGE)


@app.command()
def add(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files that you have got.")],
    as_: Annotated[
        str | None, typer.Option("--as", metavar="MODEL", help="Whose it is, where its publisher gives no sum.")
    ] = None,
) -> None:
    """Take model files that you have got yourself: recognised by their sha256, copied, and checked.

    Bytes that are not the published ones never go by a published model's name. Load those as your own, with
    model: /path/to/file in the rule.
    """
    from dubd.graph.needed import by_name
    from dubd.models.add import add as take

    known = by_name()
    if as_ is not None and as_ not in known:
        raise _no_model(as_, known)
    fault: DubdError | None = None
    for path in files:
        try:
            places = take(path, known.values(), known.get(as_) if as_ else None, _waits)
        except DubdError as error:
            complain(error)
            fault = fault or error
            continue
        for place in places:
            say(f"{path}: is {place}", "green")
    if fault:
        raise typer.Exit(int(fault.exit))


def _waits() -> None:
    say("another process writes it: waiting", "yellow")


@app.command()
def verify(json: Json = False) -> None:
    """Read every model file that is here, and hold it against its sha256. Exit code 1 where one is bad.

    Models of your own have no published sum; they are looked for where the rules name them.
    """
    from dubd.graph.needed import by_name
    from dubd.models.model import Own
    from dubd.models.verify import verify as checked

    mine = [model for model in _users(Folders.find()) if isinstance(model, Own)]
    found = []
    for each in checked([*by_name().values(), *mine]):
        found.append(each)
        if not json and each.state != "absent":
            what = f"{each.model}/{each.path}" if each.path else each.model
            says = ", ".join(part for part in (each.state, each.says) if part)
            say(f"{what}: {says}{f'; {each.remedy}' if each.remedy else ''}", _STYLE[each.state])
        elif not json and not each.path:
            complain(DubdError(each.says, file=each.model, remedy=each.remedy))
    if json:
        show_json([vars(each) for each in found])
    elif all(each.state == "absent" for each in found):
        say("no published model is here")
    if any(each.state == "bad" or (each.state == "absent" and not each.path) for each in found):
        raise typer.Exit(int(Exit.FAILED))


@app.command()
def path(
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="A model; without one, where all lie.")] = None,
) -> None:
    """Print where models lie, or one of them, whether it is here or not."""
    from dubd.graph.needed import by_name
    from dubd.models import store

    if model is None:
        print(store.root())
        return
    known = by_name()
    if model not in known:
        raise _no_model(model, known)
    print(store.place(known[model]))
