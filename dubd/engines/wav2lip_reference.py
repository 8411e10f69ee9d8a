"""Which other frame of a face Wav2Lip is shown beside the one it draws on: a shut mouth in nearly the same pose.

The network was trained with another frame of the clip beside each, and keeps the look of that mouth. Shown the same
frame, as the published program does, it sees the mouth that it should replace: in silence the old speech goes on.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dubd.engines.mouths_path import CLOSED, HIGH, MAX_YAW
from dubd.engines.mouths_shape import MouthShape

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

SHUT = 0.15  # of the way from shut to wide open that still counts as shut
LEAST, MOST = 4, 24  # frames to choose from
YAW, PITCH, TIME = 8.0, 0.05, 8.0  # degrees, eye distances, seconds that count as one
SWITCH = 2.0  # what it costs to change over: each change is a little jump of the picture


def choose(shape: MouthShape, wanted: Indices, rate: float) -> Indices:
    """For each wanted frame the frame that is shown beside it, both as indices of the shape (m,), with few changes."""
    members = _shut(shape)
    pose = np.stack([shape.yaw / YAW, shape.pitch / PITCH, shape.frames / rate / TIME], 1)
    cost = ((pose[wanted][:, None] - pose[members][None]) ** 2).sum(2)
    # Viterbi where all changes cost the same: stay, or come from the best of all.
    total, back = cost[0], np.zeros((len(wanted), len(members)), np.int64)
    for at in range(1, len(wanted)):
        best = int(total.argmin())
        stays = total <= total[best] + SWITCH
        back[at] = np.where(stays, np.arange(len(members)), best)
        total = np.where(stays, total, total[best] + SWITCH) + cost[at]
    path = np.empty(len(wanted), np.int64)
    path[-1] = total.argmin()
    for at in range(len(wanted) - 1, 0, -1):
        path[at - 1] = back[at, path[at]]
    return np.asarray(members[path])


def _shut(shape: MouthShape) -> Indices:
    """At most MOST frames with a shut mouth, evenly spread; at least the LEAST most shut ones that there are."""
    usable = np.flatnonzero(np.abs(shape.yaw) <= MAX_YAW)
    gaps = shape.gap[usable]
    shut, wide = np.quantile(gaps, (CLOSED, HIGH))
    members = usable[gaps <= shut + SHUT * (wide - shut)]
    if len(members) < LEAST:
        members = np.sort(usable[np.argsort(gaps, kind="stable")[:LEAST]])
    spread = np.unique(np.linspace(0, len(members) - 1, MOST).round().astype(int))
    return np.asarray(members[spread])
