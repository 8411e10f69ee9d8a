"""The GPUs as any process sees them: through the driver and the ledger, while other processes hold leases."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from sys import executable

import pytest

from dubd.schedule.ledger import MARGIN
from dubd.schedule.simulated import Allocation
from dubd.schedule.wanted import Wanted
from dubd.service.gpus import Machine, machine, shortened, size
from tests.schedule import cards

_HOLD = """
import sys
from pathlib import Path
from dubd.schedule.gpu import gpu
from dubd.schedule.ledger import Ledger
from dubd.schedule.runtime import runtime
from dubd.schedule.simulated import Allocation
folder, uuid, mib, has, what = sys.argv[1:]
with Ledger(runtime(), gpu()).take(uuid, int(mib), what) as lease:
    if int(has):
        block = Allocation(Path(folder), uuid, int(has))
        lease.settled(int(has))
    print("held", flush=True)
    sys.stdin.read()
"""

Hold = Callable[..., int]


@contextmanager
def holder(box: cards.Machine, uuid: str, mib: int, has: int, what: str) -> Iterator[int]:
    """Another process with a lease, and so much of it in use; none: it is still loading. Its pid."""
    argv = [executable, "-c", _HOLD, str(box.cards), uuid, str(mib), str(has), what]
    with Popen(argv, env={**os.environ, **box.environ()}, stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process.pid
        finally:
            process.stdin.close()


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> cards.Machine:
    """Two cards, of which 4 GiB and 24 GiB can be leased."""
    made = cards.Machine(tmp_path, 4096, 24576)
    for name, value in made.environ().items():
        monkeypatch.setenv(name, value)
    return made


def test_a_lease_of_another_process_is_seen_with_what_it_has(box: cards.Machine) -> None:
    with holder(box, "GPU-1", 18432, 17000, "lipsync with latentsync") as pid:
        other, one = machine().seen
        assert other.view is not None
        assert other.view.held == ()
        assert one.view is not None
        (held,) = one.view.held
        assert (held.pid, held.mib, held.allocated, held.loading) == (pid, 18432, 17000, False)
        assert (one.view.used, one.view.foreign, one.view.promised, one.view.free) == (17000, 0, 18432, 6144)
    assert machine().seen[1].view is not None
    assert machine().seen[1].view.held == ()  # type: ignore[union-attr]


def test_json_has_everything_and_says_what_it_cannot_know(box: cards.Machine) -> None:
    with (
        holder(box, "GPU-0", 1000, 0, "speak with xtts") as pid,
        Allocation(box.cards, "GPU-0", 3000, pid=os.getppid()),
    ):
        small = machine().to_json()["devices"][0]
        (lease,) = small.pop("leases")
        assert small == {
            "name": "Paper 1",
            "uuid": "GPU-0",
            "total": 4096 + MARGIN,
            "largest": 4096,
            "used": 3000,
            "foreign": 3000,
            "promised": 1000,
            "free": 96,
            "fault": None,
        }
        assert 0 <= lease.pop("seconds") < 60
        assert lease == {"what": "speak with xtts", "pid": pid, "mib": 1000, "held": 0, "loading": True}


def test_a_driver_that_does_not_answer_hides_no_lease(box: cards.Machine) -> None:
    with holder(box, "GPU-0", 1000, 900, "speak with xtts") as pid:
        box.simulate(4096, 24576, lost=True)
        lost, other = machine().to_json()["devices"]
    assert lost["fault"] == "the driver does not answer: GPU is lost"
    assert (lost["used"], lost["foreign"], lost["free"]) == (None, None, None)
    assert (lost["total"], lost["promised"]) == (4096 + MARGIN, 1000)
    (lease,) = lost["leases"]
    assert lease.pop("seconds") >= 0
    assert lease == {"what": "speak with xtts", "pid": pid, "mib": 1000, "held": 900, "loading": False}
    assert (other["promised"], other["leases"]) == (0, [])


def test_without_a_device_there_is_a_reason_and_no_folder_is_made(box: cards.Machine) -> None:
    box.simulate()
    assert machine(building=False) == Machine(f"no simulated GPU: {box.cards / 'devices.json'} names none")
    assert not (box.folder / "runtime").exists()


def test_a_driver_that_tells_a_fresh_process_of_nothing_does_not_hide_a_device_that_others_count_on(
    box: cards.Machine,
) -> None:
    with holder(box, "GPU-1", 1000, 900, "speak with xtts"):
        box.simulate()
        found = machine()
        (seen,) = found.seen
        assert found.why is not None
        assert seen.fault == f"the driver has lost it: {found.why}; 1 lease held"
        told = found.to_json()["devices"][0]
        assert (told["total"], told["promised"]) == (None, 1000)
        assert [lease["what"] for lease in told["leases"]] == ["speak with xtts"]
    waiting = Wanted(box.folder / "runtime")
    waiting.wish(("speak", "xtts"), 1000, {"GPU-1": 0})
    assert [seen.short for seen in machine().seen] == ["GPU-1"]
    assert machine().seen[0].fault == f"the driver has lost it: {found.why}; tasks wait for it"
    waiting.close()
    assert machine().seen == ()


def test_a_ledger_that_cannot_be_opened_is_told_for_each_device(
    box: cards.Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (box.folder / "taken").write_text("a file where the folder should be")
    monkeypatch.setenv("DUBD_RUNTIME", str(box.folder / "taken" / "run"))
    found = machine()
    assert found.ledger is None
    assert [seen.fault is not None and "the ledger of leases cannot be read" in seen.fault for seen in found.seen] == [
        True,
        True,
    ]
    assert found.cards == (("Paper 1", 4096), ("Paper 1", 24576))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_leases_of_another_user_that_may_not_be_read_are_a_fault(box: cards.Machine) -> None:
    machine()
    place = box.folder / "runtime" / "vram" / "GPU-0"
    mode = stat.S_IMODE(place.stat().st_mode)
    place.chmod(0)
    try:
        small, large = machine().seen
    finally:
        place.chmod(mode)
    assert small.fault is not None
    assert large.view is not None


def test_short_names_tell_devices_apart() -> None:
    assert shortened(["GPU-8932f937-d72c", "GPU-1234f937-d72c"]) == ["GPU-8932f937…", "GPU-1234f937…"]
    same = "MIG-GPU-8932f937-d72c/"
    assert shortened([f"{same}1/0", f"{same}2/0"]) == ["MIG-GPU-8932…1/0", "MIG-GPU-8932…2/0"]
    assert shortened(["GPU-0"]) == ["GPU-0"]
    assert shortened([]) == []


def test_sizes_are_written_as_people_do() -> None:
    assert [size(mib) for mib in (0, 512, 1024, 17920)] == ["0 MiB", "512 MiB", "1.0 GiB", "17.5 GiB"]
