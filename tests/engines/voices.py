"""Voices made up of harmonics: a dark one and a bright one, that glide as a voice does."""

from __future__ import annotations

import numpy as np

DARK, BRIGHT = 5, 60  # harmonics


def voice(seconds: float, harmonics: int = DARK, rate: int = 16_000) -> np.ndarray:
    """Mono float32 of 110 to 140 Hz."""
    time = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(125 + 15 * np.sin(2 * np.pi * 1.5 * time)) / rate
    tones = [np.cos(n * phase) / n for n in range(1, harmonics + 1)]
    return (0.1 * np.sum(tones, axis=0)).astype(np.float32)
