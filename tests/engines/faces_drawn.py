"""A face made of points, whose mouth opens as told: input for the tests of the mouths' geometry."""

from __future__ import annotations

import numpy as np

from dubd.engines.mouths_shape import MouthShape, measure


def points(gap: float, *, x: float = 160.0, y: float = 120.0, size: float = 100.0, turn: float = 0.0) -> np.ndarray:
    """68 points (68, 2) of an upright face with eyes `size` px apart; `gap` in eye distances."""
    p = np.zeros((68, 2))
    angle = np.linspace(np.pi, 0, 17)
    p[:17] = np.stack([0.65 * np.cos(angle), 0.1 + 1.2 * np.sin(angle)], 1)
    p[17:27, 0], p[17:27, 1] = np.linspace(-0.6, 0.6, 10), -0.2
    p[27:31, 1] = np.linspace(0, 0.4, 4)
    p[31:36, 0], p[31:36, 1] = np.linspace(-0.15, 0.15, 5), 0.5
    p[36:42, 0], p[42:48, 0] = [-0.5, -0.4, -0.3, -0.2, -0.3, -0.4], [0.2, 0.3, 0.4, 0.5, 0.4, 0.3]
    p[8, 1] += gap * 0.6
    across = np.array([-0.3, -0.2, -0.08, 0, 0.08, 0.2, 0.3])
    p[48:55, 0], p[48:55, 1] = across, 0.8 - 0.09 * (1 - (across / 0.3) ** 2)
    p[55:60, 0], p[55:60, 1] = across[5:0:-1], 0.8 + (0.1 + gap) * (1 - (across[5:0:-1] / 0.3) ** 2)
    p[60:65, 0] = [-0.25, -0.1, 0, 0.1, 0.25]
    p[60:65, 1] = 0.8
    p[65:68, 0], p[65:68, 1] = [0.1, 0, -0.1], 0.8 + gap
    turned = (p[:, 0] + 1j * p[:, 1]) * np.exp(1j * turn) * size + complex(x, y)
    return np.stack([turned.real, turned.imag], 1)


def speaker(gaps: np.ndarray, **place: float) -> MouthShape:
    """The shape of a face whose mouth opens by `gaps`, one frame each."""
    faces = np.stack([points(float(gap), **place) for gap in gaps]).astype(np.float32)
    return measure(faces, np.ones(len(gaps), bool))
