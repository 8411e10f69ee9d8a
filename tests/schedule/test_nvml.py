"""What is made of the driver's answers, by way of the real pynvml; driver.c stands for a driver, where cc is here."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dubd.schedule.gpu import GpuError
from dubd.schedule.nvml import AGAIN, Nvml

MIB = 1 << 20

SCENE = """
import json, os, sys
from dubd.schedule import nvml
from dubd.schedule.gpu import GpuError
if sys.argv[2] == "ours":
    nvml._first_pid_space = lambda: True  # as outside of a container
time, said = [0.0], []
driver = nvml.Nvml(now=lambda: time[0])
def answer(of, *arguments):
    try:
        return of(*arguments)
    except GpuError as error:
        return "GpuError: " + str(error)
for conduct, seconds in json.loads(sys.argv[1]):
    time[0] += seconds
    with open(os.environ["DRIVER"], "w") as file:
        file.writelines(f"{key} {value}\\n" for key, value in conduct.items())
    devices = [[d.uuid, d.name, d.total] for d in driver.devices()]
    uuid = devices[0][0] if devices else "GPU-1"
    used, processes = answer(driver.used, uuid), answer(driver.processes, uuid)
    each = [answer(driver.used, device[0]) for device in devices]
    said.append({"each": each, "devices": devices, "why": driver.why, "used": used, "processes": processes})
print(json.dumps(said))
"""


def absent() -> bool:
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return True
    return False


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler for the stand-in driver")
    folder = tmp_path_factory.mktemp("driver")
    source = Path(__file__).with_name("driver.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "libnvidia-ml.so.1", source], check=True)
    return folder


def play(
    library: Path, *scenes: tuple[dict[str, int], float], pids: str = "ours", visible: str | None = None
) -> list[dict[str, Any]]:
    """What is told in each scene: how the driver conducts itself, and how many seconds after the scene before."""
    environ = {**os.environ, "LD_LIBRARY_PATH": str(library), "DRIVER": str(library / "conduct")}
    environ.pop("CUDA_VISIBLE_DEVICES", None)
    if visible is not None:
        environ["CUDA_VISIBLE_DEVICES"] = visible
    command = [sys.executable, "-c", SCENE, json.dumps(scenes), pids]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said: list[dict[str, Any]] = json.loads(done.stdout)
    return said


def one(library: Path, pids: str = "ours", **conduct: int) -> dict[str, Any]:
    return play(library, ({"cards": 1, **conduct}, 0.0), pids=pids)[0]


@pytest.mark.skipif(not absent(), reason="an NVIDIA driver is here")
def test_no_driver_is_no_device_and_says_why() -> None:
    driver = Nvml()
    assert driver.devices() == []
    assert driver.why == "no NVIDIA driver: libnvidia-ml is not here"
    with pytest.raises(GpuError, match="libnvidia-ml is not here"):
        driver.used("GPU-1")


@pytest.mark.skipif(absent(), reason="no NVIDIA driver is here")
def test_a_real_driver_tells_of_its_devices() -> None:
    driver = Nvml()
    for device in driver.devices():
        assert device.uuid.startswith(("GPU-", "MIG-"))
        assert 0 <= driver.used(device.uuid) <= device.total
        processes = driver.processes(device.uuid)
        assert processes is None or all(mib >= 0 for mib in processes.values())


def test_the_drivers_reserve_is_no_room_and_no_use(library: Path) -> None:
    said = one(library, used=1_000 * MIB + 1)
    assert said["devices"] == [["GPU-1", "Stand-in", 23_700]]
    assert said["used"] == 1_001


def test_an_older_driver_counts_its_reserve_as_used(library: Path) -> None:
    said = one(library, used=1_000 * MIB, v1=1)
    assert (said["devices"][0][2], said["used"]) == (24_000, 1_300)


def test_instances_stand_in_place_of_their_card(library: Path) -> None:
    said = one(library, mig=1)
    assert said["devices"] == [[f"MIG-{n}", "Stand-in MIG 1g.5gb", 4_700] for n in (100, 103, 106)]
    assert one(library, mig=-1)["devices"][0][0] == "GPU-1"


def test_a_card_that_waits_for_its_instances_is_no_device(library: Path) -> None:
    assert one(library, mig=2)["devices"] == []


def test_a_device_without_memory_of_its_own_is_none(library: Path) -> None:
    said = one(library, v1=2)
    assert (said["devices"], said["why"]) == ([], "the NVIDIA driver has no device")


def test_use_by_process(library: Path) -> None:
    assert one(library)["processes"] == {}
    assert one(library, pid=1, has=700 * MIB)["processes"] == {"1": 700}


@pytest.mark.parametrize(
    ("pids", "conduct"),
    [
        ("theirs", {"pid": 1, "has": 700 * MIB}),  # in a container
        ("ours", {"pid": (1 << 22) + 1, "has": 700 * MIB}),  # above the kernel's highest pid: nobody's here
        ("ours", {"pid": 1, "has": -1}),  # NVML_VALUE_NOT_AVAILABLE: WDDM
        ("ours", {"secret": 4}),  # NVML_ERROR_NO_PERMISSION: a MIG card's parent
    ],
)
def test_no_use_by_process_where_it_cannot_be_had_or_trusted(library: Path, pids: str, conduct: dict[str, int]) -> None:
    if pids == "theirs" and os.stat("/proc/self/ns/pid").st_ino == 0xEFFFFFFC:
        pytest.skip("not in a container")
    said = one(library, pids=pids, used=700 * MIB, **conduct)
    assert (said["used"], said["processes"]) == (700, None)


def test_a_driver_that_is_lost_keeps_its_devices_says_so_and_comes_back(library: Path) -> None:
    well, lost = {"cards": 1, "used": 500 * MIB}, {"cards": 1, "fail": 15, "init": 15}
    before, gone, early, still, back = play(
        library, (well, 0.0), (lost, 1.0), (well, AGAIN - 0.1), (lost, 0.2), (well, AGAIN)
    )
    assert before["used"] == back["used"] == 500
    for said in (gone, early, still):
        assert said["devices"] == before["devices"]
        assert said["used"] == said["processes"] == "GpuError: GPU is lost"


def test_a_device_that_comes_late_is_found_without_a_restart(library: Path) -> None:
    none, late = play(library, ({"init": 9}, 0.0), ({"cards": 1}, AGAIN))
    assert (none["devices"], none["why"]) == ([], "Driver Not Loaded")
    assert (late["devices"][0][0], late["why"]) == ("GPU-1", None)


LOST = "GpuError: GPU is lost"


def test_one_lost_card_takes_no_other_along_and_comes_back(library: Path) -> None:
    well = {"cards": 2, "used": 500 * MIB}
    lost = {**well, "lost": 2}
    before, gone, still, back = play(library, (well, 0.0), (lost, 1.0), (lost, AGAIN), (well, AGAIN))
    assert before["each"] == back["each"] == [500, 500]
    assert gone["each"] == still["each"] == [500, LOST]
    assert gone["devices"] == still["devices"] == before["devices"]


@pytest.mark.parametrize("conduct", [{"lost": 1}, {"barred": 1}], ids=["lost", "not permitted"])
def test_a_fresh_process_has_the_cards_that_can_be_read(library: Path, conduct: dict[str, int]) -> None:
    said = one(library, "ours", cards=2, used=500 * MIB, **conduct)
    assert ([device[0] for device in said["devices"]], said["each"]) == (["GPU-2"], [500])


def test_where_no_card_can_be_read_it_says_why(library: Path) -> None:
    said = one(library, lost=1)
    assert (said["devices"], said["why"]) == ([], "GPU is lost")


def test_a_card_that_the_driver_shows_no_more_stays_with_a_fault(library: Path) -> None:
    two, none, back = play(library, ({"cards": 2}, 0.0), ({"cards": 0}, AGAIN), ({"cards": 2}, AGAIN))
    assert none["devices"] == back["devices"] == two["devices"]
    assert none["each"] == ["GpuError: the NVIDIA driver does not show it any more"] * 2
    assert back["each"] == [0, 0]


def test_a_card_that_was_cut_into_instances_is_gone(library: Path) -> None:
    _, cut = play(library, ({"cards": 1}, 0.0), ({"cards": 1, "mig": 1}, AGAIN))
    assert [device[0] for device in cut["devices"]] == ["MIG-100", "MIG-103", "MIG-106"]


@pytest.mark.parametrize(
    ("visible", "uuids"),
    [
        ("1", ["GPU-2"]),
        ("GPU-3,0", ["GPU-1", "GPU-3"]),
        ("0,9,1", ["GPU-1"]),  # as in CUDA nothing counts after what is not there
        ("", []),
        ("-1", []),
    ],
)
def test_only_cards_that_cuda_may_see_are_offered(library: Path, visible: str, uuids: list[str]) -> None:
    (said,) = play(library, ({"cards": 3}, 0.0), visible=visible)
    assert [device[0] for device in said["devices"]] == uuids
    assert (said["why"] is None) == bool(uuids)


def test_a_card_that_cannot_be_read_keeps_its_number_and_one_that_is_not_ours_has_none(library: Path) -> None:
    for conduct, uuid in (({"lost": 1}, "GPU-2"), ({"barred": 1}, "GPU-3")):
        (said,) = play(library, ({"cards": 3, **conduct}, 0.0), visible="1")
        assert [device[0] for device in said["devices"]] == [uuid]
