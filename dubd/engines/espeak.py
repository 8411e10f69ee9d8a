"""Speak with eSpeak NG: formant synthesis in over a hundred languages, nothing to download, phonemes with times."""

from __future__ import annotations

import ctypes
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from ctypes.util import find_library
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from scipy.signal import resample_poly

from dubd.engines.contract import Engine, Line, Spoken
from dubd.media import pitch

_SCRIPT: Final = Path(__file__).with_name("espeak_line.py")
_WORDS_A_MINUTE: Final = 175  # eSpeak's own natural rate
_RATES: Final = (80, 450)  # words a minute that eSpeak takes
_VOLUME: Final = 60  # at 100, its default, some voices clip
_TIMEOUT: Final = 60.0  # s; a line takes some 50 ms
_HIGH_VOICE: Final = 165.0  # Hz, between the usual ranges of men (85-155) and women (165-255), Titze 1994


_LOW, _HIGH = "", "+f5"  # variants of a language's voice, for men and for women
_SAMPLE: Final = "27 58 64 91 35 82"  # every language has its numbers; one phrase, so one fall of the voice
_STEPS_AN_OCTAVE: Final = 80.0  # of the pitch parameter, roughly; a second look puts it right


@dataclass(frozen=True)
class Voice:
    """What a rule may set. `voice`: "auto" follows the source speaker's pitch; else a name such as "es+f2"."""

    voice: str = "auto"
    liveliness: int = 60  # eSpeak's pitch range, 0..99, 50 its default
    word_gap: int = 0  # extra pause between words, units of 10 ms


class Espeak(Engine[Line, Spoken]):
    """One fresh process for each line, so that the sound depends on the line alone."""

    name = "espeak"
    stage = "speak"
    summary = "eSpeak NG formant synthesis: clear, quick, robotic; no cloning, pitch follows the speaker"
    licence = "GPL-3.0-or-later"
    Params = Voice
    batch = 16
    rates: ClassVar[tuple[float, float]] = (0.85, 1.35)

    def __init__(self) -> None:
        self._params = Voice()
        self._heights: dict[tuple[str, float], int] = {}

    @classmethod
    def revision(cls) -> str:
        """The library's version, and that of the settings here."""
        return f"{_version() or 'absent'}-1"

    @classmethod
    def missing(cls) -> str | None:
        return None if _version() else "apt install libespeak-ng1 espeak-ng-data"

    def load(self, device: str, params: Voice) -> None:  # noqa: ARG002
        self._params = params
        self._heights.clear()

    def run(self, batch: Sequence[Line]) -> list[Spoken | Exception]:
        return [self._attempt(line) for line in batch]

    def _attempt(self, line: Line) -> Spoken | Exception:
        try:
            return self._say(line)
        except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
            return error

    def _say(self, line: Line) -> Spoken:
        wanted = line.voice if line.voice != "auto" else self._params.voice
        if wanted != "auto":
            return self._synthesised(line.text, wanted, line.rate, 50)
        voice = line.language + (_HIGH if (line.pitch or 0.0) >= _HIGH_VOICE else _LOW)
        return self._synthesised(line.text, voice, line.rate, self._height(voice, line.pitch) if line.pitch else 50)

    def _height(self, voice: str, wanted: float) -> int:
        """The pitch parameter (0..99) at which the voice has this median f0 in Hz, by two looks at a sample."""
        if (voice, wanted) not in self._heights:
            height = 50
            for _ in range(2):
                spoken = self._synthesised(_SAMPLE, voice, 1.0, height)
                common = math.gcd(pitch.RATE, spoken.rate)
                sample = resample_poly(spoken.samples, pitch.RATE // common, spoken.rate // common)
                found = pitch.fundamentals(sample.astype(np.float32))
                octaves = math.log2(wanted / float(np.median(found))) if len(found) else 0.0
                height = max(0, min(99, round(height + _STEPS_AN_OCTAVE * octaves)))
            self._heights[voice, wanted] = height
        return self._heights[voice, wanted]

    def _synthesised(self, text: str, voice: str, rate: float, height: int) -> Spoken:
        request = {
            "library": _library(),
            "voice": voice,
            "text": text,
            "rate": max(_RATES[0], min(_RATES[1], round(_WORDS_A_MINUTE * rate))),
            "pitch": height,
            "range": self._params.liveliness,
            "gap": self._params.word_gap,
            "volume": _VOLUME,
        }
        # -I -S: no site packages, a third of the start-up time
        command = [sys.executable, "-I", "-S", str(_SCRIPT)]
        done = subprocess.run(command, input=json.dumps(request).encode(), capture_output=True, timeout=_TIMEOUT)
        head, _, pcm = done.stdout.partition(b"\n")
        if done.returncode or not head:
            raise RuntimeError(f"espeak-ng died with {done.returncode} on {text!r}")
        answer: dict[str, Any] = json.loads(head)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        own = int(answer["rate"])
        samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
        return Spoken(samples, own, tuple((at / own, name or "_") for at, name in answer["phonemes"]))


@cache
def _library() -> str | None:
    return find_library("espeak-ng")


@cache
def _version() -> str | None:
    """Of the library that would be used; None where there is none."""
    name = _library()
    if not name:
        return None
    try:
        info = ctypes.CDLL(name).espeak_Info
    except (OSError, AttributeError):
        return None
    info.restype = ctypes.c_char_p
    return str((info(None) or b"").decode("ascii", "replace")) or None
