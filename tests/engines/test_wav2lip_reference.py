"""Which frame is shown beside each: a shut mouth, nearly the same pose, and few changes of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubd.engines.mouths_path import MAX_YAW
from dubd.engines.mouths_shape import MouthShape
from dubd.engines.wav2lip_reference import LEAST, MOST, PITCH, SWITCH, TIME, YAW, choose

RATE = 25.0
OPEN, SHUT = 0.3, 0.01  # eye distances between the lips


def face(
    gaps: Sequence[float], yaws: Sequence[float] | float = 0.0, pitches: Sequence[float] | float = 0.5, step: int = 1
) -> MouthShape:
    """A face in every `step`th picture; only what the choice looks at is filled in."""
    count = len(gaps)
    none = np.zeros(count)
    return MouthShape(
        frames=np.arange(count, dtype=np.int64) * step,
        scale=np.ones(count, np.complex128),
        shift=np.zeros(count, np.complex128),
        points=np.zeros((count, 68, 2)),
        gap=np.array(gaps, np.float64),
        width=none,
        chin=none,
        yaw=np.broadcast_to(np.array(yaws, np.float64), count),
        pitch=np.broadcast_to(np.array(pitches, np.float64), count),
    )


def chosen(shape: MouthShape, wanted: Sequence[int] | None = None, rate: float = RATE) -> list[int]:
    every = range(len(shape.frames)) if wanted is None else wanted
    found = choose(shape, np.array(every, np.int64), rate).tolist()
    assert len(found) == len(every)
    return [int(one) for one in found]


def talking(count: int = 60, shut: Sequence[int] = (5, 6, 25, 26, 45, 46)) -> list[float]:
    return [SHUT if frame in shut else OPEN for frame in range(count)]


def test_only_shut_mouths_are_shown() -> None:
    assert set(chosen(face(talking()))) <= {5, 6, 25, 26, 45, 46}


def test_of_them_the_one_in_the_nearest_pose_is_shown() -> None:
    yaws = [-24.0] * 20 + [0.0] * 20 + [24.0] * 20
    found = chosen(face(talking(), yaws))
    assert set(found[:20]) <= {5, 6} and set(found[20:40]) <= {25, 26} and set(found[40:]) <= {45, 46}
    nods = [0.35] * 20 + [0.5] * 20 + [0.65] * 20
    found = chosen(face(talking(), 0.0, nods))
    assert set(found[:20]) <= {5, 6} and set(found[20:40]) <= {25, 26} and set(found[40:]) <= {45, 46}


def test_in_the_same_pose_the_nearest_in_time_is_shown_by_seconds_and_not_by_the_count_of_frames() -> None:
    """The light changes over minutes."""
    early, late = set(range(100, 130)), set(range(1400, 1430))
    gaps = talking(1500, [*early, *late])
    found = chosen(face(gaps))
    assert set(found[:300]) <= early and set(found[-300:]) <= late
    assert len(set(chosen(face(gaps), rate=1e5))) == 1  # the same pictures within a moment
    assert len(set(chosen(face(gaps, step=4000), rate=1e5))) > 1  # and where the face is in few of them


def test_a_head_that_sways_a_little_has_one_face_beside_it() -> None:
    yaws = [3.0 * (-1) ** (frame // 2) for frame in range(60)]
    assert len(set(chosen(face(talking(), yaws)))) == 1


def test_what_is_turned_away_is_never_shown_however_shut_it_is() -> None:
    yaws = [MAX_YAW + 5 if frame < 10 else 0.0 for frame in range(60)]
    assert set(chosen(face(talking(), yaws))) <= {25, 26, 45, 46}


def test_where_few_are_shut_the_most_shut_ones_are_taken() -> None:
    gaps = [OPEN + 0.001 * frame for frame in range(50)]
    gaps[40] = gaps[41] = SHUT
    found = chosen(face(gaps, np.linspace(-30, 30, 50).tolist()))
    assert set(found) <= {40, 41, 0, 1} and set(found) & {0, 1} and set(found) & {40, 41}
    assert LEAST == 4


def test_of_many_an_even_choice_is_made_so_that_the_work_is_bounded() -> None:
    count = 2000
    yaws = np.linspace(-34, 34, count)
    found = chosen(face([SHUT] * count, yaws.tolist()))
    assert 2 < len(set(found)) <= MOST
    assert np.abs(yaws[found] - yaws).max() < 34  # never the face that looks the other way


def test_the_same_frame_is_chosen_whatever_else_is_asked_for_in_a_still_picture() -> None:
    shape = face(talking())
    assert chosen(shape, [30]) == chosen(shape, [30, 30, 30])[:1]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-30, 30), min_size=4, max_size=4),
    st.lists(st.integers(0, 8), min_size=1, max_size=5),
    st.lists(st.floats(-30, 30), min_size=5, max_size=5),
)
def test_nothing_costs_less_than_what_is_chosen(shut: list[float], wanted: list[int], spoken: list[float]) -> None:
    """Against every other sequence there is: distances of poses, and `SWITCH` for each change."""
    shape = face([SHUT] * 4 + [OPEN] * 5, shut + spoken)
    pose = np.stack([shape.yaw / YAW, shape.pitch / PITCH, shape.frames / RATE / TIME], 1)

    def cost(path: Sequence[int]) -> float:
        apart = ((pose[wanted] - pose[list(path)]) ** 2).sum()
        return float(apart + SWITCH * np.count_nonzero(np.diff(path)))

    best = min(cost(path) for path in product(range(4), repeat=len(wanted)))
    assert cost(chosen(shape, wanted)) == pytest.approx(best)
