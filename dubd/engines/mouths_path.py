"""Choose for every frame one of the speaker's own mouths: near the target, and near the last one (Viterbi).

The method is retrieval as in Video Rewrite (Bregler, Covell and Slaney, SIGGRAPH 1997).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dubd.engines.band import blur
from dubd.engines.mouths_shape import MouthShape
from dubd.engines.visemes import MouthTarget

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

CANDIDATES = 32
CLOSED, LOW, HIGH = 0.03, 0.08, 0.96  # quantiles of the speaker's own opening: shut, least and most in speech
POSE, WIDTH, SHUT = 0.35, 0.3, 4.0  # weights of head pose, mouth width, and of lips that must meet
STEP = 1.5  # weight of a change of the mouth between neighbours; 1.5 to 3 shakes less than real speech
HOLD = 0.1  # what it costs to show the same mouth twice in a row: a frozen mouth is seen
NEIGHBOUR = 0.2  # what remains of it where the mouths followed each other in the source too
EASE = 0.033  # seconds (sigma) over which an opening is reached: lips move at up to some 8 Hz
MAX_BEND, STRETCH = 0.06, 0.6  # eye distances, and share of its own gap, that lips may be bent
MAX_YAW = 35.0  # degrees


@dataclass(frozen=True)
class MouthPath:
    """For each wanted frame (m,): `chosen` the index of a library mouth, the `wanted` opening, and by how much
    the chosen lips must `bend` open to come near it.
    """

    chosen: Indices
    wanted: Array
    bend: Array


def library(shape: MouthShape, most: int) -> Indices:
    """Indices of the frames worth drawing on, evenly spread, at most `most`: no far turn of the head, no jump."""
    centre = shape.points[:, 48:68].mean(1)
    jump = np.linalg.norm(np.diff(centre, axis=0, prepend=centre[:1]), axis=1)
    good = np.flatnonzero((np.abs(shape.yaw) <= MAX_YAW) & (jump <= 0.2))
    if len(good) > most:
        good = good[np.linspace(0, len(good) - 1, most).round().astype(int)]
    return good


def openings(reach: tuple[float, float, float], target: MouthTarget, frames: Indices, rate: float) -> Array:
    """The gap that each frame asks for (m,); `reach` is the gap when shut, and the least and most in speech."""
    shut, low, high = reach
    wanted = np.where(target.speech[frames], low + (high - low) * target.open[frames], shut)
    closed = target.closed[frames]
    smooth = blur(np.where(closed, shut, wanted), EASE * rate)
    return np.where(closed, shut, smooth)


def choose(shape: MouthShape, members: Indices, frames: Indices, target: MouthTarget, rate: float) -> MouthPath:
    """One library mouth for each of the consecutive `frames` (m,), which index the shape's own frames.

    Where the face goes on before the first and after the last frame, the mouths there are the source's
    own: the path leaves and joins them smoothly.
    """
    pictures = shape.frames[frames]
    gap, width = shape.gap[members], shape.width[members]
    shut, low, high = (float(q) for q in np.quantile(gap, (CLOSED, LOW, HIGH)))
    wanted = openings((shut, low, high), target, pictures, rate)
    wide = np.quantile(width, 0.1 + 0.8 * target.width[pictures])
    closed = target.closed[pictures]
    spread = [max(float(v.std()), 1e-3) for v in (gap, width, shape.yaw[members], shape.pitch[members])]

    cost = ((gap - wanted[:, None]) / spread[0]) ** 2 * np.where(closed, SHUT, 1.0)[:, None]
    cost += WIDTH * ((width - wide[:, None]) / spread[1]) ** 2
    for values, scale in ((shape.yaw, spread[2]), (shape.pitch, spread[3])):
        cost += POSE * ((values[members] - values[frames, None]) / scale) ** 2
    count = min(CANDIDATES, len(members))
    near = np.sort(np.argpartition(cost, count - 1, axis=1)[:, :count], axis=1)

    mouths = shape.mouths()
    source = shape.frames

    def step(before: Indices, after: Indices) -> Array:
        change = ((mouths[after][:, None] - mouths[before][None]) ** 2).mean(2) / spread[0] ** 2
        apart = source[after][:, None] - source[before][None]
        return np.asarray(STEP * change * np.where(np.abs(apart) <= 2, NEIGHBOUR, 1.0) + HOLD * (apart == 0))

    total = cost[0, near[0]]
    if shape.has(int(pictures[0]) - 1):
        total = total + step(frames[:1] - 1, members[near[0]])[:, 0]
    back: list[Indices] = []
    for row in range(1, len(frames)):
        reach = step(members[near[row - 1]], members[near[row]]) + total[None]
        best = reach.argmin(1)
        back.append(best)
        total = cost[row, near[row]] + reach[np.arange(count), best]
    if shape.has(int(pictures[-1]) + 1):
        total = total + step(frames[-1:] + 1, members[near[-1]])[:, 0]
    at = int(total.argmin())
    path = [at]
    for best in reversed(back):
        at = int(best[at])
        path.append(at)
    chosen = members[near[np.arange(len(frames)), path[::-1]]]
    has = shape.gap[chosen]
    # Closing is always possible; opening only what is open already: lips that touch have no inside to show.
    bend = np.clip(wanted - has, -np.minimum(MAX_BEND, has), np.minimum(MAX_BEND, STRETCH * has))
    return MouthPath(chosen, wanted, bend)
