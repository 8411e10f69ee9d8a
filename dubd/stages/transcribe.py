"""transcribe: who says what and when in a segment, from the sound or from a subtitle file that a person gave."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np
import soundfile
from scipy.signal import resample_poly

from dubd.engines.contract import Engine, Heard, Recording
from dubd.errors import DubdError
from dubd.media import pitch, sound, subtitles
from dubd.media.timeline import SAMPLE_RATE
from dubd.stages.job import Facts, Job, Outcome, attempt
from dubd.stages.utterances import from_cues, from_words, joined

RATE: Final = 16_000  # Hz, what recognisers take
_LEAST_VOICED: Final = 5  # frames of 10 ms: the shortest vowel
_VOICED: Final = 0.1  # of a stretch: speech has about a half, white and brown noise under .05
_MOVING: Final = 1.01  # from the lower to the higher pitches, a sixth of a semitone: no voice is as steady


@dataclass(frozen=True, eq=False)
class _Segment:
    """A job's sound and subtitles before anything is recognised; times in s from the segment's start."""

    start: float  # on the programme clock
    seconds: float
    recording: Recording
    cues: tuple[subtitles.Cue, ...] | None


def run(jobs: Sequence[Job], engine: Engine[Recording, Heard] | None = None) -> list[Outcome]:
    """Input `audio` (48 kHz), `subtitles` where given; params `language`, `start`, `segment`; output `transcript`.

    All recordings of the batch go to the engine in one call. A segment without speech has no utterances.
    """
    segments: list[_Segment | DubdError] = [_prepare(job) for job in jobs]
    asked = [one for one in segments if isinstance(one, _Segment) and one.cues is None and one.recording.speech]
    answers: dict[int, Heard | Exception] = {}
    if asked and engine is not None:
        heard = engine.run([one.recording for one in asked])
        answers = {id(one): answer for one, answer in zip(asked, heard, strict=True)}
    outcomes: list[Outcome] = []
    for job, segment in zip(jobs, segments, strict=True):
        if isinstance(segment, DubdError):
            outcomes.append(segment)
        else:
            outcomes.append(attempt(partial(_write, job, segment, answers.get(id(segment))), job))
    return outcomes


def _prepare(job: Job) -> _Segment | DubdError:
    made: list[_Segment] = []

    def read() -> Facts:
        made.append(_read(job))
        return {}

    failed = attempt(read, job)
    return failed if isinstance(failed, DubdError) else made[0]


def _read(job: Job) -> _Segment:
    audio = job.inputs["audio"]
    with soundfile.SoundFile(str(audio)) as file:
        if file.samplerate != SAMPLE_RATE:
            raise DubdError(f"sound at {file.samplerate} Hz, not {SAMPLE_RATE}", file=audio, stage=job.stage)
        samples = file.read(dtype="float32", always_2d=True).mean(axis=1)
    start = job.params["segment"]["first_sample"] / SAMPLE_RATE
    cues = None
    if "subtitles" in job.inputs:
        shift = job.params["start"] + start
        cues = tuple(
            replace(cue, start=cue.start - shift, end=cue.end - shift)
            for cue in subtitles.read(job.inputs["subtitles"])
        )
    low = resample_poly(samples, RATE, SAMPLE_RATE).astype(np.float32)
    recording = Recording(low, job.params["language"], _stretches(samples, low))
    return _Segment(start, len(samples) / SAMPLE_RATE, recording, cues)


def _stretches(samples: np.ndarray, low: np.ndarray) -> tuple[tuple[float, float], ...]:
    """Where somebody speaks, in s; `samples` at 48 kHz and `low` at 16 kHz are the same sound."""
    spoken = sound.speech(sound.levels([samples], SAMPLE_RATE))
    edges = np.flatnonzero(np.diff(np.r_[False, spoken, False].astype(np.int8))).reshape(-1, 2) * sound.HOP
    spans = [(float(first), float(end)) for first, end in edges]
    return tuple(
        span
        for start, end in joined(spans)
        if _voiced(low[round(start * RATE) : round(end * RATE)])
        for span in spans
        if start <= span[0] and span[1] <= end
    )


def _voiced(samples: np.ndarray) -> bool:
    """Whether a voice is in `samples` (16 kHz): a noise has no pitch, a tone never moves."""
    found = pitch.fundamentals(samples)
    if len(found) < max(_LEAST_VOICED, _VOICED * len(samples) / RATE / sound.HOP):
        return False
    low, high = np.percentile(found, [10, 90])
    return bool(high > low * _MOVING)


def _write(job: Job, segment: _Segment, heard: Heard | Exception | None) -> Facts:
    speech = segment.recording.speech
    if isinstance(heard, Exception):
        raise heard
    if segment.cues is not None:
        origin, utterances = "subtitles", from_cues(segment.cues, speech, segment.seconds)
    else:
        words = heard.words if heard else ()
        origin, utterances = job.engine or "", from_words(words, speech, language=str(job.params["language"]))
    name = job.params["segment"]["id"]
    transcript = {
        "language": heard.language if heard else job.params["language"],
        "origin": origin,
        "utterances": [
            utterance.to_json(f"{name}-{number:02d}", segment.start) for number, utterance in enumerate(utterances, 1)
        ],
    }
    text = json.dumps(transcript, indent=2, ensure_ascii=False) + "\n"
    job.outputs["transcript"].write_text(text, encoding="utf-8")
    job.progress(1.0)
    return {
        "origin": origin,
        "utterances": len(utterances),
        "words": sum(len(utterance.text.split()) for utterance in utterances),
        "speech": round(sum(end - start for start, end in speech), 2),
        "confidence": round(float(np.mean([u.confidence for u in utterances])), 3) if utterances else None,
    }
