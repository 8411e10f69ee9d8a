"""translate: each utterance of a transcript into the target language, once for all videos that say the same."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from dubd.engines.contract import Engine, Sentence, Translation
from dubd.engines.placeholders import occurring
from dubd.errors import DubdError
from dubd.models import store
from dubd.stages import choice, glossary
from dubd.stages.job import Facts, Job, Outcome, attempt
from dubd.stages.memory import Memory, key

_LANGUAGES = ("source", "pivot", "target")


@dataclass(frozen=True)
class _Asked:
    """A job's utterances and what is to be asked for each: a sentence and its key, None where nothing is said."""

    utterances: Sequence[Mapping[str, Any]]
    sentences: Sequence[tuple[str, Sentence] | None]


def run(jobs: Sequence[Job], engine: Engine[Sentence, Translation]) -> list[Outcome]:
    """Input `transcript`, `glossary` where given; params `source`, `pivot`, `target`; output `translation`.

    Whatever the batch's cache does not know goes to the engine in one call, each sentence once.
    An utterance that fails fails its own job alone. Of several renderings the text is the one that fits the
    utterance's time (`choice`); the others are kept beside it, for a person to take.
    """
    asked: dict[int, _Asked] = {}
    outcomes: list[Outcome] = [attempt(partial(_ask, job, engine, asked, index), job) for index, job in enumerate(jobs)]
    wanted = {name: one for each in asked.values() for name, one in filter(None, each.sentences)}
    known, failed, recalled = _translated(wanted, engine, next((job.cache for job in jobs if job.cache), None))
    for index, each in asked.items():
        outcomes[index] = attempt(partial(_write, jobs[index], each, known, failed, recalled), jobs[index])
        jobs[index].progress(1.0)
    return outcomes


def _ask(job: Job, engine: Engine[Sentence, Translation], asked: dict[int, _Asked], index: int) -> Facts:
    utterances = _utterances(job.inputs["transcript"])
    source, pivot, target = (job.params.get(name) for name in _LANGUAGES)
    given = glossary.read(job.inputs["glossary"]) if "glossary" in job.inputs else glossary.Glossary()
    others = _others(job, engine)
    sentences: list[tuple[str, Sentence] | None] = []
    for utterance in utterances:
        text = " ".join(utterance["text"].split())
        pivots = occurring(text, given.pivots) if pivot else ()
        sentence = Sentence(text, str(source), str(target), pivot or None, occurring(text, given.terms), pivots)
        terms = (sentence.glossary, *([pivots] if pivots else []))
        name = key(engine.name, engine.revision(), others, source, pivot or None, target, text, *terms)
        sentences.append((name, sentence) if text else None)
    asked[index] = _Asked(utterances, sentences)
    return {}


def _others(job: Job, engine: Engine[Sentence, Translation]) -> dict[str, Any]:
    """What else may change a translation: the engine's parameters, and what its models hold in place of their names."""
    named = {*_LANGUAGES, *engine.model_params}
    others = {name: value for name, value in job.params.items() if name not in named}
    own = {one.name: job.params[one.name] for one in fields(engine.Params) if one.name in job.params}
    models = [store.identity(model) for model in engine.models(engine.Params(**own))]
    return {**others, "models": models, "precision": engine.precision}


def _translated(
    wanted: Mapping[str, Sentence], engine: Engine[Sentence, Translation], cache: Path | None
) -> tuple[dict[str, Translation], dict[str, Exception], Set[str]]:
    """Translations and failures by key, out of the cache where it has them, and the keys of those that it had."""
    failed: dict[str, Exception] = {}
    with Memory(cache) as memory:
        known = memory.recall(wanted)
        recalled = frozenset(known)
        fresh = {name: sentence for name, sentence in wanted.items() if name not in known}
        made: dict[str, Translation] = {}
        for name, answer in zip(fresh, engine.run(list(fresh.values())) if fresh else [], strict=True):
            if isinstance(answer, Exception):
                failed[name] = answer
            else:
                made[name] = answer
        memory.learn(made)
    return {**known, **made}, failed, recalled


def _write(
    job: Job,
    asked: _Asked,
    known: Mapping[str, Translation],
    failed: Mapping[str, Exception],
    recalled: Set[str],
) -> Facts:
    lines, chosen, missed = [], 0, 0
    remembered = sum(one is not None and one[0] in recalled for one in asked.sentences)
    for utterance, one, room in zip(asked.utterances, asked.sentences, choice.spaces(asked.utterances), strict=True):
        if one and one[0] in failed:
            error = failed[one[0]]
            if isinstance(error, DubdError):
                raise error
            raise DubdError(f"utterance {utterance['id']}: {error}", file=job.task, stage=job.stage)
        first = known[one[0]] if one else Translation("")
        slot = float(utterance["end"]) - float(utterance["start"])
        made = choice.best(first, str(job.params["target"]), slot, room.spill)
        chosen += made.text != first.text
        missed += len(made.missed)
        lines.append(
            {
                **{name: utterance[name] for name in ("id", "start", "end", "speaker")},
                "source": utterance["text"],
                "pivot": made.pivot,
                "text": made.text,
                "alternatives": list(made.alternatives),
            }
        )
    done = {"source": job.params["source"], "target": job.params["target"], "utterances": lines}
    job.outputs["translation"].write_text(json.dumps(done, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    before = sum(len(line["source"]) for line in lines)
    return {
        "utterances": len(lines),
        "characters": before,
        "length": round(sum(len(line["text"]) for line in lines) / before, 3) if before else None,
        **({"chosen_by_length": chosen} if chosen else {}),
        **({"glossary_missed": missed} if missed else {}),
        **({"remembered": remembered} if remembered else {}),  # utterances that the translation memory had
    }


def _utterances(path: Path) -> list[dict[str, Any]]:
    """The transcript's utterances; DubdError where a hand edit left something that cannot be read."""
    try:
        utterances = json.loads(path.read_text(encoding="utf-8"))["utterances"]
    except json.JSONDecodeError as error:
        raise DubdError(f"line {error.lineno}: {error.msg}", file=path, remedy="mend it, or remove it") from error
    except (KeyError, TypeError, UnicodeDecodeError) as error:
        raise DubdError("not a transcript", file=path, remedy="remove it, and it is made again") from error
    for number, one in enumerate(utterances, 1):
        if not (isinstance(one, dict) and isinstance(one.get("text"), str) and {"start", "end"} <= one.keys()):
            raise DubdError(f"utterance {number} lacks its text or times", file=path, remedy="mend it, or remove it")
    return [{"id": f"{number}", "speaker": "S1", **one} for number, one in enumerate(utterances, 1)]
