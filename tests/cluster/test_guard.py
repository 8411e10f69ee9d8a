"""The parent of a process that uses Ray, which Ray may end without a word: here the test ends it in the same way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dubd.errors import Exit
from tests.schedule.cards import wait_until

MAIN = """
import os, signal, sys, time
from dubd.cluster.guard import connected, guard
from dubd.errors import DubdError
try:
    guard()
except DubdError as error:
    print(error, file=sys.stderr)
    sys.exit(int(error.exit))
"""


def start(code: str) -> subprocess.Popen[str]:
    """A process that guards itself, and then does this in the child."""
    command = [sys.executable, "-c", MAIN + code]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def ends(code: str) -> tuple[int, str]:
    """The exit code, and what is on standard error."""
    process = start(code)
    said = process.communicate(timeout=30)[1]
    return process.returncode, said


@pytest.mark.parametrize("code", [0, 1, 3, 130])
def test_a_child_that_leaves_by_itself_has_its_exit_code_handed_on(code: int) -> None:
    assert ends(f"sys.exit({code})") == (code, "")


def test_a_child_that_is_gone_without_a_word_is_told_of_in_one_line_with_a_code_of_its_own() -> None:
    code, said = ends("connected('127.0.0.1:1'); os._exit(1)")
    assert code == Exit.CLUSTER
    assert said == (
        "the head of the Ray cluster at 127.0.0.1:1 is lost (Connection refused); "
        "start Ray, then dubd: what is finished stays\n"
    )


def test_an_abort_of_rays_core_is_told_of_too() -> None:
    code, said = ends("connected('127.0.0.1:1'); os.abort()")
    assert code == Exit.CLUSTER
    assert said.startswith("the head of the Ray cluster at 127.0.0.1:1 is lost")


def test_a_child_that_was_killed_takes_the_same_signal_to_its_parent() -> None:
    assert ends("os.kill(os.getpid(), signal.SIGKILL)") == (-signal.SIGKILL, "")


@pytest.mark.parametrize("to_the_group", [False, True])
def test_signals_reach_the_child_once_however_they_are_sent(to_the_group: bool) -> None:
    code = "signal.signal(signal.SIGINT, lambda *_: print('heard', flush=True)); print('up', flush=True)\n"
    process = start(code + "signal.pause(); time.sleep(0.5)")
    assert process.stdout
    assert process.stdout.readline() == "up\n"
    (os.killpg if to_the_group else os.kill)(process.pid, signal.SIGINT)
    assert process.communicate(timeout=30)[0] == "heard\n"
    assert process.returncode == 0


def test_no_child_outlives_its_parent() -> None:
    process = start("print(os.getpid(), flush=True); time.sleep(60)")
    assert process.stdout
    child = Path("/proc", process.stdout.readline().strip())
    assert child.exists()
    process.kill()
    process.wait()
    assert wait_until(lambda: not child.exists() or "Z" in (child / "stat").read_text().split()[2], 5)


def test_systemds_watchdog_is_answered_by_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "2000000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert ends("from dubd.service.notify import _half; sys.exit(int(_half(os.environ)))") == (1, "")
