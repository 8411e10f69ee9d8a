"""The unit in systemd/: its own command line against a real notify socket, its signals, and what systemd says of it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.scenarios.conftest import Home

UNIT = Path(__file__).parents[2] / "systemd" / "dubd.service"
README = UNIT.with_name("README.md")


def options() -> dict[str, str]:
    """The unit's settings; one that stands more than once with its last value."""
    return dict(re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE))


class Service:
    """The unit's command, started as systemd would, with both ends of its socket here."""

    def __init__(self, home: Home, address: Path, watchdog: float) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(address))
        self.said: list[str] = []
        program, *words = shlex.split(options()["ExecStart"])
        assert program == "/opt/dubd/.venv/bin/dubd"
        environ = {"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": f"{watchdog * 1e6:.0f}"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dubd", *words],
            env=home.environ | environ,
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def hear(self, wanted: Callable[[str], bool], seconds: float = 60) -> str:
        """The first word from now on that is wanted."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                words = self.socket.recv(4096).decode().split("\n")
            except TimeoutError:
                break
            self.said += words
            if found := next(filter(wanted, words), None):
                return found
        raise AssertionError(f"not heard: {self.said}")

    def reload(self) -> None:
        """What the unit's ExecReload does."""
        command = shlex.split(options()["ExecReload"].replace("$MAINPID", str(self.process.pid)))
        subprocess.run(command, check=True)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[Home], Service]]:
    made: list[Service] = []

    def service(home: Home) -> Service:
        made.append(Service(home, tmp_path / f"notify{len(made)}", watchdog=1.0))
        return made[-1]

    yield service
    for each in made:
        each.process.kill()
        each.process.wait()
        each.socket.close()


def test_it_says_what_it_is_at_and_a_reload_makes_anew_only_what_a_changed_rule_makes_stale(
    home: Home, clips: Path, start: Callable[[Home], Service]
) -> None:
    service = start(home)
    assert service.hear(lambda word: word == "READY=1")
    assert "STATUS=nothing to do" in service.said
    for _ in range(3):
        service.hear(lambda word: word == "WATCHDOG=1", 5)
    for suffix in (".mp4", ".srt"):
        shutil.copy(clips / f"talk{suffix}", home.root / "inbox")
    assert "talk-" in service.hear(lambda word: word.startswith("STATUS=building"))
    service.hear(lambda word: word == "STATUS=nothing to do")
    (video,) = home.videos()
    segments = {path: path.stat().st_mtime_ns for path in (video / "segments").rglob("*") if path.is_file()}
    before = (video / "dubbed.es.mp4").stat().st_mtime_ns
    rule = home.root / "rules" / "quick.yaml"
    rule.write_text(rule.read_text() + "output: {loudness: -20}\n")
    service.reload()
    service.hear(lambda word: word.startswith("STATUS=building"))
    service.hear(lambda word: word == "STATUS=nothing to do")
    assert (video / "dubbed.es.mp4").stat().st_mtime_ns > before
    assert {path: path.stat().st_mtime_ns for path in segments} == segments


def test_a_main_loop_that_hangs_says_nothing_to_the_watchdog(home: Home, start: Callable[[Home], Service]) -> None:
    service = start(home)
    service.hear(lambda word: word == "WATCHDOG=1")
    os.kill(service.process.pid, signal.SIGSTOP)
    time.sleep(0.2)
    with pytest.raises(AssertionError, match="not heard"):
        while True:
            service.hear(lambda word: word == "WATCHDOG=1", 2)


def test_a_stop_under_load_ends_within_the_drain_and_the_next_start_goes_on(
    home: Home, clips: Path, start: Callable[[Home], Service]
) -> None:
    for name in "abc":
        for suffix in (".mp4", ".srt"):
            shutil.copy(clips / f"talk{suffix}", home.root / "inbox" / f"{name}{suffix}")
        with (home.root / "inbox" / f"{name}.mp4").open("ab") as file:
            file.write(name.encode())  # three contents: the same one twice is one video
    first = start(home)
    first.hear(lambda word: word.startswith("STATUS=building"))
    began = time.monotonic()
    first.process.terminate()
    assert first.hear(lambda word: word == "STOPPING=1", 10)
    assert first.process.wait(100) in (0, *map(int, options()["SuccessExitStatus"].split()))
    assert time.monotonic() - began < 90
    second = start(home)
    second.hear(lambda word: word == "STATUS=nothing to do")
    assert len(home.videos()) == 3
    assert all((video / "dubbed.es.mp4").exists() for video in home.videos())


def test_each_line_for_the_journal_has_its_priority_and_says_what_it_is_of(home: Home, clips: Path) -> None:
    for suffix in (".mp4", ".srt"):
        shutil.copy(clips / f"talk{suffix}", home.root / "inbox")
    (home.root / "inbox" / "notes.mp4").write_text("this is no video")
    read, write = os.pipe()
    stat = os.fstat(write)
    command = [sys.executable, "-m", "dubd", "watch", "--until-idle", "--settle", "0.3"]
    environ = home.environ | {"JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"}
    with subprocess.Popen(command, env=environ, cwd="/", stdout=write, stderr=write) as process, os.fdopen(read) as out:
        os.close(write)
        lines = out.read().splitlines()
        process.wait()
    talk, notes = sorted((video.name for video in home.videos()), reverse=True)
    assert [line for line in lines if not re.match(r"<[3456]>\S", line)] == []
    (failed,) = [line for line in lines if line.startswith("<3>")]
    assert failed.endswith(f" video={notes} stage=plan state=failed")
    assert "; check that it plays" in failed
    (built,) = [line for line in lines if line.startswith("<5>")]
    assert re.search(rf"dubbed\.es\.mp4 .* video={talk} state=done seconds=\d+\.\d+$", built)
    assert [
        line for line in lines if re.search(rf" video={talk} stage=speak segment=000 state=ran seconds=[\d.]+$", line)
    ]


def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    there = tmp_path / "dubd.service"  # its program is where it was installed: any will do to look at the rest
    there.write_text(UNIT.read_text().replace("/opt/dubd/.venv/bin/dubd", "/bin/true"))
    checked = subprocess.run(["systemd-analyze", "verify", there], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


@pytest.mark.parametrize(
    ("drop_in", "most"), [(None, 1.0), ("gpu.conf", 1.0), ("metrics.conf", 1.5), ("ray.conf", 2.0)]
)
def test_systemd_finds_little_to_attack(tmp_path: Path, drop_in: str | None, most: float) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    there = tmp_path / UNIT.name
    shutil.copy(UNIT, there)
    if drop_in:
        beside = tmp_path / f"{UNIT.name}.d"
        beside.mkdir()
        shutil.copy(UNIT.parent / drop_in, beside)
    scored = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", there], capture_output=True, text=True, check=False
    )
    found = re.search(r"exposure level for dubd.service: ([\d.]+)", scored.stdout)
    assert found, scored
    assert float(found[1]) <= most
    said = re.search(rf"\| {f'with `{drop_in}`' if drop_in else 'the unit'} \| ([\d.]+)", README.read_text())
    assert said
    assert abs(float(said[1]) - float(found[1])) <= 0.2  # other versions of systemd weigh a little differently


def test_the_filter_leaves_the_call_that_bounds_ffmpeg() -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")

    def calls(group: str) -> set[str]:
        listed = subprocess.run(
            ["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True
        ).stdout
        names = set(re.findall(r"^ {4}(@?[\w-]+)$", listed, re.MULTILINE))
        return names.union(*(calls(name) for name in names if name.startswith("@")))

    (refused,) = re.findall(r"^SystemCallFilter=~(.+)$", UNIT.read_text(), re.MULTILINE)
    assert "prlimit64" in calls("@default")
    assert "prlimit64" not in set().union(*map(calls, refused.split()))
