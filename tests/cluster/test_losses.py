"""A task that takes its node down with it is not tried for ever."""

from __future__ import annotations

from dubd.cluster.losses import Losses
from dubd.errors import DubdError
from dubd.schedule.ticket import Again, Ticket

TICKET = Ticket("video:000/render", "render", None, {}, {}, {}, {})


def test_a_task_that_was_lost_three_times_fails_and_names_the_last_node() -> None:
    losses = Losses()
    assert [losses.lost(TICKET, "box1"), losses.lost(TICKET, "box2")] == [
        Again("lost with box1"),
        Again("lost with box2"),
    ]
    error = losses.lost(TICKET, "box3")
    assert isinstance(error, DubdError)
    assert error.reason == "render was lost with its node 3 times, last with box3"


def test_being_told_to_try_again_is_no_outcome() -> None:
    losses = Losses()
    for _ in range(2):
        losses.lost(TICKET, "box1")
        losses.answered([TICKET], [Again("no room")])
    assert isinstance(losses.lost(TICKET, "box1"), DubdError)


def test_a_task_that_ended_begins_from_none() -> None:
    losses = Losses()
    for _ in range(5):
        losses.lost(TICKET, "box1")
        losses.answered([TICKET], [{}])
    assert isinstance(losses.lost(TICKET, "box1"), Again)


def test_a_task_that_comes_too_late_for_its_place_on_a_card_three_times_fails_however_often_it_was_lost() -> None:
    losses = Losses()
    losses.lost(TICKET, "box1")
    assert [losses.late(TICKET, "box1"), losses.late(TICKET, "box2")] == [Again("late at box1"), Again("late at box2")]
    error = losses.late(TICKET, "box3")
    assert isinstance(error, DubdError)
    assert error.reason == "render came too late for its place on a card 3 times, last at box3"
