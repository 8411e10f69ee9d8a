"""Admission: which tickets start now, and where."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dubd.engines.contract import Vram
from dubd.schedule.admission import PATIENCE, Capacity, Card, Kind, Seated, Start, Waiting, Waitlist, admit
from dubd.schedule.ticket import Ticket


def ticket(
    task: str, engine: str = "espeak", batch: int = 1, mib: int = 0, per_item: int = 0, parallel: int = 1
) -> Ticket:
    vram = Vram(mib, per_item, context=0) if mib else None
    return Ticket(task, "speak", engine, {}, {}, {}, {}, batch=batch, vram=vram, parallel=parallel)


def waiting(*rows: tuple[int, str, int]) -> list[Waiting]:
    return [Waiting(b, place, ticket(f"{b}:{place}", e, n), 0.0) for place, (b, e, n) in enumerate(rows)]


def need(ticket: Ticket, items: int) -> int:
    assert ticket.vram
    return ticket.vram.at(items)


def decide(queue: list[Waiting], running: int, capacity: Capacity, warm: set[Kind] | None = None) -> list[Start]:
    return admit(queue, running, capacity, warm or set(), 0.0, need)


def names(starts: list[Start]) -> list[list[str]]:
    return [[w.ticket.task for w in start.batch] for start in starts]


class TestOnTheCpu:
    def test_the_oldest_video_goes_first(self) -> None:
        assert names(decide(waiting((1, "a", 1), (0, "a", 1)), 0, Capacity(1))) == [["0:1"]]

    def test_a_warm_worker_goes_before_a_cold_one_within_a_video(self) -> None:
        queue = waiting((0, "cold", 1), (0, "warm", 1))
        assert names(decide(queue, 0, Capacity(1), {queue[1].ticket.kind})) == [["0:1"]]

    def test_a_batch_takes_one_kind_from_several_videos(self) -> None:
        queue = waiting((0, "a", 8), (1, "b", 8), (1, "a", 8))
        assert names(decide(queue, 0, Capacity(1))) == [["0:0", "1:2"]]

    def test_a_batch_leaves_work_for_every_free_slot(self) -> None:
        assert [len(start.batch) for start in decide(waiting(*[(0, "a", 8)] * 4), 0, Capacity(2))] == [2, 2]

    def test_a_full_house_admits_nobody(self) -> None:
        assert decide(waiting((0, "a", 1)), 2, Capacity(2)) == []

    def test_tickets_that_read_a_whole_video_have_only_the_slots_at_home_and_others_the_rest(self) -> None:
        home = [replace(one, ticket=replace(one.ticket, inputs={"source": "x"})) for one in waiting(*[(0, "a", 1)] * 4)]
        queue = [*home, *[replace(one, place=one.place + 4) for one in waiting(*[(1, "b", 1)] * 4)]]
        starts = decide(queue, 0, Capacity(4, home=1))
        assert [start.batch[0].ticket.home for start in starts] == [True, False, False, False]
        assert len(decide(queue, 0, Capacity(4))) == 4
        assert all(start.batch[0].ticket.home for start in decide(queue, 0, Capacity(4)))

    def test_a_line_that_is_shut_leaves_its_slots_to_others(self) -> None:
        queue = waiting((0, "a", 1), (1, "b", 1))
        starts = admit(queue, 0, Capacity(1), set(), 0.0, need, shut={queue[0].ticket.line})
        assert names(starts) == [["1:1"]]

    @given(
        rows=st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc"), st.integers(1, 4)), max_size=20),
        running=st.integers(0, 4),
        slots=st.integers(1, 4),
    )
    def test_never_more_batches_than_room_never_a_ticket_twice_never_a_mixed_batch(
        self, rows: list[tuple[int, str, int]], running: int, slots: int
    ) -> None:
        queue = waiting(*rows)
        starts = decide(queue, running, Capacity(slots))
        assert len(starts) <= max(0, slots - running)
        flat = [w.ticket.task for start in starts for w in start.batch]
        assert len(flat) == len(set(flat))
        for start in starts:
            assert len({w.ticket.kind for w in start.batch}) == 1
            assert len(start.batch) <= max(w.ticket.batch for w in start.batch)
        assert bool(starts) is bool(queue and running < slots)


def big(engine: str) -> Kind:
    return ticket("", engine, mib=1).kind


class Queue:
    """Tickets for cards, of engines with a size in MiB each."""

    def __init__(self, **sizes: int) -> None:
        self.sizes, self.rows = sizes, list[Waiting]()

    def add(
        self,
        build: int,
        engine: str,
        count: int = 1,
        batch: int = 1,
        per_item: int = 0,
        since: float = 0.0,
        parallel: int = 1,
    ) -> Queue:
        for _ in range(count):
            place = len(self.rows)
            one = ticket(f"{engine}{place}", engine, batch, self.sizes[engine], per_item, parallel)
            self.rows.append(Waiting(build, place, one, since))
        return self

    def starts(self, *cards: Card, now: float = 0.0, slots: int = 0) -> list[str]:
        """Each start as `task+task@card MiB -evicted`."""
        return [
            "+".join(w.ticket.task for w in start.batch)
            + f"@{start.card} {start.mib}"
            + "".join(f" -{worker.kind[1]}" for worker in start.evict)
            for start in admit(self.rows, 0, Capacity(slots, cards), (), now, need)
        ]


def card(
    uuid: str = "A", total: int = 10, free: int | None = None, loading: bool = False, **workers: int | tuple[int, ...]
) -> Card:
    """A card with workers: `idle_x=3` or `busy_x=(3, 3)`, longest idle first; all else is free."""
    held: dict[str, list[Seated]] = {"idle": [], "busy": []}
    for name, sizes in workers.items():
        how, engine = name.split("_")
        held[how] += [Seated(big(engine), mib) for mib in (sizes if isinstance(sizes, tuple) else (sizes,))]
    left = total - sum(worker.mib for worker in held["idle"] + held["busy"]) if free is None else free
    return Card(uuid, total, left, loading, tuple(held["idle"]), tuple(held["busy"]))


class TestSlotsAndCards:
    def test_a_card_is_used_while_every_slot_is_taken_and_a_slot_while_every_card_is(self) -> None:
        queue = [*waiting((1, "a", 1)), *Queue(x=10).add(0, "x").rows]
        assert names(admit(queue, 4, Capacity(4, (card(),)), (), 0.0, need)) == [["x0"]]
        assert names(admit(queue, 3, Capacity(4, (card(busy_y=9),)), (), 0.0, need)) == [["1:0"]]

    def test_the_decision_changes_nothing(self) -> None:
        waitlist = Waitlist(Queue(x=4, y=5).add(0, "x", 3).add(1, "y", 2).rows)
        capacity = Capacity(1, (card("A", idle_x=4), card("B")))
        before = list(waitlist)
        first = admit(waitlist, 0, capacity, (), 1.0, need)
        assert list(waitlist) == before
        assert admit(waitlist, 0, capacity, (), 1.0, need) == first

    def test_without_a_card_nothing_that_needs_one_starts(self) -> None:
        assert Queue(x=4).add(0, "x").starts(slots=4) == []


class TestWarmFirst:
    def test_a_warm_model_is_drained_before_it_is_switched(self) -> None:
        queue = Queue(x=8, y=8).add(0, "x").add(1, "y")
        assert queue.starts(card(idle_y=8)) == ["y1@A 8"]

    def test_a_warm_worker_takes_the_oldest_video_first(self) -> None:
        assert Queue(x=8).add(1, "x").add(0, "x").starts(card(idle_x=8)) == ["x1@A 8"]

    def test_a_batch_is_filled_across_videos(self) -> None:
        queue = Queue(x=8, y=9).add(0, "x", batch=3).add(0, "y").add(1, "x", batch=3).add(2, "x", 2, batch=3)
        assert queue.starts(card(idle_x=8)) == ["x0+x2+x3@A 8"]

    def test_a_batch_is_no_larger_than_its_lease_has_room_for(self) -> None:
        queue = Queue(x=4).add(0, "x", 5, batch=5, per_item=2)
        assert queue.starts(card(idle_x=8)) == ["x0+x1@A 8"]

    def test_work_is_shared_out_over_warm_workers(self) -> None:
        queue = Queue(x=4).add(0, "x", 5, batch=5)
        assert queue.starts(card("A", idle_x=4), card("B", idle_x=4)) == ["x0+x1+x2@A 4", "x3+x4@B 4"]

    def test_of_warm_workers_the_one_on_the_less_busy_card_goes_first(self) -> None:
        assert Queue(x=4).add(0, "x").starts(card("A", idle_x=4, busy_y=4), card("B", idle_x=4)) == ["x0@B 4"]

    def test_a_worker_whose_lease_has_become_too_small_makes_room_for_a_new_one(self) -> None:
        assert Queue(x=6).add(0, "x").starts(card(idle_x=4, idle_y=3)) == ["x0@A 6 -x"]


class TestNewWorkers:
    def test_the_oldest_video_goes_first(self) -> None:
        assert Queue(x=8, y=8).add(1, "x").add(0, "y").starts(card()) == ["y1@A 8"]

    def test_the_smallest_card_with_room_is_taken(self) -> None:
        queue = Queue(x=8).add(0, "x")
        assert queue.starts(card("A", 80), card("B", 24), card("C", 10, busy_y=4)) == ["x0@B 8"]

    def test_of_equal_cards_the_less_busy_one_is_taken(self) -> None:
        assert Queue(x=2).add(0, "x").starts(card("A", busy_y=1), card("B", idle_y=1)) == ["x0@B 2"]

    def test_what_does_not_fit_lets_others_go_ahead(self) -> None:
        assert Queue(x=8, y=2).add(0, "x").add(1, "y").starts(card(busy_z=7)) == ["y1@A 2"]

    def test_one_load_at_a_time_on_a_card(self) -> None:
        queue = Queue(x=2, y=2, z=2).add(0, "x").add(0, "y").add(0, "z")
        assert queue.starts(card("A"), card("B", loading=True)) == ["x0@A 2"]
        assert queue.starts(card("A", loading=True, idle_z=2)) == ["z2@A 2"]

    def test_one_worker_of_a_kind_on_a_card(self) -> None:
        assert Queue(x=2).add(0, "x", 9).starts(card(busy_x=2)) == []

    def test_another_card_helps_where_more_waits_than_one_batch(self) -> None:
        assert Queue(x=2).add(0, "x", 4, batch=4).starts(card("A", busy_x=2), card("B")) == []
        assert Queue(x=2).add(0, "x", 5, batch=4).starts(card("A", busy_x=2), card("B")) == ["x0+x1+x2+x3@B 2"]

    def test_a_batch_is_halved_until_its_lease_fits(self) -> None:
        queue = Queue(x=2).add(0, "x", 8, batch=8, per_item=2)
        assert queue.starts(card(busy_y=1)) == ["x0+x1@A 6"]

    def test_more_than_any_card_has_never_starts_and_holds_nobody_up(self) -> None:
        queue = Queue(x=11, y=2).add(0, "x").add(1, "y")
        assert queue.starts(card(), now=2 * PATIENCE) == ["y1@A 2"]


class TestEviction:
    def test_the_longest_idle_worker_goes_and_no_more_than_needed(self) -> None:
        assert Queue(x=4).add(0, "x").starts(card(idle_a=3, idle_b=3, idle_c=3)) == ["x0@A 4 -a"]

    def test_one_that_turns_out_not_to_be_needed_stays(self) -> None:
        assert Queue(x=7).add(0, "x").starts(card(idle_a=2, idle_b=7)) == ["x0@A 7 -b"]

    def test_a_card_with_room_is_better_than_an_eviction(self) -> None:
        assert Queue(x=7).add(0, "x").starts(card("A", idle_a=4), card("B", 80)) == ["x0@B 7"]

    def test_busy_workers_are_left_alone(self) -> None:
        assert Queue(x=7).add(0, "x").starts(card(busy_a=4, idle_b=4)) == []


class TestPatience:
    def test_a_kind_that_had_no_turn_for_ten_minutes_ends_a_warm_worker_that_has_work(self) -> None:
        queue = Queue(x=8, y=8).add(0, "y", since=PATIENCE).add(1, "x")
        assert queue.starts(card(idle_y=8), now=PATIENCE - 1) == ["y0@A 8"]
        assert queue.starts(card(idle_y=8), now=PATIENCE) == ["x1@A 8 -y"]

    def test_it_claims_a_card_that_has_no_room_yet(self) -> None:
        queue = Queue(x=8, y=2, z=4).add(1, "x").add(0, "y", since=PATIENCE).add(0, "z", since=PATIENCE)
        assert queue.starts(card(busy_w=4, idle_z=4), now=PATIENCE) == []

    def test_warm_workers_go_on_beside_a_claim_where_there_is_room_for_both(self) -> None:
        queue = Queue(x=8, y=2, z=4).add(1, "x").add(0, "y", since=PATIENCE).add(0, "z", since=PATIENCE)
        assert queue.starts(card(idle_y=2, busy_z=4, busy_w=4), now=PATIENCE) == ["y1@A 2"]

    def test_the_claim_is_on_the_card_that_lacks_least(self) -> None:
        queue = Queue(x=8, y=1).add(1, "x").add(0, "y", 2, since=PATIENCE)
        cards = card("A", busy_w=9), card("B", busy_w=4)
        assert queue.starts(*cards, now=PATIENCE) == ["y1@A 1"]

    def test_a_card_that_others_hold_is_not_claimed(self) -> None:
        queue = Queue(x=8, y=2).add(1, "x").add(0, "y", since=PATIENCE)
        assert queue.starts(card(free=4), now=PATIENCE) == ["y1@A 2"]

    def test_a_kind_with_a_worker_at_work_has_its_turn(self) -> None:
        queue = Queue(x=8, y=2).add(1, "x").add(0, "y", since=PATIENCE)
        assert queue.starts(card("A", busy_x=8), card("B", idle_y=2), now=PATIENCE)[0] == "y1@B 2"

    def test_a_turn_and_not_age_is_what_counts(self) -> None:
        waitlist, warm, seen = Waitlist(Queue(x=8, y=8).add(0, "y", 3).add(1, "x", 3).rows), tuple[Seated, ...](), []
        for now in (PATIENCE, PATIENCE + 1, PATIENCE + 2, 2 * PATIENCE + 1):
            there = replace(card(free=2 if warm else 10), idle=warm)
            (start,) = admit(waitlist, 0, Capacity(0, (there,)), (), now, need)
            waitlist.start(start.batch, now)
            kind = start.batch[0].ticket.kind
            warm = (Seated(kind, start.mib),)
            seen.append(kind[1])
        assert seen == ["y", "x", "x", "y"]


def test_a_kind_never_goes_to_a_card_whose_machine_cannot_run_it() -> None:
    asked = Waiting(0, 0, ticket("t", "whisper", mib=10), 0.0)
    barred = Card("near", 100, 100, barred=frozenset({asked.ticket.kind}))
    (start,) = decide([asked], 0, Capacity(0, (barred, Card("far", 200, 200))))
    assert start.card == "far"
    assert decide([asked], 0, Capacity(0, (barred,))) == []
