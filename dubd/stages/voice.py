"""Measure each speaker's voice, pitch and loudness, over all that they say; keep its cleanest stretches."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
from scipy.signal import resample_poly

from dubd.errors import DubdError, Exit
from dubd.media import pitch
from dubd.media.loudness import Meter
from dubd.media.timeline import SAMPLE_RATE
from dubd.stages import references
from dubd.stages.job import Facts, Job, one_by_one

_LEAST_VOICED: Final = 20  # frames of 10 ms: under it a median says nothing
_LONGEST: Final = 30 * SAMPLE_RATE  # samples looked at in one go


@one_by_one
def run(job: Job) -> Facts:
    """Lists `audios` (48 kHz) and `transcripts`, segment by segment; output `speakers`, and `references` where asked.

    Pitch is rounded to 1 Hz and loudness to .1 LU, so that a small edit of a transcript changes no byte.
    References depend on times and speakers alone: an edit of words changes none of them.
    This is the first stage that has seen every transcript: DubdError (Exit.INPUT) where nobody speaks.
    """
    audios, transcripts = job.lists["audios"], job.lists["transcripts"]
    voices: dict[str, _Voice] = {}
    clean: dict[str, list[references.Piece]] = {}
    start = 0
    for done, (audio, transcript) in enumerate(zip(audios, transcripts, strict=True), 1):
        utterances = _utterances(transcript)
        with soundfile.SoundFile(str(audio)) as sound:
            if sound.samplerate != SAMPLE_RATE:
                raise DubdError(f"sound at {sound.samplerate} Hz, not {SAMPLE_RATE}", file=audio, stage=job.stage)
            for utterance in utterances:
                voice = voices.setdefault(str(utterance["speaker"]), _Voice())
                for piece in _stretch(sound, float(utterance["start"]), float(utterance["end"]), start):
                    voice.add(piece)
        if "references" in job.outputs:
            times = [(float(one["start"]), float(one["end"]), str(one["speaker"])) for one in utterances]
            for speaker, pieces in references.pieces(audio, times, start).items():
                clean.setdefault(speaker, []).extend(pieces)
        start += sound.frames
        job.progress(done / len(audios))
    if not voices:
        raise DubdError(
            "no speech was found in the whole programme, so there is nothing to dub",
            remedy="give the words in a .srt beside the video, or check the audio track",
            exit=Exit.INPUT,
        )
    speakers = {name: voices[name].measured() for name in sorted(voices)}
    text = json.dumps({"speakers": speakers}, indent=1, ensure_ascii=False) + "\n"
    job.outputs["speakers"].write_text(text, "utf-8")
    facts = {"speakers": len(speakers), "seconds": round(sum(one["seconds"] for one in speakers.values()), 1)}
    if "references" in job.outputs:
        best = {speaker: references.chosen(pieces) for speaker, pieces in clean.items()}
        facts["references"] = references.write(job.outputs["references"], best)
    return facts


class _Voice:
    """What is known of one speaker so far: 8 bytes for each 10 ms of voice."""

    def __init__(self) -> None:
        self._meter = Meter()
        self._fundamentals: list[np.ndarray] = []
        self._samples = 0

    def add(self, samples: np.ndarray) -> None:
        self._meter.add(samples)
        self._samples += len(samples)
        self._fundamentals.append(pitch.fundamentals(resample_poly(samples, pitch.RATE, SAMPLE_RATE)))

    def measured(self) -> dict[str, Any]:
        found = np.concatenate(self._fundamentals) if self._fundamentals else np.zeros(0)
        loudness = self._meter.integrated()
        return {
            "pitch": float(round(float(np.median(found)))) if len(found) >= _LEAST_VOICED else None,
            "loudness": round(loudness, 1) if math.isfinite(loudness) else None,
            "seconds": round(self._samples / SAMPLE_RATE, 1),
        }


def _utterances(path: Path) -> list[dict[str, Any]]:
    try:
        utterances: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["utterances"]
    except (ValueError, KeyError, TypeError) as error:
        raise DubdError(
            f"not a transcript: {error}", file=path, stage="voice", remedy="undo the edit, or delete it"
        ) from error
    return utterances


def _stretch(sound: soundfile.SoundFile, start: float, end: float, offset: int) -> Iterator[np.ndarray]:
    """The samples between two times on the programme clock, in pieces, mono; `offset` is the segment's first sample."""
    first = min(max(0, round(start * SAMPLE_RATE) - offset), sound.frames)
    last = min(max(first, round(end * SAMPLE_RATE) - offset), sound.frames)
    sound.seek(first)
    while first < last:
        block = sound.read(min(_LONGEST, last - first), dtype="float32", always_2d=True)
        first += len(block)
        yield block.mean(axis=1)
        if not len(block):
            return
