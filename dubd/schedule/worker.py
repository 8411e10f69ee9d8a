"""A worker process: one stage, one engine, loaded once; jobs come in over stdin, outcomes go out over stdout.

Run as `python -m dubd.schedule.worker STAGE [ENGINE]`, by any interpreter: nothing but the standard library is
imported before the stage and the engine are. Every line of the pipe is one JSON object:
in  `{"device", "params", "precision", "batch"}` once (the engine's load), on a GPU also `{"mib", "context", "lease",
    "environ"}`; then `{"jobs": [...], "batch"}` for each batch;
out `{"ready": seconds}` once, then any number of `{"progress": [job, fraction]}` and one `{"outcomes": [...]}` a batch;
    each outcome is `{"facts"}` or `{"error", "killed"}`, killed where signal 9 ended a program that the stage ran;
    `{"broken": error}` where the engine does not load, `{"full": what was said}` where the card has no room.
`ready` and `outcomes` also carry `{"memory": [now, most]}`, in MiB without the context, where it is known.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import logging
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, NoReturn

from dubd.engines import registry
from dubd.engines.contract import Engine, OutOfMemory, Room, Shot
from dubd.errors import DubdError
from dubd.media.killed import ProgramKilled
from dubd.schedule.footprint import EXIT, keep_within, measured, out_of_memory
from dubd.stages.job import Job, Outcome

log = logging.getLogger("dubd.worker")

_PR_SET_PDEATHSIG = 1
_PROGRESS_EVERY = 0.2  # seconds between two progress lines of one job


def main(argv: list[str]) -> None:
    """Serve until stdin closes."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    stage, engine_name = argv[0], argv[1] if len(argv) > 1 else None
    # Libraries print to stdout as they please; the pipe is a descriptor of its own.
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    began = time.monotonic()
    line = sys.stdin.readline()
    if _parted():
        return
    first, engine = json.loads(line), None
    try:
        if engine_name:
            engine = _load(stage, engine_name, first, pipe)
    except DubdError as error:
        _say(pipe, {"broken": error.to_json()})
        return
    except Exception as error:
        if out_of_memory(error):
            _full(pipe, error, 1)
        log.exception("loading %s", engine_name)
        reason = f"the engine {engine_name!r} did not load: {type(error).__name__}: {error}"
        _say(pipe, {"broken": DubdError(reason, stage=stage).to_json()})
        return
    _say(pipe, {"ready": round(time.monotonic() - began, 3), **_memory(engine)})
    for line in sys.stdin:
        asked = json.loads(line)
        if engine:
            engine.room = replace(engine.room, batch=asked["batch"])
        jobs = [_job(data, index, pipe) for index, data in enumerate(asked["jobs"])]
        outcomes = [_as_json(outcome) for outcome in _run(jobs, engine)]
        _say(pipe, {"outcomes": outcomes, **_memory(engine)})


def _load(stage: str, name: str, first: Mapping[str, Any], pipe: IO[str]) -> Engine[Any, Any]:
    """The engine with its model in memory, within the lease where it has one."""
    os.environ.update(first.get("environ", {}))
    if "lease" in first:
        os.set_inheritable(first["lease"], False)  # ffmpeg must not hold the card's memory when this process ends
    found = registry.find(stage, name)
    engine = found()
    engine.room = Room(first.get("mib"), first["batch"])
    engine.precision = first["precision"]
    if "mib" in first:
        keep_within(first["mib"] - first["context"])
    engine.load(first["device"], found.Params(**first["params"]))
    _watch(engine, pipe)
    return engine


def _watch(engine: Engine[Any, Any], pipe: IO[str]) -> None:
    """End the process at once where the card has no room: whoever caught the error would keep the memory alive."""
    for call in ("run", "condition"):
        setattr(engine, call, _watched(engine, getattr(engine, call), pipe))


def _watched(engine: Engine[Any, Any], run: Callable[[Any], list[Any]], pipe: IO[str]) -> Callable[[Any], list[Any]]:
    most = 0

    def watched(batch: Sequence[Any]) -> list[Any]:
        nonlocal most
        # A shot's items are its frames, and what an earlier call took may still be held.
        room = engine.room.batch
        most = max(most, room if any(isinstance(item, Shot) for item in batch) else min(len(batch), room))
        try:
            made = run(batch)
        except Exception as error:
            if out_of_memory(error):
                _full(pipe, error, most)
            raise
        for one in made:
            if isinstance(one, Exception) and out_of_memory(one):
                _full(pipe, one, most)
        return made

    return watched


def _full(pipe: IO[str], error: Exception, items: int) -> NoReturn:
    log.exception("no room on the card", exc_info=error)
    if isinstance(error, OutOfMemory) and error.alone:
        items = 1
    _say(pipe, {"full": f"{type(error).__name__}: {error}", "items": items})
    os._exit(EXIT)


def _memory(engine: Engine[Any, Any] | None) -> dict[str, tuple[int, int]]:
    found = measured(engine) if engine else None
    return {"memory": found} if found else {}


def _run(jobs: list[Job], engine: Engine[Any, Any] | None) -> list[Outcome]:
    """Each stage's jobs in one call: one engine may serve two stages (registry.group)."""
    outcomes: dict[str, list[Outcome]] = {}
    for stage in dict.fromkeys(job.stage for job in jobs):
        outcomes[stage] = _run_stage(stage, [job for job in jobs if job.stage == stage], engine)
    return [outcomes[job.stage].pop(0) for job in jobs]


def _run_stage(stage: str, jobs: list[Job], engine: Engine[Any, Any] | None) -> list[Outcome]:
    try:
        outcomes: list[Outcome] = importlib.import_module(f"dubd.stages.{stage}").run(jobs, engine)
        return outcomes
    except ModuleNotFoundError as error:
        log.exception("%s", ", ".join(job.task for job in jobs))
        remedy = f"{sys.executable} -m pip install it: the stage needs it beside the engine"
        return [DubdError(f"{error.name} is not there", stage=stage, remedy=remedy)] * len(jobs)
    except Exception as error:
        log.exception("%s", ", ".join(job.task for job in jobs))
        failure = DubdError(f"{type(error).__name__}: {error}", stage=stage, remedy="see the log for the traceback")
        return [failure] * len(jobs)


def _job(data: dict[str, Any], index: int, pipe: IO[str]) -> Job:
    return Job(
        task=data["task"],
        stage=data["stage"],
        inputs={name: Path(path) for name, path in data["inputs"].items()},
        lists={name: tuple(map(Path, paths)) for name, paths in data["lists"].items()},
        outputs={name: Path(path) for name, path in data["outputs"].items()},
        params=data["params"],
        engine=data["engine"],
        cache=Path(data["cache"]) if data["cache"] else None,
        progress=_teller(index, pipe),
    )


def _teller(index: int, pipe: IO[str]) -> Callable[[float], None]:
    last = 0.0

    def progress(fraction: float) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= _PROGRESS_EVERY:
            last = now
            _say(pipe, {"progress": [index, round(min(1.0, max(0.0, fraction)), 4)]})

    return progress


def _as_json(outcome: Outcome) -> dict[str, Any]:
    if not isinstance(outcome, DubdError):
        return {"facts": outcome}
    return {"error": outcome.to_json(), "killed": isinstance(outcome, ProgramKilled)}


def _say(pipe: IO[str], message: dict[str, Any]) -> None:
    pipe.write(json.dumps(message) + "\n")
    pipe.flush()


def die_with_parent() -> None:
    """No worker outlives the process that started it, however that one ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _parted() -> bool:
    """Whether whoever started this worker has ended, perhaps before `die_with_parent`: no load is begun for nobody.

    The pipe tells, also where another process stands between, such as a `python:` that is a script.
    """
    pipe = select.poll()
    pipe.register(0, 0)  # what is asked for without asking: POLLHUP
    return bool(pipe.poll(0))


if __name__ == "__main__":
    main(sys.argv[1:])
