"""What doctor finds: of the GPUs (devices with their totals, or why there is none, and the ledger) and of engines."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dubd.folders import Folders
from dubd.schedule.ledger import MARGIN
from dubd.schedule.simulated import Allocation
from dubd.service.health import Finding, findings
from tests.schedule import cards


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> cards.Machine:
    made = cards.Machine(tmp_path, 24 * 1024 - MARGIN)
    for name, value in made.environ().items():
        monkeypatch.setenv(name, value)
    return made


def of_gpus() -> list[Finding]:
    return [finding for finding in findings(Folders.find()) if finding.what.startswith("gpu")]


def test_a_device_has_its_total_and_what_others_use(box: cards.Machine) -> None:
    with Allocation(box.cards, "GPU-0", 4096, pid=os.getppid()):
        device, leases = of_gpus()
    assert device == Finding("gpu", "good", "Paper 1 (GPU-0), 24.0 GiB: 19.5 GiB free, 4.0 GiB in use by others")
    assert leases == Finding(
        "gpu leases", "good", f"{box.folder / 'runtime'}, shared by every dubd process that uses this folder"
    )


def test_none_has_the_drivers_reason_and_keeps_nothing_from_running(box: cards.Machine) -> None:
    box.simulate()
    (none,) = of_gpus()
    assert none.level == "note"
    assert none.says == f"none, every engine runs on the CPU: no simulated GPU: {box.cards / 'devices.json'} names none"


def test_a_lost_driver_is_told_in_its_words(box: cards.Machine) -> None:
    box.simulate(4096, lost=True)
    device, _ = of_gpus()
    assert (device.level, device.says) == (
        "note",
        "Paper 1 (GPU-0), 4.5 GiB: the driver does not answer: GPU is lost",
    )


def test_a_ledger_that_cannot_be_had_has_a_remedy(box: cards.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    (box.folder / "taken").write_text("a file where the folder should be")
    monkeypatch.setenv("DUBD_RUNTIME", str(box.folder / "taken" / "run"))
    _, leases = of_gpus()
    assert leases.level == "bad"
    assert leases.remedy == "make it writable, or set DUBD_RUNTIME"


def test_words_for_one_engine_stand_together() -> None:
    told = [finding.what for finding in findings(Folders.find())]
    assert "lipsync: lite, mouths" in told
    assert "restore: lite, sharpen" in told
