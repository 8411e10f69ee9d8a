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
from typing import TYPE_CHECKING, Any, ClassVar, Final

from dubd.engines.contract import Engine, Line, Spoken
from dubd.media.killed import ProgramKilled, require_alive

if TYPE_CHECKING:
    import numpy as np

_SCRIPT: Final = Path(__file__).with_name("espeak_line.py")
_WORDS_A_MINUTE: Final = 175  # eSpeak's own natural rate
_RATES: Final = (80, 450)  # words a minute that eSpeak takes
_BURST: Final = 4.0  # times the 90th percentile of the sample-to-sample jumps within 10 ms; a click beyond 5
_FAINT: Final = 0.004  # a jump that is too small to be heard
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

    @classmethod
    def refuses(cls, source: str, target: str) -> str | None:  # noqa: ARG003
        return _refused(target) if cls.missing() is None else None

    def load(self, device: str, params: Voice) -> None:  # noqa: ARG002
        self._params = params
        self._heights.clear()

    def run(self, batch: Sequence[Line]) -> list[Spoken | Exception]:
        return [self._attempt(line) for line in batch]

    def _attempt(self, line: Line) -> Spoken | Exception:
        try:
            return self._say(line)
        except (RuntimeError, OSError, subprocess.TimeoutExpired, ProgramKilled) as error:
            return error

    def _say(self, line: Line) -> Spoken:
        wanted = line.voice if line.voice != "auto" else self._params.voice
        if wanted != "auto":
            return self._synthesised(line.text, wanted, line.rate, 50)
        voice = line.language + (_HIGH if (line.pitch or 0.0) >= _HIGH_VOICE else _LOW)
        return self._synthesised(line.text, voice, line.rate, self._height(voice, line.pitch) if line.pitch else 50)

    def _height(self, voice: str, wanted: float) -> int:
        """The pitch parameter (0..99) at which the voice has this median f0 in Hz, by two looks at a sample."""
        import numpy as np
        from scipy.signal import resample_poly

        from dubd.media import pitch

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
        import numpy as np

        speed = max(_RATES[0], min(_RATES[1], round(_WORDS_A_MINUTE * rate)))
        made = {"pitch": height, "range": self._params.liveliness, "gap": self._params.word_gap, "volume": _VOLUME}
        answer, pcm = _asked({"voice": voice, "text": text, "rate": speed, **made})
        own = int(answer["rate"])
        samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
        return Spoken(_softened(samples, own), own, tuple((at / own, name or "_") for at, name in answer["phonemes"]))


def _asked(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """The answer of a fresh process and its samples; RuntimeError with eSpeak's reason where there is none."""
    # -I -S: no site packages, a third of the start-up time
    command = [sys.executable, "-I", "-S", str(_SCRIPT)]
    asked = json.dumps({"library": _library(), **request}).encode()
    done = subprocess.run(command, input=asked, capture_output=True, timeout=_TIMEOUT)
    head, _, pcm = done.stdout.partition(b"\n")
    require_alive(done.returncode, "espeak-ng")
    if done.returncode or not head:
        raise RuntimeError(f"espeak-ng died with {done.returncode} on {request['text']!r}")
    answer: dict[str, Any] = json.loads(head)
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer, pcm


@cache
def _refused(language: str) -> str | None:
    """Why eSpeak cannot speak this language, None where it can."""
    try:
        _asked(
            {"voice": language, "text": "1", "rate": _RATES[1], "pitch": 50, "range": 50, "gap": 0, "volume": _VOLUME}
        )
    except RuntimeError as error:
        return str(error)
    return None


def _softened(samples: np.ndarray, rate: int) -> np.ndarray:
    """The bursts of p, t and k a few dB lower for 2 ms: after eSpeak's digital silence they sound like clicks."""
    import numpy as np
    from scipy.ndimage import percentile_filter

    jump = np.abs(np.diff(samples, prepend=np.float32(0)))
    around = np.maximum(percentile_filter(jump, 90, size=rate // 100), _FAINT)
    half = rate // 400
    window = np.hanning(2 * half + 3)[1:-1]
    gain = np.ones(len(samples) + 2 * half)
    for at in np.flatnonzero(jump > _BURST * around):
        dip = 1 - (1 - _BURST * around[at] / jump[at]) * window
        gain[at : at + 2 * half + 1] = np.minimum(gain[at : at + 2 * half + 1], dip)
    return np.asarray(samples * gain[half : half + len(samples)], np.float32)


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
