"""What doctor finds: of the GPUs (devices with their totals, or why there is none, and the ledger) and of engines."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dubd.folders import Folders
from dubd.schedule.ledger import MARGIN
from dubd.schedule.simulated import Allocation
from dubd.service.health import Finding, devices, rules
from tests.schedule import cards


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> cards.Machine:
    made = cards.Machine(tmp_path, 24 * 1024 - MARGIN)
    for name, value in made.environ().items():
        monkeypatch.setenv(name, value)
    return made


def of_gpus() -> list[Finding]:
    return [finding for finding in devices.findings(lambda: False) if finding.what.startswith("gpu")]


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


def stub_torch(folder: Path, monkeypatch: pytest.MonkeyPatch, zeros: str) -> None:
    """A PyTorch that answers as the real one does on such a machine, before any other on the path."""
    package = folder / "torch"
    package.mkdir()
    (package / "__init__.py").write_text(
        "class version: cuda = '13.0'\n"
        "class cuda: get_device_name = staticmethod(lambda: 'Paper 1')\n"
        f"__version__ = '2.13.0'\ndef zeros(*_, device): {zeros}\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(folder))


def of_cuda() -> Finding:
    (found,) = [finding for finding in devices.findings(lambda: False) if finding.what == "cuda"]
    return found


@pytest.mark.usefixtures("box")
class TestCuda:
    def test_a_card_that_pytorch_can_use_is_good(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        stub_torch(tmp_path, monkeypatch, "return None")
        assert of_cuda() == Finding("cuda", "good", "torch 2.13.0 with CUDA 13.0 on Paper 1")

    def test_a_driver_older_than_pytorch_wants_is_told_in_its_words(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        words = "The NVIDIA driver on your system is too old (found version 11040)."
        stub_torch(tmp_path, monkeypatch, f"raise RuntimeError({words!r})")
        found = of_cuda()
        assert found.level == "note"  # the default rule needs no GPU
        assert words in found.says
        assert "update the driver" in found.remedy

    def test_a_pytorch_for_the_cpu_alone_is_to_be_replaced(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stub_torch(tmp_path, monkeypatch, "return None")
        path = tmp_path / "torch" / "__init__.py"
        path.write_text(path.read_text().replace("'13.0'", "None"))
        found = of_cuda()
        assert found.says == "torch 2.13.0 is built without CUDA"
        assert found.remedy == "pip install --force-reinstall torch"

    def test_one_that_dies_is_told_to_have_died(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        stub_torch(tmp_path, monkeypatch, "import os; os.kill(os.getpid(), 11)")
        assert "killed by signal 11" in of_cuda().says


class TestNoDriver:
    @pytest.fixture(autouse=True)
    def _without(self, box: cards.Machine) -> None:
        box.simulate()

    def test_without_a_card_nothing_is_lacking(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(devices, "PCI", tmp_path / "none")
        (none,) = of_gpus()
        assert none.remedy.startswith("none is needed for the embedded engines")

    def test_with_a_card_the_driver_is_to_be_installed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        card = tmp_path / "pci" / "0000:01:00.0"
        card.mkdir(parents=True)
        (card / "vendor").write_text("0x10de\n")
        (card / "class").write_text("0x030000\n")
        monkeypatch.setattr(devices, "PCI", tmp_path / "pci")
        (none,) = of_gpus()
        assert none.says.endswith("though there is an NVIDIA card")
        assert none.remedy == "apt install nvidia-driver"


def test_words_for_one_engine_stand_together() -> None:
    told = [finding.what for finding in rules.findings(Folders.find())]
    assert "lipsync: lite, mouths" in told
    assert "restore: lite, sharpen" in told
