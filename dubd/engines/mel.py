"""The mel spectrogram that Wav2Lip was trained with, and the piece of it that belongs to each frame.

16 kHz sound, pre-emphasised, magnitudes (not powers) of an 800-point transform every 200 samples, 80 bands of
Slaney's mel scale from 55 to 7600 Hz, in dB over 100 dB, scaled to -4..4. Digital silence is -4 throughout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

RATE = 16000
WINDOW, HOP = 800, 200  # samples
PER_SECOND = RATE // HOP  # columns
BANDS = 80
LOWEST, HIGHEST = 55.0, 7600.0  # Hz
EMPHASIS = 0.97
FLOOR = 1e-5  # of the magnitude
REFERENCE, DEPTH = 20.0, 100.0  # dB
SILENCE = -4.0
CHUNK = 16  # columns for one frame: 200 ms
BLOCK = 512  # columns at once: memory does not grow with the length


@dataclass(frozen=True)
class Heard:
    """A spectrogram (80, columns) with silence on both sides; where each frame's piece starts in it (N,)."""

    columns: Floats
    starts: npt.NDArray[np.int64]

    def chunk(self, frame: int) -> Floats:
        """The piece (80, 16) for a frame."""
        start = self.starts[frame]
        return self.columns[:, start : start + CHUNK]


def heard(samples: Floats, frames: int, rate: Fraction, shift: float) -> Heard:
    """A piece for each of exactly `frames` frames; `samples` are mono at 16 kHz and start with the first frame.

    The piece of frame i starts at the column floor(80 (i / rate + shift)), `shift` in seconds. Where it reaches out
    of the sound, there is silence.
    """
    late = Fraction(str(shift))
    starts = np.array([math.floor(PER_SECOND * (Fraction(i) / rate + late)) for i in range(frames)], np.int64)
    # A column sees half a window before its middle: where the sound begins, silence must precede it.
    front = max(0, -int(starts.min(initial=0))) + 2
    last = int(starts.max(initial=0)) + front + CHUNK
    length = max(last * HOP, front * HOP + len(samples))
    padded = np.zeros(length, np.float32)
    padded[front * HOP : front * HOP + len(samples)] = samples
    return Heard(mel(padded), starts + front)


def resampled(samples: Floats) -> Floats:
    """Sound at 48 kHz (n,) brought to 16 kHz."""
    from scipy.signal import resample_poly

    return np.asarray(resample_poly(samples, 1, 48000 // RATE), np.float32)


def mel(samples: Floats) -> Floats:
    """(80, 1 + n // 200) of (n,) samples at 16 kHz in -1..1; column c is about the sample 200 c."""
    emphasised = samples.astype(np.float32)
    emphasised[1:] -= np.float32(EMPHASIS) * samples[:-1]
    padded = np.pad(emphasised, WINDOW // 2)
    count = 1 + len(samples) // HOP
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    # Periodic, as transforms take it.
    hann = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)
    basis = _basis()
    made = np.empty((BANDS, count), np.float32)
    for first in range(0, count, BLOCK):
        part = np.abs(np.fft.rfft(windows[first : min(count, first + BLOCK)] * hann, axis=1))
        decibel = 20 * np.log10(np.maximum(FLOOR, basis @ part.T)) - REFERENCE
        made[:, first : first + BLOCK] = np.clip(8 * (decibel + DEPTH) / DEPTH - 4, -4, 4)
    return made


def _basis() -> npt.NDArray[np.float64]:
    """Triangles (80, 401) over the mel scale, each of unit area (M. Slaney, Auditory Toolbox, 1998)."""
    edges = _hertz(np.linspace(_mels(LOWEST), _mels(HIGHEST), BANDS + 2))
    at = np.arange(WINDOW // 2 + 1) * (RATE / WINDOW)
    rise = (at - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - at) / (edges[2:] - edges[1:-1])[:, None]
    return np.asarray(np.maximum(0, np.minimum(rise, fall)) * (2 / (edges[2:] - edges[:-2]))[:, None])


# Slaney's scale: linear to 1000 Hz in steps of 66 2/3 Hz, then 27 steps to 6400 Hz.
_STEP, _KNEE, _GROWTH = 200 / 3, 1000.0, math.log(6.4) / 27


def _mels(hertz: float) -> float:
    return hertz / _STEP if hertz < _KNEE else _KNEE / _STEP + math.log(hertz / _KNEE) / _GROWTH


def _hertz(mels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    knee = _KNEE / _STEP
    return np.where(mels < knee, mels * _STEP, _KNEE * np.exp(_GROWTH * (np.maximum(mels, knee) - knee)))
