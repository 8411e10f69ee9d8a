"""The waitlist: tickets by kind, in order, whatever comes and goes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubd.engines.contract import Vram
from dubd.schedule.ticket import Ticket
from dubd.schedule.waitlist import Waiting, Waitlist


def waiting(build: int, place: int, engine: str = "a", since: float = 0.0, vram: Vram | None = None) -> Waiting:
    return Waiting(build, place, Ticket(f"{build}:{place}", "speak", engine, {}, {}, {}, {}, vram=vram), since)


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from("abc")), max_size=40), st.data())
def test_every_line_is_in_order_of_builds_and_readiness_whatever_comes_and_goes(
    rows: list[tuple[int, str]], data: st.DataObject
) -> None:
    tickets = [waiting(build, place, engine) for place, (build, engine) in enumerate(rows)]
    waitlist = Waitlist(tickets)
    gone = data.draw(st.lists(st.sampled_from(tickets), unique_by=lambda w: w.place)) if tickets else []
    for one in gone:
        waitlist.remove(one)
    left = [one for one in tickets if one not in gone]
    assert len(waitlist) == len(left)
    for line in waitlist.lines(gpu=False):
        assert line.queue == sorted((one for one in left if one.ticket.kind == line.kind), key=lambda w: w.rank)
        assert line.queue
    assert sorted(waitlist, key=lambda w: w.place) == left


def test_cards_and_slots_have_lines_of_their_own() -> None:
    waitlist = Waitlist([waiting(0, 0, "a"), waiting(0, 1, "b", vram=Vram(1000, 0))])
    assert [line.kind[1] for line in waitlist.lines(gpu=True)] == ["b"]
    assert [line.kind[1] for line in waitlist.lines(gpu=False)] == ["a"]


def test_a_ticket_that_is_not_there_cannot_go() -> None:
    waitlist = Waitlist([waiting(0, 0)])
    with pytest.raises(KeyError, match="0:1"):
        waitlist.remove(waiting(0, 1))
    with pytest.raises(KeyError, match="0:0"):
        waitlist.remove(waiting(0, 0, "b"))


def test_a_kind_is_hungry_since_its_first_ticket_came_or_since_its_last_turn() -> None:
    first, second, third = waiting(0, 0, since=50.0), waiting(1, 1, since=20.0), waiting(2, 2, since=60.0)
    waitlist = Waitlist([first, second, third])
    line = waitlist.lines(gpu=False)[0]
    assert line.hungry == 20.0
    waitlist.start([first], 100.0)
    assert line.hungry == 100.0


def test_a_kind_that_had_nothing_to_do_is_not_hungry_for_that_time() -> None:
    first = waiting(0, 0, since=10.0)
    waitlist = Waitlist([first])
    waitlist.start([first], 20.0)
    waitlist.add(waiting(0, 1, since=500.0))
    assert waitlist.lines(gpu=False)[0].hungry == 500.0
