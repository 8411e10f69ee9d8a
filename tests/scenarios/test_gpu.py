"""A card that is wanted by more than there is room for, seen through the real commands beside a real build."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dubd.schedule.simulated import Allocation
from tests.scenarios.conftest import QUICK, Home, make_home
from tests.schedule.cards import Machine

LEASABLE = 400  # MiB


@dataclass(frozen=True)
class Box:
    """A home on a machine with one card, and a rule whose translator wants 70 MiB of it."""

    home: Home
    machine: Machine

    @property
    def environ(self) -> dict[str, str]:
        return self.machine.environ()

    @property
    def hang(self) -> Path:
        return self.machine.folder / "hang"

    def dubd(self, *words: object) -> str:
        done = self.home.dubd(*words, environ=self.environ)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def waiting(self) -> dict[str, Any] | None:
        """What status tells of the translation that waits for room on a card, if it does."""
        (video,) = json.loads(self.dubd("status", "--json"))["videos"]
        return next((task["gpu"] for task in video.get("waiting", ()) if task["gpu"]), None)

    @contextmanager
    def running(self, clip: Path) -> Iterator[Any]:
        """`dubd run` beside us, ended by force where the test is done first."""
        before = dict(os.environ)
        os.environ.update(self.environ)
        try:
            process = self.home.start("run", clip)
        finally:
            os.environ.clear()
            os.environ.update(before)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def box(tmp_path: Path) -> Box:
    home, machine = make_home(tmp_path / "home"), Machine(tmp_path / "machine", LEASABLE)
    params = f"log: {machine.log}, hang: {machine.folder}/hang"
    rule = QUICK.replace("stages: {", f"stages: {{translate: {{engine: allocating, batch: 1, {params}}}, ")
    (home.root / "rules" / "quick.yaml").write_text(rule)
    return Box(home, machine)


def until(look: Callable[[], Any], seconds: float = 120.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.1)
    return found


def test_what_is_seen_of_a_card_from_a_wait_to_the_report(box: Box, clips: Path) -> None:
    box.hang.touch()
    foreign = Allocation(box.machine.cards, "GPU-0", LEASABLE - 50)
    with box.running(clips / "talk.mp4") as process:
        until(lambda: box.home.videos() and (box.home.videos()[0] / "segments" / "000" / "transcript.json").exists())
        gpu = until(box.waiting)
        assert gpu["mib"] == 70
        assert gpu["says"] == "70 MiB on a GPU: 50 MiB free, 350 MiB are in use by other programs"
        status = box.dubd("status")
        assert f"  waiting translate for {gpu['says']}\n" in status
        assert "Paper 1 (GPU-0), 912 MiB: 350 MiB in use by other programs, 50 MiB free\n" in status

        foreign.close()
        until(lambda: box.machine.lines("run"))
        (device,) = json.loads(box.dubd("gpu", "--json"))["devices"]
        (lease,) = device["leases"]
        assert (lease["what"], lease["mib"]) == ("translate with allocating", 70)
        assert lease["held"] == 50  # its model, and the half of the context that a worker claims
        assert lease["pid"] != process.pid
        assert (device["used"], device["foreign"], device["promised"], device["free"]) == (40, 0, 70, LEASABLE - 70)
        assert "translate with allocating" in box.dubd("gpu")

        box.hang.unlink()
        assert process.wait(timeout=120) == 0, process.stdout.read()
    (folder,) = box.home.videos()
    report = json.loads((folder / "report.json").read_text())
    assert report["device"] == "Paper 1"
    assert report["stages"]["translate"]["device"] == "Paper 1"
    assert report["stages"]["speak"]["device"] == "cpu"
    assert "on the Paper 1." in (folder / "report.html").read_text()


def test_without_a_card_it_is_said_once_and_built_on_the_cpu(box: Box, clips: Path) -> None:
    box.machine.simulate()
    done = box.home.dubd("run", clips / "talk.mp4", environ=box.environ)
    assert done.returncode == 0, done.stderr
    said = [line for line in (done.stdout + done.stderr).splitlines() if "NO GPU" in line]
    assert len(said) == 1
    assert said[0].startswith("NO GPU: translate with allocating runs on the CPU, which is slow: no simulated GPU")
    assert done.stdout.startswith(said[0])
    (folder,) = box.home.videos()
    assert json.loads((folder / "report.json").read_text())["device"] == "cpu"
    assert "no GPU is used: every engine runs on the CPU (no simulated GPU" in box.dubd("status")
    assert box.dubd("gpu").startswith("no GPU: no simulated GPU")


def test_a_gpu_that_is_insisted_on_and_not_there_is_refused_by_every_command(box: Box, clips: Path) -> None:
    box.machine.simulate()
    rule = box.home.root / "rules" / "quick.yaml"
    rule.write_text(rule.read_text().replace("engine: allocating", "engine: allocating, device: gpu"))
    fault = f"{rule}:4: translate: allocating asks for a GPU, but there is none here: no simulated GPU"
    for words in (["rules", "check"], ["run", clips / "talk.mp4"]):
        done = box.home.dubd(*words, environ=box.environ)
        assert done.returncode == 3
        assert fault in done.stdout + done.stderr
        assert "; use device: auto" in done.stdout + done.stderr
    assert not box.home.videos()
