"""How far a build is, and when it will be done."""

from __future__ import annotations

import pytest

from dubd.cli.console import clock
from dubd.cli.course import Course
from dubd.graph.build import Event, Progress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def event(task: str, stage: str, state: Progress, fraction: float = 0.0) -> Event:
    return Event(task, stage, state, fraction=fraction)


@pytest.fixture
def clock_() -> Clock:
    return Clock()


@pytest.fixture
def course(clock_: Clock) -> Course:
    made = Course(clock_)
    made.know({"plan:v": "plan", "v:000/faces": "faces", "v:001/faces": "faces"})
    return made


def test_the_share_follows_what_stages_cost(course: Course) -> None:
    course.hear(event("plan:v", "plan", "started"))
    course.hear(event("plan:v", "plan", "ran"))
    assert 0.0 < course.fraction < 0.1
    course.hear(event("v:000/faces", "faces", "ran"))
    course.hear(event("v:001/faces", "faces", "progress", 0.5))
    assert 0.7 < course.fraction < 0.8
    course.hear(event("v:001/faces", "faces", "ran"))
    assert course.fraction == pytest.approx(1.0)
    assert course.remaining == pytest.approx(0.0)


def test_the_forecast_goes_by_the_pace_of_this_run(course: Course, clock_: Clock) -> None:
    course.hear(event("plan:v", "plan", "started"))
    assert course.remaining is None
    clock_.now = 10.0
    course.hear(event("plan:v", "plan", "ran"))
    course.hear(event("v:000/faces", "faces", "ran"))
    clock_.now = 18.0
    left = course.remaining
    assert left == pytest.approx(18.0 * 8 / 9)


def test_what_was_done_before_says_nothing_about_the_pace(course: Course, clock_: Clock) -> None:
    course.hear(event("plan:v", "plan", "skipped"))
    course.hear(event("v:000/faces", "faces", "skipped"))
    assert course.remaining is None
    course.hear(event("v:001/faces", "faces", "started"))
    clock_.now = 10.0
    course.hear(event("v:001/faces", "faces", "progress", 0.5))
    assert course.remaining == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.84, "0.8 s"), (42.3, "42 s"), (187, "3:07"), (3723, "1:02:03"), (99.9, "100 s")]
)
def test_seconds_as_people_read_them(seconds: float, text: str) -> None:
    assert clock(seconds) == text
