"""dubd watch, from the outside: drops, edits and signals."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.conftest import Home, lines_of


class Daemon:
    """A running `dubd watch`, and what it has said so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def wait_for(self, words: str, seconds: float = 90) -> str:
        """The first line with these words."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := next((line for line in list(self.said) if words in line), None):
                return found
            time.sleep(0.05)
        raise AssertionError(f"never said {words!r}: {self.said}")

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.said.append(line.rstrip("\n"))


@pytest.fixture
def daemon(dubbed: Home) -> Iterator[Daemon]:
    process = dubbed.start("watch", "--settle", "0.3")
    yield Daemon(process)
    process.kill()
    process.wait()


def test_until_idle_takes_everything_by_its_own_rule_and_leaves(home: Home, clips: Path) -> None:
    rule = home.root / "rules" / "both.yaml"
    rule.write_text((home.root / "rules" / "quick.yaml").read_text().replace("default: true\n", ""))
    (home.root / "inbox" / "both").mkdir()
    for suffix in (".mp4", ".srt"):
        shutil.copy(clips / f"talk{suffix}", home.root / "inbox" / "both" / f"talk{suffix}")
    shutil.copy(clips / "text.mp4", home.root / "inbox" / "text.mp4")
    (home.root / "inbox" / "half.mp4.part").write_bytes(b"x")
    done = home.dubd("watch", "--until-idle", "--settle", "0.2")
    assert done.returncode == 4
    told = lines_of(done)
    assert len(told) == 1, told  # and nothing of the libraries' own
    assert "text.mp4" in told[0]
    status = json.loads(home.dubd("status", "--json").stdout)
    states = {video["video"].rpartition("-")[0]: video["state"] for video in status["videos"]}
    assert states == {"talk": "done", "text": "failed"}
    report = json.loads(home.dubd("report", "talk", "--json").stdout)
    assert report["rule"] == "both"
    assert (home.root / "inbox" / "both" / "talk.mp4").exists()


def test_what_is_finished_is_told_once(dubbed: Home) -> None:
    done = dubbed.dubd("watch", "--until-idle", "--settle", "0.2")
    assert done.returncode == 0
    (folder,) = dubbed.videos()
    told = [line for line in done.stdout.splitlines() if line.startswith("up to date")]
    assert told == [f"up to date: {folder / 'dubbed.es.mp4'}"]


def test_it_takes_up_hand_edits_and_drops_and_stops_when_told(dubbed: Home, daemon: Daemon, clips: Path) -> None:
    daemon.wait_for("watching")
    (folder,) = dubbed.videos()
    path = folder / "segments" / "000" / "translation.json"
    time.sleep(1.5)  # it has looked around: the edit must be noticed, not found at the start
    path.write_text(path.read_text().replace("uenos", "uenísimos"))
    assert "edited by hand" in daemon.wait_for("000/speak", 20)  # heard: a round would find it after 30 s
    daemon.wait_for(f"{folder / 'dubbed.es.mp4'} (")
    shutil.copy(clips / "silent.mp4", dubbed.root / "inbox" / "silent.mp4")
    assert "no sound" in daemon.wait_for("silent.mp4: plan")
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(30) == 0
    assert len([line for line in daemon.said if "no sound" in line]) == 1


def test_a_changed_rule_reaches_the_drops_that_are_there(home: Home, clips: Path) -> None:
    shutil.copy(clips / "text.mp4", home.root / "inbox" / "text.mp4")
    rule = home.root / "rules" / "quick.yaml"
    good = rule.read_text()
    rule.write_text(good.replace("languages", "langauges"))
    process = home.start("watch", "--settle", "0.3")
    daemon = Daemon(process)
    try:
        assert "did you mean languages?" in daemon.wait_for("'langauges'")
        rule.write_text(good)
        daemon.wait_for("text.mp4: plan: not a video")
    finally:
        process.kill()
        process.wait()


def test_interrupted_in_the_middle_it_keeps_what_is_finished(home: Home, clips: Path) -> None:
    for suffix in (".mp4", ".srt"):
        shutil.copy(clips / f"talk{suffix}", home.root / "inbox" / f"talk{suffix}")
    process = home.start("watch", "--settle", "0.2")
    daemon = Daemon(process)
    daemon.wait_for("000/extract")
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends Ctrl-C to the whole group
    assert process.wait(60) == 0
    done = home.dubd("run", home.videos()[0].name, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    states = {line["task"].partition(":")[2]: line["state"] for line in map(json.loads, done.stdout.splitlines())}
    assert states["000/extract"] == "skipped"
    assert states["assemble"] == "ran"


def test_told_to_stop_it_prints_nothing_but_json(dubbed: Home) -> None:
    process = dubbed.start("watch", "--json", "--settle", "0.2")
    daemon = Daemon(process)
    daemon.wait_for('"stage": "video"')
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert all(json.loads(line)["video"] for line in daemon.said)
