"""A worker process: one stage, one engine, loaded once; jobs come in over stdin, outcomes go out over stdout.

Run as `python -m dubd.schedule.worker STAGE [ENGINE]`. Every line of the pipe is one JSON object:
in  `{"device", "params"}` once (the engine's load), then `{"jobs": [...]}` for each batch;
out `{"ready": seconds}` once, then any number of `{"progress": [job, fraction]}` and one `{"outcomes": [...]}` a batch.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from dubd.engines import registry
from dubd.engines.contract import Engine
from dubd.errors import DubdError
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
    first = json.loads(sys.stdin.readline())
    try:
        engine = _load(stage, engine_name, first["device"], first["params"]) if engine_name else None
    except DubdError as error:
        _say(pipe, {"broken": error.to_json()})
        return
    except Exception as error:
        log.exception("loading %s", engine_name)
        reason = f"the engine {engine_name!r} did not load: {type(error).__name__}: {error}"
        _say(pipe, {"broken": DubdError(reason, stage=stage).to_json()})
        return
    _say(pipe, {"ready": round(time.monotonic() - began, 3)})
    for line in sys.stdin:
        jobs = [_job(data, index, pipe) for index, data in enumerate(json.loads(line)["jobs"])]
        _say(pipe, {"outcomes": [_as_json(outcome) for outcome in _run(jobs, engine)]})


def _load(stage: str, name: str, device: str, params: dict[str, Any]) -> Engine[Any, Any]:
    found = registry.find(stage, name)
    engine = found()
    engine.load(device, found.Params(**params))
    return engine


def _run(jobs: list[Job], engine: Engine[Any, Any] | None) -> list[Outcome]:
    stage = jobs[0].stage
    try:
        outcomes: list[Outcome] = importlib.import_module(f"dubd.stages.{stage}").run(jobs, engine)
        return outcomes
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
    return {"error": outcome.to_json()} if isinstance(outcome, DubdError) else {"facts": outcome}


def _say(pipe: IO[str], message: dict[str, Any]) -> None:
    pipe.write(json.dumps(message) + "\n")
    pipe.flush()


def die_with_parent() -> None:
    """No worker outlives the process that started it, however that one ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
