"""What is said of a ticket that waits for a GPU, case by case."""

from __future__ import annotations

import os
import subprocess
import sys

from dubd.schedule.gpu import Device
from dubd.schedule.ledger import MARGIN, Held, View
from dubd.service.gpus import Machine, Seen
from dubd.service.shortage import FOREIGN_AFTER, Need, descends, shortage

GIB = 1024


def held(gib: int, what: str = "transcribe with whisper", pid: int = 123, *, loading: bool = False) -> Held:
    return Held(pid, gib * GIB, what, 0.0, loading, 0 if loading else gib * GIB)


def card(gib: int, *leases: Held, foreign: int = 0, name: str = "GPU-0", exact: bool = False) -> Seen:
    device = Device(name, "Paper 1", gib * GIB + MARGIN)
    used = sum(one.allocated for one in leases) + foreign * GIB
    return Seen(device, name, View(device, leases, foreign * GIB, MARGIN, used, exact))


def says(*seen: Seen, gib: int = 5, waited: float = 0.0, pid: int | None = None) -> str:
    return shortage(Need(gib * GIB, "lipsync with wav2lip", waited, pid), Machine(None, seen))


class TestRoom:
    def test_it_names_what_is_free_and_who_holds_the_rest(self) -> None:
        assert says(card(22, held(18))) == (
            "5.0 GiB on a GPU: 4.0 free, 18.0 held by transcribe with whisper (pid 123)"
        )

    def test_many_leases_are_told_by_the_largest(self) -> None:
        leases = [held(size, what, 100 + size) for size, what in ((1, "a"), (6, "b"), (2, "c"), (4, "d"), (5, "e"))]
        assert says(card(18, *leases)) == (
            "5.0 GiB on a GPU: none free, 6.0 held by b (pid 106), 5.0 held by e (pid 105), 4.0 held by d (pid 104), "
            "3.0 by 2 more"
        )

    def test_other_programs_are_named_after_a_minute(self) -> None:
        full = card(16, foreign=12)
        assert says(full, waited=FOREIGN_AFTER - 1) == "5.0 GiB on a GPU: 4.0 free"
        assert says(full, waited=FOREIGN_AFTER) == ("5.0 GiB on a GPU: 4.0 free, 12.0 GiB are in use by other programs")

    def test_other_programs_are_named_at_once_where_the_driver_tells_whose_memory_it_is(self) -> None:
        assert says(card(16, foreign=12, exact=True)) == (
            "5.0 GiB on a GPU: 4.0 free, 12.0 GiB are in use by other programs"
        )

    def test_of_several_cards_it_tells_of_the_one_with_most_room(self) -> None:
        told = says(card(4, name="small"), card(20, held(18), name="full"), card(20, held(17), name="best"))
        assert told == "5.0 GiB on best: 3.0 free, 17.0 held by transcribe with whisper (pid 123)"

    def test_a_load_that_goes_first_is_named(self) -> None:
        assert says(card(40, held(18, loading=True))) == (
            "5.0 GiB on a GPU: transcribe with whisper (pid 123) loads there first"
        )

    def test_room_that_has_just_come_is_no_shortage(self) -> None:
        assert says(card(40, foreign=12), waited=FOREIGN_AFTER) == "5.0 GiB on a GPU: 28.0 free"


class TestTurn:
    def test_a_worker_of_its_own_build_will_do_it(self) -> None:
        own = held(6, "lipsync with wav2lip", os.getpid())
        assert says(card(8, own), pid=os.getppid()) == (
            f"a turn with its worker, which has 6.0 GiB on GPU-0 (pid {os.getpid()})"
        )

    def test_the_same_engine_of_another_process_only_takes_room(self) -> None:
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
            other_s = held(6, "lipsync with wav2lip", os.getpid())
            told = says(card(8, other_s), pid=other.pid)
            assert not descends(os.getpid(), other.pid)
            assert descends(other.pid, os.getpid())
            other.communicate(b"\n")
        assert told == f"5.0 GiB on a GPU: 2.0 free, 6.0 held by lipsync with wav2lip (pid {os.getpid()})"


class TestNoDevice:
    def test_a_driver_that_is_lost_is_the_reason(self) -> None:
        lost = Seen(Device("GPU-0", "Paper 1", 8 * GIB), "GPU-0", None, "the driver does not answer: GPU is lost")
        assert says(lost) == "5.0 GiB on a GPU: the driver does not answer: GPU is lost"

    def test_one_card_that_answers_is_told_of(self) -> None:
        lost = Seen(Device("GPU-0", "Paper 1", 8 * GIB), "GPU-0", None, "the driver does not answer: GPU is lost")
        assert says(lost, card(6, held(2), name="GPU-1")).startswith("5.0 GiB on GPU-1: 4.0 free")

    def test_cards_that_are_all_too_small(self) -> None:
        assert says(card(4)) == "5.0 GiB on a GPU: the largest here has 4.0"

    def test_amounts_that_would_read_the_same_are_told_in_mib(self) -> None:
        told = shortage(Need(4 * GIB + 1, "x", 0.0), Machine(None, (card(4),)))
        assert told == "4097 MiB on a GPU: the largest here has 4096 MiB"

    def test_cards_that_have_gone(self) -> None:
        gone = shortage(Need(5 * GIB, "x", 0.0), Machine("no NVIDIA driver: libnvidia-ml is not here"))
        assert gone == "5.0 GiB on a GPU: no NVIDIA driver: libnvidia-ml is not here"
