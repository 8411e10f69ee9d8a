"""What a mouth should do to fit a dub: openness and width per frame, from its sound and its phonemes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dubd.engines.band import band_pass, blur

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

RATE = 48000
BAND = (300.0, 3400.0)  # Hz: where the mouth's opening shows in the sound
DEPTH = 30.0  # dB under the loudest that count as speech
SPEECH = 0.12  # level (0..1) from which a frame is speech
LEAD = 0.01  # seconds the lips move before the sound: within 0..40 ms as in Schwartz & Savariaux 2014
SPREAD = 0.03  # seconds (sigma) over which neighbouring sounds colour each other

# (openness, width) in 0..1 of what this speaker's mouth does.
_SHAPES = {
    "pbmɓ": (0.0, 0.5),
    "fvɸβʋ": (0.1, 0.5),
    "tdnszlɾrðθɖʈɳɭɽɹ": (0.25, 0.6),
    "ʃʒɕʑçɲʎʝɟ": (0.3, 0.3),
    "kɡgŋhxɣqʔɦ": (0.35, 0.5),
    "iɪejyɛæ": (0.35, 0.9),
    "aɑɐʌ": (0.9, 0.7),
    "oɔɒ": (0.6, 0.25),
    "uwʊɯ": (0.3, 0.1),
    "əɜɚɘ": (0.4, 0.5),
}
SHAPES = {sound: shape for sounds, shape in _SHAPES.items() for sound in sounds}
WIDEST = 0.9  # openness of an open vowel
BY_SOUND = 0.6  # of the opening follows the sound alone: at .4 a dub of narrow vowels hardly opens the mouth
WIDER = 1.35  # a dub's mouth opens more than speech asks for, so that it is seen to speak
WIDEST_OPEN = 1.32  # of the speaker's usual range
CLOSED = frozenset("pbmɓ")


@dataclass(frozen=True)
class MouthTarget:
    """Per frame (n,): `speech` whether the dub is heard; `open` 0..1.32 of the speaker's range, `width` a quantile;
    `closed` whether the lips must meet.
    """

    speech: Flags
    open: Array
    width: Array
    closed: Flags


def level(samples: npt.NDArray[np.float32], frames: int, rate: float) -> Array:
    """The speech band's level per frame (frames,): 0 at 30 dB under the loud parts, 1 at them."""
    edges = np.rint(np.arange(frames + 1) * (RATE / rate)).astype(int)
    if len(samples) < 64 or not np.any(samples):
        return np.zeros(frames)
    power = np.concatenate([[0.0], np.cumsum(band_pass(samples, BAND, RATE, 4) ** 2)])
    edges = np.minimum(edges, len(samples))
    mean = np.diff(power[edges]) / np.maximum(1, np.diff(edges))
    decibel = 10 * np.log10(np.maximum(mean, 1e-14))
    loud = np.percentile(decibel[decibel > decibel.max() - 40], 95)
    soft = np.clip((decibel - loud + DEPTH) / DEPTH, 0, 1)
    return np.convolve(np.pad(soft, 1, "edge"), [0.25, 0.5, 0.25], "valid")


def target(samples: npt.NDArray[np.float32], timing: Sequence[dict[str, Any]], frames: int, rate: float) -> MouthTarget:
    """What the dub asks of the mouth; `samples` mono float32 at 48 kHz, `timing` lines as in speech.json."""
    loudness = level(samples, frames, rate)
    speech = loudness > SPEECH
    shape, width, closed = _spoken(timing, frames, rate)
    known = np.isfinite(shape)
    wanted = loudness * np.where(known, BY_SOUND + (1 - BY_SOUND) * np.nan_to_num(shape) / WIDEST, 1.0)
    return MouthTarget(
        speech,
        np.where(speech, np.minimum(WIDEST_OPEN, WIDER * wanted), 0.0),
        np.where(known, width, 0.5),
        closed & speech,
    )


def _spoken(timing: Sequence[dict[str, Any]], frames: int, rate: float) -> tuple[Array, Array, Flags]:
    """Openness and width by the phonemes, NaN where none is known, and the frames in which lips must meet."""
    fine = 8  # steps a frame
    steps = frames * fine
    shape, width = np.full(steps, np.nan), np.full(steps, np.nan)
    closed = np.zeros(frames, np.bool_)
    for line in timing:
        sounds = [(float(at), str(name)) for at, name in line.get("phonemes") or []]
        ends = [*(at for at, _ in sounds), float(line["end"])][1:]
        for (start, name), end in zip(sounds, ends, strict=True):
            key = next((letter for letter in name if letter in SHAPES), None)
            if key is None or end <= start:
                continue
            first, last = (round((when - LEAD) * rate * fine) for when in (start, end))
            shape[max(0, first) : max(0, last)], width[max(0, first) : max(0, last)] = SHAPES[key]
            if key in CLOSED:
                middle = ((start + end) / 2 - LEAD) * rate - 0.5
                first = int(np.floor(middle))
                closed[max(0, first) : max(0, first + max(2, int((end - start) * rate)))] = True
    known = np.isfinite(shape)
    weight = blur(known.astype(float), SPREAD * rate * fine)
    smooth = []
    for values in (shape, width):
        spread = blur(np.where(known, values, 0.0), SPREAD * rate * fine) / np.maximum(weight, 1e-6)
        spread[weight < 0.2] = np.nan
        frame = spread.reshape(frames, fine)
        smooth.append(frame[:, fine // 2])
    return smooth[0], smooth[1], closed
