"""Figures of others, for what was not measured here: each with its card and its source, and never taken as measured.

The cards differ from row to row: a plan of such figures is an order of magnitude.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """What a stage takes: `seconds` of one device (a GPU, or a CPU core) per second of video, and a load in seconds.

    `models`: words of a rule's `model` that it holds for; () for every one.
    """

    stage: str
    engine: str | None
    seconds: float
    device: str
    source: str
    gpu: bool
    models: tuple[str, ...] = ()
    load: float = 1.5


_LARGE = ("large", "large-v2", "large-v3")
_NLLB = ("facebook/nllb-200-distilled-600M", "nllb-200-distilled-600M")
_OWN = "dubd's benchmarks/scheduler.py: 20 s of 1080x720 on one core"

FIGURES = (
    Figure(
        "transcribe",
        "faster-whisper",
        1 / 46,
        "RTX 3070 Ti",
        "faster-whisper README: 13 min in 17 s, fp16, batch 8",
        True,
        _LARGE,
        6.0,
    ),
    Figure(
        "transcribe",
        "whisper",
        1 / 5.5,
        "RTX 3070 Ti",
        "faster-whisper README: 13 min in 143 s, fp16, beam 5",
        True,
        _LARGE,
        10.0,
    ),
    Figure(
        "transcribe",
        "faster-whisper",
        8 * 51 / 780,
        "i7-12700K, a core of 8",
        "faster-whisper README: 13 min in 51 s, 8 threads, int8",
        False,
        ("small",),
        3.0,
    ),
    Figure(
        "transcribe",
        "whisper",
        8 * 418 / 780,
        "i7-12700K, a core of 8",
        "faster-whisper README: 13 min in 418 s on 8 threads",
        False,
        ("small",),
        5.0,
    ),
    Figure(
        "translate",
        "nllb",
        600 / 58.3 / 3600,
        "T4",
        "58.3 sentences a second, fp16, batch 64; 600 an hour are assumed",
        True,
        _NLLB,
        5.0,
    ),
    Figure(
        "speak", "xtts", 0.7 / 5, "RTX 4060", "a vendor's blog: 5 x real time; 70 % speech is assumed", True, (), 12.0
    ),
    Figure(
        "lipsync", "wav2lip", 1 / 0.22, "T4", "Wav2Lip issue #584: 4 to 5 minutes a minute, every frame", True, (), 4.0
    ),
    Figure(
        "lipsync", "videoretalking", 1 / 0.05, "V100", "VideoReTalking issue #40: 6 s in about 120 s", True, (), 15.0
    ),
    Figure(
        "restore",
        "codeformer",
        25 * 0.1,
        "V100",
        "an estimate, 0.1 s a face, 25 a second: nobody publishes it",
        True,
        (),
        5.0,
    ),
    Figure("extract", None, 6.1 / 20, "a CPU core", _OWN, False),
    Figure("transcribe", "pocketsphinx", 2.7 / 20, "a CPU core", _OWN, False),
    Figure("translate", "apertium", 0.5 / 20, "a CPU core", _OWN, False),
    Figure("speak", "espeak", 1.3 / 20, "a CPU core", _OWN, False),
    Figure("faces", "dlib", 7.6 / 20, "a CPU core", _OWN, False),
    Figure("lipsync", "mouths", 6.2 / 20, "a CPU core", _OWN, False),
    Figure("restore", "sharpen", 5.4 / 20, "a CPU core", _OWN, False),
    Figure("render", None, 8.6 / 20, "a CPU core", _OWN, False),
)


def figure(stage: str, engine: str | None, params: Mapping[str, Any], *, gpu: bool) -> Figure | None:
    """The figure for an engine (by its own name) with the parameters of a rule; None where there is none."""
    for one in FIGURES:
        same = (one.stage, one.engine, one.gpu) == (stage, engine, gpu)
        if same and (not one.models or params.get("model") in one.models):
            return one
    return None


DISK = (10 << 30) / 3600
"""Bytes of artifacts per second of 1080p video: 10 GiB an hour, an assumption where no video was finished here."""
