"""Admission: which tickets start now, and where."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dubd.schedule.admission import Capacity, Kind, Start, Waiting, admit
from dubd.schedule.ticket import Ticket


def ticket(task: str, engine: str = "espeak", batch: int = 1) -> Ticket:
    return Ticket(task, "speak", engine, {}, {}, {}, {}, batch=batch)


def waiting(*rows: tuple[int, str, int]) -> list[Waiting]:
    return [Waiting(b, place, ticket(f"{b}:{place}", e, n), 0.0) for place, (b, e, n) in enumerate(rows)]


def decide(queue: list[Waiting], running: int, capacity: Capacity, warm: set[Kind] | None = None) -> list[Start]:
    return admit(queue, running, capacity, warm or set(), 0.0, lambda *_: 0)


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
