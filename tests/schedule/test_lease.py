"""A lease as a file: who holds it, what is known of its holder, and how it ends."""

from __future__ import annotations

import os
import resource
import select
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubd.schedule.gpu import Device, GpuError
from dubd.schedule.lease import Lease, Record
from dubd.schedule.ledger import Ledger
from dubd.schedule.simulated import Simulated, simulate

GPU = "GPU-1"
LAG = 3.0


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    simulate(tmp_path / "cards", [Device(GPU, "Simulated", 10_000)])
    return Ledger(tmp_path / "run", Simulated(tmp_path / "cards"))


def taken(ledger: Ledger, mib: int = 6_000) -> Lease:
    lease = ledger.take(GPU, mib, "speak")
    assert lease
    return lease


def files(ledger: Ledger) -> list[Path]:
    return sorted(ledger._place(GPU).glob("*.lease"))


def a_worker(lease: Lease) -> subprocess.Popen[bytes]:
    """A process of another program, which knows nothing but that it was given a descriptor."""
    return subprocess.Popen(["sleep", "60"], pass_fds=[lease.fileno()])


class TestLease:
    def test_leaving_the_with_block_gives_the_room_back(self, ledger: Ledger) -> None:
        with taken(ledger):
            assert ledger.view(GPU).promised == 6_000
        assert ledger.view(GPU).promised == 0
        assert files(ledger) == []

    def test_closing_twice_is_harmless_to_a_lease_taken_since(self, ledger: Ledger) -> None:
        first = taken(ledger)
        first.close()
        with taken(ledger):
            first.close()
            first.settled(5)
            first.hand_to(1)
            [held] = ledger.view(GPU).held
            assert (held.pid, held.loading) == (os.getpid(), True)

    def test_a_worker_holds_it_when_we_close_and_until_it_dies(self, ledger: Ledger) -> None:
        with taken(ledger) as lease:
            worker = a_worker(lease)
            lease.hand_to(worker.pid)
        try:
            [held] = ledger.view(GPU).held
            assert (held.pid, held.mib) == (worker.pid, 6_000)
            lease.settled(4_000)
            assert not ledger.view(GPU).loading, "what a released lease's holder has can still be told"
            with pytest.raises(ValueError, match="not held here"):
                lease.fileno()
        finally:
            worker.kill()
            worker.wait()
        assert ledger.view(GPU).held == ()
        assert files(ledger) == []

    def test_it_outlives_the_process_that_took_it_for_a_worker(self, ledger: Ledger, tmp_path: Path) -> None:
        code = f"""
import os, subprocess, sys
from pathlib import Path
from dubd.schedule.ledger import Ledger
from dubd.schedule.simulated import Simulated
lease = Ledger(Path({str(tmp_path / "run")!r}), Simulated(Path({str(tmp_path / "cards")!r}))).take({GPU!r}, 6000, "x")
worker = subprocess.Popen(["sleep", "60"], pass_fds=[lease.fileno()], stdout=-3, stderr=-3)
lease.hand_to(worker.pid)
print(worker.pid, flush=True)
os.kill(os.getpid(), 9)
"""
        taker = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert taker.returncode == -signal.SIGKILL, taker.stderr
        pid = int(taker.stdout)
        ended = os.pidfd_open(pid)
        try:
            [held] = ledger.view(GPU).held
            assert held.pid == pid
        finally:
            os.kill(pid, signal.SIGKILL)
        select.select([ended], [], [], 10)
        os.close(ended)
        assert ledger.view(GPU).held == ()

    def test_a_record_that_cannot_be_written_leaves_no_lease(self, ledger: Ledger) -> None:
        ledger.view(GPU)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        try:
            with pytest.raises(OSError, match="File too large"):
                ledger.take(GPU, 1_000, "speak")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert files(ledger) == []
        taken(ledger).close()

    def test_a_held_record_that_is_no_record_stops_admission_instead_of_counting_as_nothing(
        self, ledger: Ledger
    ) -> None:
        with taken(ledger):
            [path] = files(ledger)
            path.write_text("{}")
            with pytest.raises(GpuError, match="cannot be read"):
                ledger.take(GPU, 1, "speak")
        assert ledger.view(GPU).held == ()

    def test_a_long_name_in_any_script_fits(self, ledger: Ledger) -> None:
        lease = ledger.take(GPU, 1, "𝕏" * 500)
        assert lease
        with lease:
            for n in range(50):
                lease.settled(n)
            [held] = ledger.view(GPU).held
            assert held.what == "𝕏" * 100


class TestSharing:
    @pytest.mark.parametrize(
        ("mode", "folder", "file"), [(0o700, 0o700, 0o600), (0o770, 0o770, 0o660), (0o2770, 0o2770, 0o660)]
    )
    def test_what_we_make_has_the_permissions_of_the_folder_whatever_the_umask(
        self, tmp_path: Path, mode: int, folder: int, file: int
    ) -> None:
        simulate(tmp_path / "cards", [Device(GPU, "Simulated", 10_000)])
        (tmp_path / "run").mkdir()
        (tmp_path / "run").chmod(mode)
        old = os.umask(0o077)
        try:
            ledger = Ledger(tmp_path / "run", Simulated(tmp_path / "cards"))
            with taken(ledger):
                place = ledger._place(GPU)
                found = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (place.parent, place, place / "mutex")}
                assert found == {"vram": folder, GPU: folder, "mutex": file}
                assert stat.S_IMODE(files(ledger)[0].stat().st_mode) == file
        finally:
            os.umask(old)


class TestSurely:
    """What a reading that may be `LAG` old must have seen of a holder that tells after taking and before giving."""

    @given(
        st.lists(st.tuples(st.integers(0, 9_000), st.floats(0.0, 2.0)), max_size=60),
        st.floats(0.0, 4.0),
        st.floats(0.0, 1.0),
    )
    def test_is_never_more_than_it_had_at_any_such_moment(
        self, told: list[tuple[int, float]], later: float, age: float
    ) -> None:
        record, now = Record(1, 0, 9_000, "", 0.0), 100.0
        history = [(0, 0.0)]
        for mib, pause in told:
            now += pause
            history.append((mib, now))
            record = record.now_has(mib, now, LAG)
        moment = now + later
        seen_at = moment - LAG * age  # the moment that the driver's answer is of
        between = [mib for mib, since in history if moment - LAG < since <= seen_at]
        before = [mib for mib, since in history if since <= moment - LAG][-1]
        assert record.surely(moment - LAG) <= min([before, *between][-1:])

    @given(st.lists(st.tuples(st.integers(0, 9_000), st.floats(0.0, 2.0)), min_size=1, max_size=60))
    def test_is_all_of_it_once_the_last_word_is_older_than_the_lag(self, told: list[tuple[int, float]]) -> None:
        record, now = Record(1, 0, 9_000, "", 0.0), 100.0
        for mib, pause in told:
            now += pause
            record = record.now_has(mib, now, LAG)
        assert record.surely(now) == told[-1][0]

    def test_a_holder_that_tells_often_is_believed_all_the_same(self) -> None:
        record = Record(1, 0, 9_000, "", 0.0)
        for step in range(1, 10_001):
            record = record.now_has(step, 100 + step / 100, LAG)
        assert len(record.settled) < 25
        assert 9_600 <= record.surely(200 - LAG) <= 9_700

    def test_what_it_had_before_it_gave_some_back_does_not_count(self) -> None:
        record = Record(1, 0, 9_000, "", 0.0).now_has(3_000, 10.0, LAG).now_has(1_000, 20.0, LAG)
        assert record.surely(19.0) == 1_000
        assert record.surely(9.0) == 0
