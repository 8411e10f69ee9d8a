"""translate: each utterance of a transcript into the target language, once for all videos that say the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from dubd.engines.contract import Engine, Sentence, Translation
from dubd.errors import DubdError
from dubd.stages.job import Facts, Job, Outcome, attempt


def run(jobs: Sequence[Job], engine: Engine[Sentence, Translation]) -> list[Outcome]:
    """Input `transcript`, `glossary` where given; params `source`, `pivot`, `target`; output `translation`."""
    return [attempt(lambda job=job: _one(job, engine), job) for job in jobs]  # type: ignore[misc]


def _one(job: Job, engine: Engine[Sentence, Translation]) -> Facts:
    transcript = json.loads(job.inputs["transcript"].read_text("utf-8"))
    params = job.params
    utterances: list[dict[str, Any]] = transcript["utterances"]
    sentences = [Sentence(one["text"], params["source"], params["target"], params.get("pivot")) for one in utterances]
    lines = []
    for utterance, answer in zip(utterances, engine.run(sentences) if sentences else [], strict=True):
        if isinstance(answer, Exception):
            raise DubdError(str(answer), file=utterance["id"], stage=job.stage)
        lines.append(
            {
                **{key: utterance[key] for key in ("id", "start", "end", "speaker")},
                "source": utterance["text"],
                "pivot": answer.pivot,
                "text": answer.text,
                "alternatives": list(answer.alternatives),
            }
        )
    made = {"source": params["source"], "target": params["target"], "utterances": lines}
    job.outputs["translation"].write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return {"utterances": len(lines)}
