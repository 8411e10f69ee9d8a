"""Speak the translated lines, each fitted to the time in which the source said it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from dubd.engines.contract import Engine, Line, Spoken
from dubd.errors import DubdError
from dubd.media import ffmpeg, sound
from dubd.media.loudness import Meter, limited
from dubd.media.take import Take
from dubd.media.timeline import SAMPLE_RATE, milliseconds
from dubd.stages import clone
from dubd.stages.fit import Placed, Span, Utterance, fit
from dubd.stages.job import Facts, Job, Outcome, attempt

Speaker = Engine[Line, Spoken]

PAUSE: Final = 0.3  # s: a shorter silence of the source is no pause to follow
_WITHIN: Final = 0.1  # s of speech on both sides that make a silence a pause
_CALIBRATION: Final = "27, 58, 64, 91, 35, 82, 46, 70, 13."  # every language has its numbers
_LOUDNESS: Final = -18.0  # LUFS, where the source's is not known
_LOUDEST, _QUIETEST = -12.0, -36.0  # LUFS: a source beyond these was measured on something else than speech
_PEAK: Final = 10 ** (-1 / 20)  # -1 dBFS
_NATURAL: Final = 0.005  # a tempo this near to 1 is 1
_NOT_CLONED: Final = "not in the speaker's voice: no stretch of it is clean and long enough"
_NOTHING: Final = Take(np.zeros(0, np.float32))


@dataclass
class _Script:
    """One job on its way from text to sound. The lists run in step, one entry for each utterance."""

    job: Job
    begin: float = 0.0
    finish: float = 0.0
    utterances: list[dict[str, Any]] = field(default_factory=list)
    pauses: list[Span] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    loudness: list[float] = field(default_factory=list)  # LUFS, the source speaker's
    takes: list[Take] = field(default_factory=list)
    doubts: list[tuple[str, ...]] = field(default_factory=list)
    natural: list[float] = field(default_factory=list)  # s
    placed: list[Placed | None] = field(default_factory=list)  # None for a line that says nothing
    outcome: Outcome | None = None

    @property
    def failed(self) -> bool:
        return isinstance(self.outcome, DubdError)

    def attempt(self, step: Callable[[], Facts | None]) -> None:
        """Take a step, unless an earlier one failed; a failure is this job's alone."""
        if not self.failed:
            self.outcome = attempt(lambda: step() or {}, self.job)


def run(jobs: Sequence[Job], engine: Speaker) -> list[Outcome]:
    """Inputs `translation`, `speakers`, `audio`, to clone `latents`; outputs `speech` (16 bit, 48 kHz) and `timing`.

    Every line is said once at its natural rate, and once more where the engine itself can say it
    at the tempo that it needs; what the engine cannot do is stretched. One failing job fails alone.
    """
    scripts = [_Script(job) for job in jobs]
    for script in scripts:
        script.attempt(partial(_read, script))
    _say(engine, [(script, index) for script in scripts for index in range(len(script.lines))])
    for script in scripts:
        script.attempt(partial(_fit, script))
    _say(engine, [(script, index) for script in scripts for index in _paced(script, engine)])
    for script in scripts:
        script.attempt(partial(_write, script, engine))
    return [script.outcome or {} for script in scripts]


def _read(script: _Script) -> None:
    job = script.job
    segment = job.params["segment"]
    script.begin = segment["first_sample"] / SAMPLE_RATE
    script.finish = script.begin + segment["samples"] / SAMPLE_RATE
    speakers = _json(job, "speakers", "speakers")
    order = {name: place for place, name in enumerate(sorted(speakers))}
    latents = clone.read(job.inputs["latents"], job.stage) if "latents" in job.inputs else {}
    for utterance in sorted(_json(job, "translation", "utterances"), key=lambda one: float(one["start"])):
        speaker = speakers.get(utterance["speaker"], {})
        script.utterances.append(utterance)
        name, text = utterance["speaker"], utterance["text"].strip()
        said = Line(
            text, job.params["language"], "auto", 1.0, speaker.get("pitch"), order.get(name, 0), latents.get(name)
        )
        script.lines.append(said)
        known = speaker.get("loudness")
        script.loudness.append(_LOUDNESS if known is None else float(known))
    level = sound.levels(ffmpeg.audio_blocks(job.inputs["audio"], SAMPLE_RATE), SAMPLE_RATE)
    silent = sound.silences(sound.speech(level), PAUSE)
    script.pauses = [(script.begin + float(start), script.begin + float(end)) for start, end in silent]
    script.takes = [_NOTHING] * len(script.lines)
    script.doubts = [()] * len(script.lines)


def _say(engine: Speaker, wanted: Sequence[tuple[_Script, int]]) -> None:
    """Have the engine say these lines, all jobs' together, in batches as large as it takes."""
    todo = [(script, index) for script, index in wanted if not script.failed and script.lines[index].text]
    for start in range(0, len(todo), engine.batch):
        batch = todo[start : start + engine.batch]
        said = engine.run([script.lines[index] for script, index in batch])
        for (script, index), spoken in zip(batch, said, strict=True):
            script.attempt(partial(_keep, script, index, spoken))


def _keep(script: _Script, index: int, spoken: Spoken | Exception) -> None:
    if isinstance(spoken, Exception):
        raise _unsaid(spoken, script.job.inputs["translation"], script.utterances[index]["id"])
    script.takes[index] = Take.of(spoken.samples, spoken.rate, spoken.phonemes)
    script.doubts[index] = spoken.doubts
    if "latents" in script.job.inputs and script.lines[index].latents is None:
        script.doubts[index] += (_NOT_CLONED,)


def _fit(script: _Script) -> None:
    """Decide each line's tempo and place from its natural duration."""
    script.natural = [take.seconds for take in script.takes]
    heard = [index for index, seconds in enumerate(script.natural) if seconds > 0]
    timed = []
    for index in heard:
        utterance, take = script.utterances[index], script.takes[index]
        start, end = float(utterance["start"]), float(utterance["end"])
        pauses = tuple(one for one in script.pauses if start + _WITHIN <= one[0] and one[1] <= end - _WITHIN)
        timed.append(Utterance(utterance["speaker"], start, end, take.seconds, tuple(take.breaks()), pauses))
    script.placed = [None] * len(script.lines)
    for index, placed in zip(heard, fit(timed, script.begin, script.finish), strict=True):
        script.placed[index] = placed


def _paced(script: _Script, engine: Speaker) -> list[int]:
    """Lines that the engine is to say again, at a rate of its own; their `Line` has that rate from here on."""
    slowest, quickest = engine.rates
    again = []
    for index, placed in enumerate(script.placed):
        rate = 1.0 if placed is None else min(quickest, max(slowest, placed.tempo))
        if abs(rate - 1) > _NATURAL:
            script.lines[index] = replace(script.lines[index], rate=round(rate, 3))
            again.append(index)
    return again


def _write(script: _Script, engine: Speaker) -> Facts:
    first = round(script.begin * SAMPLE_RATE)
    mixed = np.zeros(round(script.finish * SAMPLE_RATE) - first, np.float32)
    told = []
    for index, placed in enumerate(script.placed):
        phonemes: list[tuple[float, str]] = []
        if placed:
            gain = _gain(engine, script, index)
            for at, piece in _pieces(script.takes[index], placed):
                sample = round(at * SAMPLE_RATE) - first
                mixed[sample : sample + len(piece.samples)] += gain * piece.samples
                phonemes += [(at + start, name) for start, name in piece.phonemes]
        told.append(_told(script, index, phonemes))
    mixed = limited(mixed, _PEAK)
    ffmpeg.write_wav(script.job.outputs["speech"], mixed, SAMPLE_RATE)
    meter = Meter()
    meter.add(mixed)
    loudness = meter.integrated()
    timing = {
        "language": script.job.params["language"],
        "loudness": round(loudness, 1) if math.isfinite(loudness) else None,
        "lines": told,
    }
    script.job.outputs["timing"].write_text(json.dumps(timing, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return _facts(script)


def _pieces(take: Take, placed: Placed) -> Iterator[tuple[float, Take]]:
    """The parts of the line as they sound, and when each starts; what is cut off at the end is not among them."""
    whole = take.lasting(placed.spoken)
    cuts = [0, *(whole.quietest(piece.first) for piece in placed.pieces[1:]), len(whole.samples)]
    for piece, (first, last) in zip(placed.pieces, pairwise(cuts), strict=True):
        # A cut moves to the quietest spot; what follows it keeps the time at which it was to be heard.
        at = piece.start + first / SAMPLE_RATE - piece.first * placed.spoken
        room = round(placed.end * SAMPLE_RATE) - round(at * SAMPLE_RATE)
        if room > 0:
            yield at, whole.part(first, min(last, first + room))


def _gain(engine: Speaker, script: _Script, index: int) -> float:
    """Brings the voice to the loudness of the source's speaker: the same for each of a speaker's lines."""
    line = script.lines[index]
    own = _voice_loudness(engine, replace(line, text=_CALIBRATION, rate=1.0))
    wanted = max(_QUIETEST, min(_LOUDEST, script.loudness[index]))
    return float(10 ** ((wanted - own) / 20))


@lru_cache(maxsize=256)
def _voice_loudness(engine: Speaker, calibration: Line) -> float:
    """LUFS of a fixed sentence in that line's voice, so that it is the same in every segment of every video."""
    spoken = engine.run([calibration])[0]
    if isinstance(spoken, Exception):
        raise _unsaid(spoken, None, "the calibration")
    meter = Meter()
    meter.add(Take.of(spoken.samples, spoken.rate).samples)
    loudness = meter.integrated()
    return loudness if math.isfinite(loudness) else _LOUDNESS


def _told(script: _Script, index: int, phonemes: list[tuple[float, str]]) -> dict[str, Any]:
    """The line as speech.json has it."""
    utterance, placed = script.utterances[index], script.placed[index]
    slot = [milliseconds(float(utterance[end])) for end in ("start", "end")]
    doubts = {"doubts": list(script.doubts[index])} if script.doubts[index] else {}
    return {
        "id": utterance["id"],
        "speaker": utterance["speaker"],
        "text": script.lines[index].text,
        "slot": slot,
        "start": milliseconds(placed.start) if placed else slot[0],
        "end": milliseconds(placed.end) if placed else slot[0],
        "tempo": round(placed.tempo, 3) if placed else 1.0,
        "natural": milliseconds(script.natural[index]),
        "overrun": milliseconds(placed.overrun) if placed else 0.0,
        "phonemes": [[milliseconds(at), name] for at, name in phonemes],
        **doubts,
    }


def _facts(script: _Script) -> Facts:
    placed = [one for one in script.placed if one]
    tempos = [one.tempo for one in placed] or [1.0]
    late = [one.overrun for one in placed if one.overrun > 0]
    doubtful = sum(bool(doubts) for doubts in script.doubts)
    return {
        "lines": len(placed),
        "natural_seconds": round(sum(script.natural), 3),
        "tempo_p50": round(float(np.percentile(tempos, 50)), 3),
        "tempo_p95": round(float(np.percentile(tempos, 95)), 3),
        "tempo_max": round(max(tempos), 3),
        "overruns": len(late),
        "overrun_ms": round(1000 * sum(late)),
        **({"doubtful": doubtful} if doubtful else {}),
    }


def _unsaid(error: Exception, file: Path | None, what: str) -> DubdError:
    if isinstance(error, DubdError):
        return error
    return DubdError(f"{what} could not be spoken: {error}", file=file, stage="speak")


def _json(job: Job, name: str, key: str) -> Any:
    path = job.inputs[name]
    try:
        return json.loads(path.read_text("utf-8"))[key]
    except (ValueError, KeyError, TypeError) as error:
        raise DubdError(
            f"{name}.json cannot be read: {error}", file=path, stage="speak", remedy="undo the edit, or delete the file"
        ) from error
