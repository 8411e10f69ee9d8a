"""One rule file: read from YAML, checked against the engines that are here, and every fault in it told."""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dubd.engines import registry
from dubd.engines.contract import Engine
from dubd.errors import DubdError, Exit
from dubd.graph import device, interpreter, sidecar
from dubd.graph.marked import Marked, Where
from dubd.graph.rule import OWN_KEYS, Clip, Languages, Output, Part, Rule, Segments, complete
from dubd.models.model import Needed, Own, one_file, own

_LITE = {
    "transcribe": "pocketsphinx",
    "translate": "apertium",
    "speak": "espeak",
    "faces": "dlib",
    "lipsync": "mouths",
    "restore": "sharpen",
}
_MAY_BE_NONE = ("lipsync", "restore")


class _Check:
    """One reading of a rule file: the rule, or every fault in it."""

    def __init__(self, path: Path, ready: bool, beside: bool, inside: Path | None) -> None:
        self.marked = Marked(path, inside=inside)
        self.ready, self.beside = ready, beside
        self.faults: list[DubdError] = []

    def fault(
        self, where: Where, reason: str, remedy: str = "", *, key: bool = False, absent: Sequence[Path] = ()
    ) -> None:
        line = self.marked.line(where, key=key)
        stage = str(where[1]) if len(where) > 1 and where[0] == "stages" else None
        file = f"{self.marked.path}:{line}"
        self.faults.append(DubdError(reason, file=file, stage=stage, remedy=remedy, exit=Exit.RULE, absent=absent))

    def rule(self) -> Rule | None:
        data = self.marked.data
        if not isinstance(data, dict):
            self.fault((), "a rule is a mapping of keys to values", "begin with languages: {source: en, target: es}")
            return None
        if self.beside and not sidecar.trusted():
            for where, reason in sidecar.forbidden(data, self.marked.path.parent):
                self.fault(where, reason, sidecar.REMEDY, key=True)
            if self.faults:
                return None  # nothing that it names is looked at
        for name, line in self.marked.twice():
            file = f"{self.marked.path}:{line}"
            self.faults.append(DubdError(f"{name!r} stands twice", file=file, remedy="keep one", exit=Exit.RULE))
        given = data.get("stages") or {}
        if not isinstance(given, dict):
            self.fault(("stages",), "stages is a mapping of stage names", "stages: {speak: {engine: espeak}}")
            given = {}
        for stage in given.keys() - set(registry.STAGES):
            self.fault(("stages", str(stage)), f"unknown stage {stage!r}", near(str(stage), registry.STAGES), key=True)
        stages = {stage: self.stage(stage, given.get(stage, {})) for stage in registry.STAGES}
        try:
            rule = Rule.model_validate_json(
                json.dumps({"name": self.marked.path.stem, **data, "stages": stages}, default=str)
            )
        except ValidationError as error:
            self.explain(error, (), Rule)
            return None
        except (TypeError, ValueError) as error:  # a date as a key, a number without end
            self.fault((), f"not a rule: {error}", "keys are words")
            return None
        self.languages(rule)
        self.devices(rule)
        if rule.stages.speak.params.get("voice") == "clone" and not rule.consent:
            self.fault(
                ("stages", "speak", "voice"),
                "a cloned voice needs its owner's consent",
                "add consent: true to the rule",
            )
        return None if self.faults else rule

    def stage(self, stage: str, given: object) -> dict[str, Any]:
        """One stage's canonical form: engine, its own keys, and the engine's parameters with their defaults."""
        own: dict[str, Any] = {"engine": _LITE[stage]}
        if isinstance(given, str):
            given = {"engine": given}
        if not isinstance(given, dict):
            self.fault(("stages", stage), "should be a mapping", f"{stage}: {{engine: {_LITE[stage]}}}")
            return own
        own |= {key: given[key] for key in OWN_KEYS if key in given}
        params = {key: value for key, value in given.items() if key not in own}
        if "glossary" in own:
            own["glossary"] = self.glossary(stage, own["glossary"])
        name = own["engine"]
        if not isinstance(name, str):
            self.fault(("stages", stage, "engine"), "should be the name of an engine", f"engine: {_LITE[stage]}")
            own["engine"] = _LITE[stage]
        elif name == "none" and stage not in _MAY_BE_NONE:
            self.fault(("stages", stage, "engine"), "this stage cannot be left out", f"engine: {_LITE[stage]}")
        elif name == "none":
            for key in params:
                self.fault(("stages", stage, key), f"{key!r} has no meaning with engine: none", "remove it", key=True)
        else:
            self.engine(stage, name, own, params)
        if isinstance(own.get("python"), str):  # else it is a parameter of the engine, which runs it itself
            own["python"] = self.python(stage, own["python"])
        return own

    def engine(self, stage: str, name: str, own: dict[str, Any], params: dict[str, Any]) -> None:
        """Resolve the engine's own name and complete its parameters, in `own`."""
        where = ("stages", stage, "engine")
        try:
            engine = registry.find(stage, name)
        except DubdError as error:
            self.fault(where, error.reason, error.remedy)
            return
        if engine.name in registry.names(stage) and registry.find(stage, engine.name) is engine:
            own["engine"] = engine.name  # two words for one engine must not give two keys
        if self.ready and (missing := engine.missing()):
            self.fault(where, f"the engine {name!r} cannot run here", missing)
        own_precision = any(field.name == "precision" for field in dataclasses.fields(engine.Params))
        if (kind := own.get("precision")) is not None and not own_precision and kind not in engine.precisions:
            can = f"precision: {' or '.join(engine.precisions)}"
            self.fault(("stages", stage, "precision"), f"{name} does not run in {_short(kind)}", can)
        for field in dataclasses.fields(engine.Params):
            if field.name in own and field.name != "engine":
                params[field.name] = own.pop(field.name)  # an engine whose bytes depend on it keeps it in the key
        for name in engine.model_params:
            if isinstance(choice := params.get(name), str) and choice.startswith(("./", "../", "~")):
                params[name] = os.path.abspath(self.marked.path.parent / Path(choice).expanduser())
        own["params"] = self.parameters(stage, engine, params)

    def parameters(self, stage: str, engine: type[Engine[Any, Any]], params: dict[str, Any]) -> dict[str, Any]:
        """`params` completed; where they are wrong, each of those of a wrong kind, and what the engine says of others.

        A model is asked for by itself too: a parameter beside it must not hide that there is none of its name.
        """
        told: set[str] = set()
        sound = params
        try:
            made, models = self.completed(engine, params)
        except ValidationError as error:
            self.explain(error, ("stages", stage), engine.Params)
            wrong = {each["loc"][0] for each in error.errors(include_url=False) if each["loc"]}
            sound = {name: value for name, value in params.items() if name not in wrong}
        except (TypeError, ValueError):
            pass
        else:
            self.models(stage, made, engine, models)
            return made
        for some in (sound, {name: sound[name] for name in engine.model_params if name in sound}):
            try:
                made, models = self.completed(engine, some)
            except ValidationError:
                continue  # one that is required was left out with its fault
            except (TypeError, ValueError) as error:
                for reason in str(error).splitlines() or [type(error).__name__]:
                    if reason not in told:
                        self.fault(("stages", stage), reason, f"docs/engines tells what {engine.name} takes")
                    told.add(reason)
            else:
                self.models(stage, made, engine, models)
                break
        return params

    @staticmethod
    def completed(engine: type[Engine[Any, Any]], params: dict[str, Any]) -> tuple[dict[str, Any], tuple[Needed, ...]]:
        """Errors: ValidationError, ValueError (a line a fault) and TypeError."""
        made = complete(engine, params)
        return made, engine.models(engine.Params(**made))

    def models(
        self, stage: str, params: dict[str, Any], engine: type[Engine[Any, Any]], models: Sequence[Needed]
    ) -> None:
        """A model of one's own that is not there can only be a slip; a published one is waited for."""
        mine = [model.path for model in models if self.ready and isinstance(model, Own)]
        absent = [path for path in mine if not path.exists()]
        told = engine.lacks(engine.Params(**params)) if absent else None
        for path in absent[: 1 if told else None]:
            key = next((name for name in engine.model_params if path.is_relative_to(str(params.get(name)))), None)
            where = ("stages", stage, key) if key else ("stages", stage)
            reason, remedy = told or (f"no model at {path}", "paths are relative to the rule file")
            self.fault(where, reason, remedy, absent=absent if told else [path])
        if self.ready and len(engine.model_params) == 1:
            self.kind(stage, params, engine)

    def kind(self, stage: str, params: dict[str, Any], engine: type[Engine[Any, Any]]) -> None:
        """A folder in place of a model that is one file, or a file in place of one of several, cannot be loaded."""
        (key,) = engine.model_params
        mine, single = own(str(params.get(key))), one_file(engine.published.values())
        if mine is None or single is None or not mine.path.exists() or mine.path.is_dir() is not single:
            return
        wanted = "a model of one file" if single else "a folder with the files of a model"
        remedy = (
            "name the file itself" if single else f"name such a folder: docs/engines tells what {engine.name} loads"
        )
        reason = f"{mine.path} is a {'folder' if single else 'file'}, and {engine.name} loads {wanted}"
        self.fault(("stages", stage, key), reason, remedy)

    def glossary(self, stage: str, given: object) -> object:
        where = ("stages", stage, "glossary")
        if stage != "translate":
            self.fault(where, "only translate has a glossary", "move it to stages: translate:", key=True)
        elif not isinstance(given, str):
            self.fault(where, "should be the path of a .csv file", "glossary: glossary.csv")
        else:
            try:
                path = (self.marked.path.parent / given).resolve()
                found = path.is_file()
            except (OSError, ValueError):  # no file can have that name
                path, found = Path(given), False
            if not found:
                self.fault(where, f"no glossary at {path}", "paths are relative to the rule file", absent=[path])
            return str(path)
        return None

    def python(self, stage: str, given: str) -> str:
        """The interpreter as an absolute path, or a name on PATH; symbolic links are what makes an environment."""
        place = os.path.abspath(self.marked.path.parent / Path(given).expanduser()) if "/" in given else given
        if self.ready and (reason := interpreter.refusal(place)):
            self.fault(("stages", stage, "python"), reason, "python: /path/to/environment/bin/python")
        return place

    def languages(self, rule: Rule) -> None:
        """Let each engine say whether it can do the pair, once the names are known to be right."""
        for stage, chosen in rule.stages:
            if not chosen.on or self.faults:
                continue
            engine = registry.find(stage, chosen.engine)
            if found := engine.unfit(engine.Params(**chosen.params), rule.languages.source):
                key, reason, remedy = found
                self.fault(("stages", stage, key), reason, remedy)
            if stage == "transcribe":  # a sidecar may stand in for a recogniser that lacks the language altogether
                continue
            for target in rule.languages.target:
                steps = rule.languages.steps(target) if stage == "translate" else ((rule.languages.source, target),)
                for source, into in steps:
                    if refusal := engine.refuses(source, into):
                        self.fault(("languages",), f"{chosen.engine} ({stage}) cannot do {source} -> {into}: {refusal}")

    def devices(self, rule: Rule) -> None:
        """Refuse at once what no GPU of this machine could ever run."""
        for stage, chosen in rule.stages:
            if self.ready and not self.faults and chosen.on and (refused := device.refusal(stage, chosen)):
                key, reason, remedy = refused
                self.fault(("stages", stage, key), reason, remedy)

    def explain(self, error: ValidationError, above: Where, model: type[Any]) -> None:
        """Each of pydantic's faults as one line."""
        slips_first = sorted(error.errors(include_url=False), key=lambda entry: entry["type"] != "extra_forbidden")
        for entry in slips_first:  # a misspelt key says more than the one that is missing for it
            where = (*above, *(step for step in entry["loc"] if step not in ("params",)))
            label = ".".join(str(step) for step in where)
            if entry["type"] == "extra_forbidden":
                known = _keys(model, entry["loc"][:-1]) + (OWN_KEYS if above else ())
                self.fault(where, f"unknown key {where[-1]!r}", near(str(where[-1]), known), key=True)
            elif entry["type"] == "missing":
                self.fault(where, f"{label} is missing", "languages: {source: en, target: es}" if not above else "")
            else:
                message = entry["msg"][:1].lower() + entry["msg"][1:]
                self.fault(where, f"{label}: {message}, not {_short(entry['input'])}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def near(word: str, known: tuple[str, ...]) -> str:
    """What may have been meant by a word that is none of `known`."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(known) or 'none'}"


def _keys(model: type[Any], path: tuple[str | int, ...]) -> tuple[str, ...]:
    """The keys that may stand at `path` of a rule, or those of an engine's `Params`."""
    if dataclasses.is_dataclass(model):
        return tuple(field.name for field in dataclasses.fields(model))
    parts: dict[str, type[Part]] = {"languages": Languages, "clip": Clip, "segments": Segments, "output": Output}
    return tuple(parts.get(str(path[0]), Rule).model_fields if path else Rule.model_fields)


def check(
    path: Path, *, ready: bool = True, beside: bool = False, inside: Path | None = None
) -> tuple[Rule | None, list[DubdError]]:
    """The rule in `path`, and everything that is wrong with it: a rule comes only without faults.

    `ready` also asks each engine whether it can run here. `beside` is for a sidecar, which may say less, and with
    `inside` it must lie in that folder. Errors: none; unreadable files are a fault too.
    """
    try:
        reading = _Check(path, ready, beside, inside)
    except DubdError as error:
        return None, [error]
    return reading.rule(), reading.faults


def load(path: Path, *, ready: bool = True, beside: bool = False, inside: Path | None = None) -> Rule:
    """The rule in `path`. Errors: DubdError(Exit.RULE), file:line, stage and remedy; `also` has further faults."""
    rule, faults = check(path, ready=ready, beside=beside, inside=inside)
    if rule is None:
        faults[0].also = tuple(faults[1:])
        raise faults[0]
    return rule
