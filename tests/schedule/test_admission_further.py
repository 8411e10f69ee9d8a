"""Admission of further workers: several of one kind on one card, as many as a ticket says."""

from __future__ import annotations

from dataclasses import replace

from dubd.schedule.admission import EAGER, PATIENCE, REST
from tests.schedule.test_admission import Queue, card


class TestStart:
    def test_one_comes_beside_another_where_more_waits_than_its_next_batch(self) -> None:
        assert Queue(x=2).add(0, "x", 4, batch=4, parallel=2).starts(card(busy_x=2)) == []
        assert Queue(x=2).add(0, "x", 5, batch=4, parallel=2).starts(card(busy_x=2)) == ["x0+x1+x2+x3@A 2"]

    def test_no_more_than_the_ticket_says(self) -> None:
        queue = Queue(x=2).add(0, "x", 9, parallel=2)
        assert queue.starts(card(busy_x=(2, 2))) == []
        assert queue.starts(card(busy_x=2, idle_x=2)) == ["x0@A 2"]

    def test_one_load_at_a_time(self) -> None:
        assert Queue(x=2).add(0, "x", 9, parallel=3).starts(card()) == ["x0@A 2"]

    def test_a_kind_that_has_none_comes_first(self) -> None:
        assert Queue(x=2, y=2).add(0, "x", 9, parallel=3).add(1, "y").starts(card(busy_x=2)) == ["y9@A 2"]

    def test_a_card_that_has_none_of_the_kind_comes_first(self) -> None:
        queue = Queue(x=2).add(0, "x", 9, parallel=2)
        assert queue.starts(card("A", 5, busy_x=2), card("B", 80)) == ["x0@B 2", "x1@A 2"]

    def test_one_that_could_not_take_a_full_batch_is_not_worth_its_memory(self) -> None:
        queue = Queue(x=2).add(0, "x", 12, batch=4, per_item=1, parallel=2)
        assert queue.starts(card(busy_x=6)) == []
        assert queue.starts(card(total=12, busy_x=6)) == ["x0+x1+x2+x3@A 6"]


class TestSpread:
    def test_a_card_without_work_is_spared_for_a_moment_only(self) -> None:
        queue, busy = Queue(x=2, y=8).add(0, "x"), card("A", busy_x=2)
        assert queue.starts(busy, card("B"), now=EAGER - 0.1) == []
        assert queue.starts(busy, card("B"), now=EAGER) == ["x0@B 2"]
        assert queue.starts(busy, card("B", busy_y=8), now=EAGER) == []
        assert queue.starts(busy, card("B", loading=True), now=EAGER) == []

    def test_a_turn_in_the_same_decision_is_one(self) -> None:
        queue = Queue(x=2).add(0, "x", 2)
        assert queue.starts(card("A", idle_x=2), card("B"), now=EAGER) == ["x0@A 2"]

    def test_a_warm_worker_that_waits_for_a_full_batch_is_not_passed_over(self) -> None:
        queue = Queue(x=2, y=2).add(0, "x", batch=4)
        there = card("A", busy_y=2, idle_x=2), card("B", busy_x=2), card("C")
        assert queue.starts(*there, now=EAGER) == []
        assert queue.starts(*there, now=REST) == ["x0@A 2"]

    def test_a_small_lease_will_do(self) -> None:
        queue = Queue(x=4).add(0, "x", batch=4, per_item=1)
        assert queue.starts(card("A", busy_x=8), card("B", total=8, free=7), now=EAGER) == ["x0@B 6"]

    def test_a_kind_without_a_worker_waits_for_room_undisturbed(self) -> None:
        queue = Queue(x=6, y=20).add(0, "y").add(1, "x")
        assert queue.starts(card("A", total=24, busy_x=6), card("B", total=24, free=19), now=EAGER) == []

    def test_a_worker_that_was_needed_just_now_is_not_ended_for_it(self) -> None:
        queue, busy = Queue(x=4, y=8).add(0, "x"), card("A", total=4, busy_x=4)
        idle = card("B", total=8, idle_y=8)
        assert queue.starts(busy, idle, now=EAGER) == []
        assert queue.starts(busy, replace(idle, rested=1), now=EAGER) == ["x0@B 4 -y"]


class TestGoOn:
    def test_batches_are_filled_first(self) -> None:
        queue = Queue(x=2).add(0, "x", 7, batch=4, parallel=2)
        assert queue.starts(card(idle_x=(2, 2))) == ["x0+x1+x2+x3@A 2"]

    def test_a_batch_waits_for_more_only_where_others_are_at_work_and_not_for_long(self) -> None:
        queue = Queue(x=2).add(0, "x", 3, batch=4, parallel=2)
        for cards in ([card(busy_x=2, idle_x=2)], [card("A", busy_x=2), card("B", busy_y=2, idle_x=2)]):
            assert queue.starts(*cards, now=REST - 1) == []
            assert len(queue.starts(*cards, now=REST)) == 1
        assert queue.starts(card("A", busy_x=2), card("B", idle_x=2)) == ["x0+x1+x2@B 2"]
        assert queue.starts(card(busy_y=2, idle_x=2)) == ["x0+x1+x2@A 2"]

    def test_every_one_goes_on_that_gets_a_full_batch(self) -> None:
        queue = Queue(x=2).add(0, "x", 8, batch=4, parallel=2)
        assert queue.starts(card(idle_x=(2, 2))) == ["x0+x1+x2+x3@A 2", "x4+x5+x6+x7@A 2"]

    def test_work_is_shared_out_over_cards_first(self) -> None:
        queue = Queue(x=2).add(0, "x", 2, parallel=2)
        assert queue.starts(card("A", idle_x=(2, 2)), card("B", idle_x=2)) == ["x0@A 2", "x1@B 2"]

    def test_one_with_a_lease_that_has_become_too_small_does_not(self) -> None:
        assert Queue(x=4).add(0, "x", 2, parallel=2).starts(card(total=8, idle_x=(2, 4))) == ["x0@A 4"]

    def test_it_stands_back_for_a_kind_that_has_none_and_lacks_what_it_holds(self) -> None:
        queue = Queue(x=3, y=7).add(0, "x", 9, parallel=3)
        there = card(busy_x=(3, 3), idle_x=3)
        assert queue.starts(there) == ["x0@A 3"]
        assert queue.add(1, "y").starts(there) == []

    def test_it_does_not_stand_back_where_only_a_load_is_in_the_way(self) -> None:
        queue = Queue(x=3, y=3).add(0, "x", 9, parallel=2).add(1, "y")
        assert queue.starts(card(busy_x=3, idle_x=3, loading=True)) == ["x0@A 3"]

    def test_the_last_one_of_its_kind_does_not(self) -> None:
        queue = Queue(x=3, y=9).add(0, "x", 9, parallel=3).add(1, "y")
        assert queue.starts(card(busy_z=6, idle_x=3)) == ["x0@A 3"]

    def test_beside_a_claim_go_on_only_as_many_as_there_is_room_for(self) -> None:
        queue = Queue(x=3, y=7).add(0, "x", 9, parallel=3, since=PATIENCE).add(1, "y")
        assert queue.starts(card(busy_x=(3, 3), idle_x=3), now=PATIENCE) == []
        queue = Queue(x=3, y=4).add(0, "x", 9, parallel=3, since=PATIENCE).add(1, "y")
        assert queue.starts(card(busy_x=3, busy_z=4, idle_x=3), now=PATIENCE) == ["x0@A 3"]


class TestEviction:
    def test_it_ends_no_worker_that_may_soon_have_work_again(self) -> None:
        queue, there = Queue(x=3).add(0, "x", 9, parallel=3), card(busy_x=3, idle_y=5)
        assert queue.starts(there) == []
        assert queue.starts(replace(there, rested=1)) == ["x0@A 3 -y"]

    def test_it_ends_one_of_which_the_card_has_another(self) -> None:
        queue = Queue(x=3).add(0, "x", 9, parallel=3)
        assert queue.starts(card(busy_x=3, busy_y=3, idle_y=3)) == ["x0@A 3 -y"]
        assert queue.starts(card(total=9, busy_x=3, idle_y=(3, 3))) == ["x0@A 3 -y"]

    def test_it_ends_none_of_a_kind_with_work(self) -> None:
        queue = Queue(x=3, y=3).add(0, "x", 9, parallel=3).add(1, "y", 1, batch=4, parallel=2)
        assert queue.starts(replace(card(busy_x=3, busy_y=3, idle_y=3), rested=1)) == []

    def test_for_a_kind_that_has_none_those_go_first_that_leave_another_behind(self) -> None:
        assert Queue(x=3).add(0, "x").starts(card(idle_y=3, idle_z=(3, 3))) == ["x0@A 3 -z"]
