"""Mix the dub's sound: speech over the original, which gives way to it as the rule's `background` says.

Everything is a stream of float32 blocks (samples, channels) at 48 kHz on the programme clock, so an hour
takes no more memory than a minute.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import soundfile
from scipy.ndimage import uniform_filter1d

from dubd.errors import DubdError
from dubd.media.timeline import Span

RATE = 48_000  # samples a second

Background = Literal["duck", "keep", "none"]
Samples = npt.NDArray[np.float32]

DEPTH = 16.0  # dB the original gives way: between the 14 and 18 that dubs with no stems use
ATTACK, RELEASE = 0.020, 0.350  # s, of a ducking compressor for speech
CLICK = 0.006  # a jump over 1/16 ms that mastering may lift (by up to 18 dB) to one that is heard as a click
ALONE = 16.0  # times the mean jump within 5 ms: a click stands alone
SOFTER = 0.25  # what is left of it, gain
MARGIN = 0.1  # s on both sides: recognised words start late and end early by about as much

_BLOCK = 5 * RATE


@dataclass(frozen=True)
class Piece:
    """One segment's sound: the original, the dub's speech, and where both lie (samples)."""

    audio: Path
    speech: Path
    first_sample: int
    samples: int


def ducking(spans: Sequence[Span], first_sample: int, samples: int) -> Samples:
    """Linear gain (samples,) of the original: `DEPTH` down within spans, 0 dB away from them, ramps linear in dB."""
    first, last = first_sample / RATE, (first_sample + samples) / RATE
    clock = (first_sample + np.arange(samples)) / RATE
    down = np.zeros(samples)
    for start, end in spans:
        corners = (start - MARGIN - ATTACK, start - MARGIN, end + MARGIN, end + MARGIN + RELEASE)
        if corners[3] > first and corners[0] < last:
            a, b = np.searchsorted(clock, (corners[0], corners[3]))
            np.maximum(down[a:b], np.interp(clock[a:b], corners, (0, 1, 1, 0)), out=down[a:b])
    return np.asarray(10 ** (-DEPTH / 20 * down), np.float32)


def softened(bed: Samples) -> Samples:
    """The original with its lone clicks (lips, keys, cuts) at a quarter, over 3 ms around each.

    A quiet recording is made louder with the dub; what were faint ticks in it would stand out.
    """
    mono = bed.mean(1)
    step = RATE // 16_000
    jumps = np.abs(mono[step:] - mono[:-step])
    alone = np.flatnonzero((jumps > CLICK) & (jumps > ALONE * uniform_filter1d(jumps, RATE // 100)))
    if not alone.size:
        return bed
    reach = RATE * 3 // 1000
    gain = np.ones(len(bed), np.float32)
    dip = 1 - (1 - SOFTER) * np.hanning(2 * reach + 1).astype(np.float32) ** 0.25
    for at in (alone + step // 2).tolist():
        low, high = max(0, at - reach), min(len(bed), at + reach + 1)
        gain[low:high] = np.minimum(gain[low:high], dip[low - at + reach : high - at + reach])
    return bed * gain[:, None]


def programme(pieces: Sequence[Piece], spans: Sequence[Span], background: Background) -> Iterator[Samples]:
    """The dub's mix: speech on every channel of the original, the original as `background` says.

    `spans` is where anyone speaks, in the source or in the dub.
    """
    channels = count_channels(pieces)
    for piece in pieces:
        speech = _blocks(piece.speech, piece.samples)
        bed = original([piece])
        at = piece.first_sample
        for voice, block in zip(speech, bed, strict=True):
            mixed = np.repeat(voice.mean(1, keepdims=True), channels, 1)
            if background == "duck":
                mixed += softened(block) * ducking(spans, at, len(block))[:, None]
            elif background == "keep":
                mixed += block
            at += len(block)
            yield mixed


def original(pieces: Sequence[Piece]) -> Iterator[Samples]:
    """The source's own sound, joined."""
    for piece in pieces:
        yield from _blocks(piece.audio, piece.samples)


def count_channels(pieces: Sequence[Piece]) -> int:
    """How many channels the original has; it must be the same in every piece."""
    found = {soundfile.info(piece.audio).channels for piece in pieces}
    if len(found) != 1:
        raise DubdError(f"segments differ in their channels: {sorted(found)}", file=pieces[0].audio)
    return int(found.pop())


def _blocks(path: Path, samples: int) -> Iterator[Samples]:
    with soundfile.SoundFile(path) as sound:
        if sound.samplerate != RATE or sound.frames != samples:
            raise DubdError(
                f"has {sound.frames} samples at {sound.samplerate} Hz, the plan says {samples} at {RATE} Hz",
                file=path,
                remedy="delete it to have it made again",
            )
        yield from sound.blocks(_BLOCK, dtype="float32", always_2d=True)
