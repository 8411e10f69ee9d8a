"""Workers on cards that others use as well, and engines that take more than they say."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace

import pytest

from dubd.engines.contract import Vram
from dubd.schedule.ledger import MARGIN
from dubd.schedule.scheduler import Scheduler
from dubd.schedule.simulated import Allocation
from tests.schedule.cards import Make, Tickets, run, wait_until


class TestOtherProcesses:
    @pytest.mark.parametrize(("patience", "waits"), [(0.5, False), (600.0, True)])
    def test_past_its_patience_a_process_gets_the_room_of_workers_that_have_more_to_do(
        self, machine: Make, patience: float, waits: bool
    ) -> None:
        box = machine(150)
        small = [box.ticket(f"{kind}{n}", seconds=0.1, model=kind) for n in range(20) for kind in (40, 50)]  # 70 and 80
        with box.executor("daemon", patience=patience) as daemon, box.executor("doit", patience=patience) as other:
            source, left = Tickets(small), list[int]()
            scheduler = Scheduler(daemon)
            scheduler.add(source)
            while len(source.ended) < 4:
                scheduler.step(0.1)

            def wait() -> None:
                run(other, [box.ticket("large", model=90)])  # 120
                left.append(len(source.left))

            thread = threading.Thread(target=wait)
            thread.start()
            scheduler.run()
            thread.join()
        assert all(isinstance(outcome, dict) for outcome in source.ended.values()), source.ended
        assert (left[0] == 0) == waits
        assert not box.lines("card")

    def test_what_other_programs_took_of_a_lease_changes_no_estimate(
        self, machine: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("dubd.schedule.executor.LAG", 0.3)  # what has gone by then may have been its own
        box = machine(100)
        hang = box.folder / "hang"
        hang.touch()
        tickets = [box.ticket(f"t{number}", batch=4, hang=str(hang)) for number in range(4)]  # all of the card
        with box.executor() as executor:
            source = Tickets([])
            thread = threading.Thread(target=lambda: source.ended.update(run(executor, tickets).ended))
            thread.start()
            assert wait_until(lambda: bool(box.lines("run")))
            foreign = Allocation(box.cards, "GPU-0", MARGIN + 40, pid=1)  # while a call goes on
            hang.unlink()
            assert wait_until(lambda: bool(box.lines("card")))
            time.sleep(1.0)
            foreign.close()
            thread.join()
        assert all(isinstance(outcome, dict) for outcome in source.ended.values()), source.ended
        assert [line.split(maxsplit=1)[1] for line in box.lines("run")] == ["run 4 of 4"] * 2


class TestMoreThanItsLease:
    def test_a_peak_is_of_the_largest_batch_that_its_worker_ran(self, machine: Make) -> None:
        box = machine(400)
        tickets = [box.ticket(f"t{n}", batch=4, per_item=12) for n in range(12)]
        with box.executor() as executor:  # CUDA takes 20 more than the engine thinks: 128 in a lease of 120
            run(executor, [replace(ticket, vram=Vram(40, 10, 40)) for ticket in tickets])
        (row,) = json.loads((box.folder / "one" / ".cache" / "peaks.json").read_text())
        assert row["peaks"] == {"4": [128, 1]}
        assert [line.split()[-1] for line in box.lines("run")] == ["4", "3", "3", "3"]
