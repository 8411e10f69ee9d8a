"""The parent of a process that uses Ray, which Ray may end without a word: here the test ends it in the same way."""

from __future__ import annotations

import os
import pty
import select
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dubd.errors import Exit
from tests.schedule.cards import wait_until

MAIN = """
import os, signal, sys, time
from dubd.cluster.guard import connected, connecting, guard
from dubd.errors import DubdError
try:
    guard()
except DubdError as error:
    print(error, file=sys.stderr)
    sys.exit(int(error.exit))
"""


Start = Callable[..., "subprocess.Popen[str]"]
LOOKS_OFTEN = "import dubd.cluster.guard as g; g._EVERY = 0.2\n"
DEAF = "signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
UP = "connecting('{}'); connected(); print('up', flush=True)\n"
HANG = "time.sleep(60)\n"


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a process that does what is `before`, guards itself, and then does the code in the child."""
    started = []

    def begin(code: str, before: str = "", **more: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", before + MAIN + code]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "start_new_session": True} | more
        process = subprocess.Popen(command, text=True, **streams)  # type: ignore[call-overload]
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def ends(start: Start) -> Callable[..., tuple[int, str]]:
    """The exit code, and what is on standard error."""

    def end(code: str, before: str = "") -> tuple[int, str]:
        process = start(code, before)
        said = process.communicate(timeout=30)[1]
        return process.returncode, said

    return end


Ends = Callable[..., tuple[int, str]]


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


@pytest.mark.parametrize("code", [0, 1, 3, 130])
def test_a_child_that_leaves_by_itself_has_its_exit_code_handed_on(ends: Ends, code: int) -> None:
    assert ends(f"sys.exit({code})") == (code, "")


def test_a_child_that_is_gone_without_a_word_is_told_of_in_one_line_with_a_code_of_its_own(ends: Ends) -> None:
    code, said = ends("connecting('127.0.0.1:1'); os._exit(1)")
    assert code == Exit.CLUSTER
    assert said == (
        "the head of the Ray cluster at 127.0.0.1:1 is lost (Connection refused); "
        "start Ray, then dubd: what is finished stays\n"
    )


def test_an_abort_of_rays_core_is_told_of_too(ends: Ends) -> None:
    code, said = ends("connecting('127.0.0.1:1'); os.abort()")
    assert code == Exit.CLUSTER
    assert said.startswith("the head of the Ray cluster at 127.0.0.1:1 is lost")


def test_a_child_that_was_killed_takes_the_same_signal_to_its_parent(ends: Ends) -> None:
    assert ends("os.kill(os.getpid(), signal.SIGKILL)") == (-signal.SIGKILL, "")


@pytest.mark.parametrize("to_the_group", [False, True])
def test_signals_reach_the_child_once_however_they_are_sent(start: Start, to_the_group: bool) -> None:
    code = "signal.signal(signal.SIGINT, lambda *_: print('heard', flush=True))\n"
    process = start(code + UP.format("127.0.0.1:1") + "time.sleep(4)")
    assert line(process) == "up"
    (os.killpg if to_the_group else os.kill)(process.pid, signal.SIGINT)
    assert process.communicate(timeout=30)[0] == "heard\n"
    assert process.returncode == 0


def test_a_child_is_waited_for_also_where_ended_children_are_ignored(ends: Ends) -> None:
    ignore = "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
    assert ends("sys.exit(3)", before=ignore) == (3, "")


class TestAStop:
    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, Exit.STOPPED), (signal.SIGTERM, -signal.SIGTERM)])
    def test_that_was_asked_for_is_no_loss_of_ray(self, start: Start, number: int, code: int) -> None:
        process = start(DEAF + UP.format("127.0.0.1:1") + "time.sleep(4); os._exit(1)")
        assert line(process) == "up"
        os.kill(process.pid, number)
        assert process.communicate(timeout=30) == ("", "")
        assert process.returncode == code

    def test_that_is_asked_for_twice_ends_a_child_that_does_not_hear(self, start: Start) -> None:
        process = start(DEAF + UP.format("127.0.0.1:1") + HANG)
        assert line(process) == "up"
        for _ in range(2):
            os.kill(process.pid, signal.SIGINT)
            assert not ended_within(process, 0.5)
        assert process.wait(30) == Exit.STOPPED

    def test_ends_at_once_what_is_not_connected_yet(self, start: Start) -> None:
        process = start(DEAF + "connecting('127.0.0.1:1'); print('up', flush=True)\n" + HANG)
        assert line(process) == "up"
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(30) == -signal.SIGTERM


class TestTheHead:
    def test_that_is_silent_for_too_long_ends_the_child_and_is_told_of(
        self, start: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "1")
        process = start(LOOKS_OFTEN + UP.format("127.0.0.1:1") + HANG, before=LOOKS_OFTEN)
        said = process.communicate(timeout=30)[1]
        assert process.returncode == Exit.CLUSTER
        assert "the head of the Ray cluster at 127.0.0.1:1 is lost (Connection refused); start Ray" in said

    def test_is_silent_where_its_machine_has_no_power(self, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "1")
        gone = "def greet(_): raise OSError(113, 'No route to host')\ng.probe.greet = greet\n"
        process = start(UP.format("10.255.255.1:6379") + HANG, before=LOOKS_OFTEN + gone)
        said = process.communicate(timeout=30)[1]
        assert process.returncode == Exit.CLUSTER
        assert "is lost (No route to host)" in said

    def test_is_not_taken_for_silent_where_its_name_is_not_found(
        self, start: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "0.5")
        process = start(UP.format("nowhere.invalid:6379") + "time.sleep(4)", before=LOOKS_OFTEN)
        assert process.wait(30) == 0

    def test_need_not_say_a_word_where_it_speaks_tls(self, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "0.5")
        monkeypatch.setenv("RAY_USE_TLS", "1")
        with socket.create_server(("127.0.0.1", 0)) as silent:
            process = start(UP.format(f"127.0.0.1:{silent.getsockname()[1]}") + "time.sleep(3)", before=LOOKS_OFTEN)
            assert process.wait(30) == 0


class TestATerminal:
    def test_that_stops_background_output_is_written_to(self, start: Start) -> None:
        ours, theirs = pty.openpty()
        mode = termios.tcgetattr(theirs)
        mode[3] |= termios.TOSTOP
        termios.tcsetattr(theirs, termios.TCSANOW, mode)
        take = "import fcntl, termios; fcntl.ioctl(1, termios.TIOCSCTTY, 0)\n"
        process = start("print('written', flush=True)", before=take, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        assert process.wait(30) == 0
        assert select.select([ours], [], [], 5)[0]
        assert b"written" in os.read(ours, 1000)
        os.close(ours)

    def test_that_is_told_to_stop_the_job_stops_both_until_they_go_on(self, start: Start) -> None:
        process = start("print(os.getpid(), flush=True)\nfor _ in range(40): time.sleep(0.1)\n")
        child = int(line(process))
        os.kill(process.pid, signal.SIGTSTP)
        assert wait_until(lambda: state(process.pid) == "T" and state(child) == "T")
        os.kill(process.pid, signal.SIGCONT)
        assert process.wait(30) == 0


def ended_within(process: subprocess.Popen[str], seconds: float) -> bool:
    return wait_until(lambda: process.poll() is not None, seconds)


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def test_no_child_outlives_its_parent(start: Start) -> None:
    process = start("print(os.getpid(), flush=True); time.sleep(60)")
    child = Path("/proc", line(process))
    assert child.exists()
    process.kill()
    process.wait()
    assert wait_until(lambda: not child.exists() or "Z" in (child / "stat").read_text().split()[2], 5)


def test_systemds_watchdog_is_answered_by_the_child(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "2000000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert ends("from dubd.service.notify import _half; sys.exit(int(_half(os.environ)))") == (1, "")
