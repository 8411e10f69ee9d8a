"""Estimates: declared, measured or given, and the steps that follow when one was too small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dubd.engines.contract import Vram
from dubd.errors import DubdError
from dubd.schedule.estimates import STEADY, Estimates
from dubd.schedule.peaks import Peaks
from dubd.schedule.ticket import Again, Ticket

CARDS = [("A100", 4000)]


def ticket(batch: int = 8, **more: Any) -> Ticket:
    return Ticket("v:000/speak", "speak", "xtts", {}, {}, {}, {}, batch=batch, vram=Vram(1000, 100, 400), **more)


@pytest.fixture
def peaks(tmp_path: Path) -> Peaks:
    return Peaks(tmp_path / "peaks.json")


class TestNeed:
    def test_what_the_engine_declares(self, peaks: Peaks) -> None:
        assert Estimates(peaks).need(ticket(), 8, CARDS) == 1000 + 800 + 400

    def test_a_ticket_of_the_cpu_needs_none(self, peaks: Peaks) -> None:
        assert Estimates(peaks).need(Ticket("v:x", "speak", "espeak", {}, {}, {}, {}), 1, CARDS) == 0

    def test_what_the_rule_gives_whatever_the_batch(self, peaks: Peaks) -> None:
        assert {Estimates(peaks).need(ticket(budget=3000), n, CARDS) for n in (1, 8)} == {3000}

    def test_more_is_believed_at_once_for_larger_batches_too(self, peaks: Peaks) -> None:
        estimates = Estimates(peaks)
        estimates.learn(ticket(), "A100", 4, 2500, full=False, mib=4000)
        assert [estimates.need(ticket(), n, CARDS) for n in (3, 4, 8)] == [1700, 2500, 2500]

    def test_less_is_believed_after_three_full_batches_for_smaller_ones_too(self, peaks: Peaks) -> None:
        estimates = Estimates(peaks)
        for full in (True, True, False, False):
            estimates.learn(ticket(), "A100", 4, 1450, full=full, mib=4000)
            assert estimates.need(ticket(), 4, CARDS) == 1800
        estimates.learn(ticket(), "A100", 4, 1450, full=True, mib=4000)
        assert [estimates.need(ticket(), n, CARDS) for n in (1, 4, 5)] == [1450, 1450, 1900]

    def test_more_than_the_card_can_lease_is_no_reason_to_refuse_what_has_worked(self, peaks: Peaks) -> None:
        estimates = Estimates(peaks)
        estimates.learn(ticket(), "A100", 2, 4300, full=True, mib=4000)
        assert [estimates.need(ticket(), n, CARDS) for n in (1, 2, 8)] == [1500, 4000, 4000]
        estimates.learn(ticket(), "T4", 2, 1900, full=True, mib=4000)
        assert estimates.need(ticket(), 2, [("T4", 1800), ("A100", 3000)]) == 3000
        assert estimates.need(ticket(), 2, [("T4", 1500)]) == 1600  # declared

    def test_another_card_precision_revision_or_parameter_is_measured_for_itself(self, peaks: Peaks) -> None:
        estimates = Estimates(peaks)
        estimates.learn(ticket(), "A100", 1, 3000, full=True, mib=4000)
        others = [ticket(precision="fp16"), ticket(revision="2"), ticket(engine_params={"model": "small"})]
        assert [estimates.need(other, 1, CARDS) for other in others] == [1500] * 3
        assert estimates.need(ticket(), 1, [("T4", 4000)]) == 1500
        assert estimates.need(ticket(), 1, [("T4", 4000), *CARDS]) == 3000

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
    @given(
        st.lists(st.tuples(st.integers(1, 8), st.integers(500, 3000), st.booleans()), max_size=12), st.integers(0, 4000)
    )
    def test_more_items_never_need_less_and_what_fits_is_found(
        self, tmp_path_factory: pytest.TempPathFactory, measured: list[tuple[int, int, bool]], lease: int
    ) -> None:
        estimates = Estimates(Peaks(tmp_path_factory.mktemp("state") / "peaks.json"))
        for batch, mib, full in measured:
            estimates.learn(ticket(), "A100", batch, mib, full=full, mib=4000)
        sizes = [estimates.need(ticket(), n, CARDS) for n in range(1, 9)]
        assert sizes == sorted(sizes)
        items = estimates.items(ticket(), lease, CARDS)
        assert items == max([n for n, size in enumerate(sizes, 1) if size <= lease], default=1)


class TestTooLittle:
    def test_what_ran_out_is_not_tried_again_for_as_many_items(self, peaks: Peaks) -> None:
        estimates = Estimates(peaks)
        estimates.ran_out(ticket(), 1, ("A100", 2000), "no room", CARDS)  # the call held one of the eight it could
        assert estimates.limit(ticket()) == 8
        assert [estimates.need(ticket(), n, CARDS) for n in (1, 8)] == [2500, 2500]
        estimates.ran_out(ticket(), 4, ("A100", 2500), "no room", CARDS)
        assert [estimates.need(ticket(), n, CARDS) for n in (1, 2)] == [2500, 2500]

    def test_a_later_process_knows_it_too(self, peaks: Peaks, tmp_path: Path) -> None:
        Estimates(peaks).ran_out(ticket(), 4, ("A100", 2000), "no room", CARDS)
        later = Estimates(Peaks(tmp_path / "peaks.json"))
        assert [later.need(ticket(), n, CARDS) for n in (3, 4, 8)] == [1700, 2500, 2500]
        assert later.items(ticket(), 2000, CARDS) == 3
        assert later.need(ticket(), 8, [("T4", 4000)]) == 2200

    def test_a_single_item_is_given_the_largest_card_at_most_and_more_of_them_none(self, peaks: Peaks) -> None:
        estimates = Estimates(peaks)
        for batch in (2, 1):
            estimates.ran_out(ticket(), batch, ("A100", 4000), "no room", CARDS)
        later = Estimates(peaks)
        assert [later.need(ticket(), n, CARDS) for n in (1, 2)] == [4000, 5000]

    def test_a_full_batch_that_goes_well_in_less_takes_it_back(self, peaks: Peaks) -> None:
        estimates = Estimates(peaks)
        estimates.ran_out(ticket(), 1, ("A100", 2000), "no room", CARDS)
        estimates.learn(ticket(), "A100", 2, 0, full=True, mib=2000)
        assert estimates.need(ticket(), 1, CARDS) == 2500
        estimates.learn(ticket(), "A100", 2, 0, full=True, mib=1900)
        assert estimates.need(ticket(), 1, CARDS) == 1500

    def test_a_full_batch_that_took_more_is_the_better_word(self, peaks: Peaks) -> None:
        estimates = Estimates(peaks)
        estimates.ran_out(ticket(), 2, ("A100", 2000), "no room", CARDS)
        estimates.learn(ticket(), "A100", 1, 2100, full=True, mib=2500)
        assert [estimates.need(ticket(), n, CARDS) for n in (1, 2)] == [2100, 2100]

    def test_many_full_batches_take_it_back_in_another_process_too(self, peaks: Peaks) -> None:
        Estimates(peaks).ran_out(ticket(), 1, ("T4", 2000), "no room", CARDS)
        estimates, both = Estimates(peaks), [("T4", 2500), *CARDS]
        assert estimates.need(ticket(), 1, both) == 2500
        for _ in range(STEADY):
            estimates.learn(ticket(), "A100", 1, 0, full=True, mib=2500)
        assert estimates.need(ticket(), 1, both) == 1500


class TestLadder:
    def test_it_halves_then_grows_by_a_quarter_then_fails_with_both_numbers(self, peaks: Peaks) -> None:
        estimates, one = Estimates(peaks), ticket()
        limits = []
        while estimates.limit(one) > 1:
            step = estimates.ran_out(one, estimates.limit(one), ("A100", 2200), "no room", CARDS)
            assert isinstance(step, Again)
            limits.append(estimates.limit(one))
        assert limits == [4, 2, 1]
        leases = []
        while isinstance(step, Again):
            leases.append(estimates.need(one, 1, CARDS))
            step = estimates.ran_out(one, 1, ("A100", leases[-1]), "no room", CARDS)
        assert leases == [1500, 1875, 2344, 2930, 3663, 4000]
        assert isinstance(step, DubdError)
        assert "xtts asks for 1.5 GiB and ran out of 3.9 GiB, the most of any GPU here" in str(step)

    def test_the_limit_holds_for_its_kind_alone(self, peaks: Peaks) -> None:
        estimates = Estimates(peaks)
        estimates.ran_out(ticket(), 8, ("A100", 2200), "no room", CARDS)
        assert estimates.limit(ticket()) == 4
        assert estimates.limit(ticket(precision="fp16")) == 8

    def test_its_steps_are_taken_back_after_many_full_batches(self, peaks: Peaks) -> None:
        estimates = Estimates(peaks)

        def go_well(times: int, *, full: bool = True) -> None:
            for _ in range(times):
                estimates.learn(ticket(), "A100", 1, 0, full=full, mib=4000)

        for batch in (8, 4, 2, 1):
            estimates.ran_out(ticket(), batch, ("A100", 1500), "no room", CARDS)
        assert (estimates.limit(ticket()), estimates.need(ticket(), 1, CARDS)) == (1, 1875)
        go_well(STEADY - 1)
        go_well(STEADY, full=False)
        assert (estimates.limit(ticket()), estimates.need(ticket(), 1, CARDS)) == (1, 1875)
        go_well(1)
        assert (estimates.limit(ticket()), estimates.need(ticket(), 1, CARDS)) == (2, 1500)
        go_well(STEADY - 1)
        estimates.ran_out(ticket(), 2, ("A100", 1600), "no room", CARDS)
        go_well(3 * STEADY - 1)
        assert estimates.limit(ticket()) == 4
        go_well(1)
        assert estimates.limit(ticket()) == 8

    def test_on_the_cpu_a_single_item_fails_with_what_was_said(self, peaks: Peaks) -> None:
        one = Ticket("v:x", "speak", "xtts", {}, {}, {}, {}, batch=2)
        estimates = Estimates(peaks)
        assert isinstance(estimates.ran_out(one, 2, None, "no room", ()), Again)
        assert "xtts ran out of memory: no room" in str(estimates.ran_out(one, 1, None, "no room", ()))
