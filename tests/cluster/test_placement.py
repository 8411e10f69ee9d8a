"""Where a CPU batch runs: warm workers first, then what need not be sent, then spread, then room."""

from __future__ import annotations

from dubd.cluster.placement import BANDWIDTH, Place, choose

SECOND = round(BANDWIDTH)  # bytes that take a second


def chosen(*places: Place) -> str | None:
    found = choose(places)
    return found.name if found else None


def test_a_head_that_has_to_read_videos_is_left_to_that_if_there_is_another_machine() -> None:
    assert chosen(Place("head", 8, 8, True, wanted=True), Place("node", 1, 8, load=9 * SECOND)) == "node"
    assert chosen(Place("head", 8, 8, True, wanted=True), Place("node", 0, 8)) == "head"


def test_a_warm_worker_is_worth_a_transfer() -> None:
    assert chosen(Place("warm", 1, 8, True, 2 * SECOND), Place("near", 8, 8, False, 0)) == "warm"


def test_inputs_stay_where_they_are_if_sending_them_takes_long() -> None:
    assert chosen(Place("far", 8, 8, load=SECOND), Place("near", 1, 8, same=3)) == "near"


def test_a_slow_link_counts_for_more() -> None:
    slow = Place("slow", 8, 8, load=SECOND // 5, bandwidth=BANDWIDTH / 10)
    assert chosen(slow, Place("fast", 2, 8, load=SECOND // 5)) == "fast"


def test_inputs_that_take_no_time_make_no_difference_and_a_videos_segments_are_spread() -> None:
    assert chosen(Place("one", 6, 8, same=2), Place("other", 6, 8, load=SECOND // 10, same=1)) == "other"


def test_of_equals_the_one_with_the_most_room_has_it_and_a_full_one_never() -> None:
    assert chosen(Place("full", 0, 8, True), Place("half", 4, 8), Place("idle", 3, 4)) == "idle"
    assert chosen(Place("full", 0, 8, True)) is None
