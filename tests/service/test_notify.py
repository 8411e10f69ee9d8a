"""What goes over systemd's socket, read from a real one."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dubd.service.notify import Notify


class Systemd:
    """The reading end of a notify socket."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        """What was said since the last look, line by line."""
        lines: list[str] = []
        while True:
            try:
                lines += self.socket.recv(4096).decode().split("\n")
            except BlockingIOError:
                return lines


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Systemd, str]]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@dubd-test-{os.getpid()}"
    end = Systemd(f"\0{name[1:]}" if name.startswith("@") else name)
    yield end, name
    end.socket.close()


def test_ready_is_said_once_with_the_status(systemd: tuple[Systemd, str]) -> None:
    end, name = systemd
    notify = Notify({"NOTIFY_SOCKET": name})
    notify.ready("nothing\nto do")
    notify.ready("nothing to do")
    assert end.heard() == ["READY=1", "STATUS=nothing to do"]


def test_the_watchdog_hears_twice_in_its_time_and_only_while_the_loop_turns(systemd: tuple[Systemd, str]) -> None:
    end, name = systemd
    clock = [0.0]
    notify = Notify({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "60000000"}, now=lambda: clock[0])
    for second in range(61):
        clock[0] = float(second)
        notify.alive("")
    assert end.heard() == ["WATCHDOG=1"] * 3
    clock[0] = 1000.0
    assert end.heard() == []


def test_a_watchdog_that_is_meant_for_another_process_is_left_alone(systemd: tuple[Systemd, str]) -> None:
    end, name = systemd
    environ = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}
    Notify(environ).alive("")
    Notify(environ | {"WATCHDOG_PID": str(os.getpid())}).alive("")
    assert end.heard() == ["WATCHDOG=1"]


def test_a_status_goes_out_when_it_changes(systemd: tuple[Systemd, str]) -> None:
    end, name = systemd
    notify = Notify({"NOTIFY_SOCKET": name})
    for status in ("building a", "building a", "nothing to do"):
        notify.alive(status)
    assert end.heard() == ["STATUS=building a", "STATUS=nothing to do"]


def test_stopping_asks_for_more_time_each_time(systemd: tuple[Systemd, str]) -> None:
    end, name = systemd
    Notify({"NOTIFY_SOCKET": name}).stopping("stopping: building a")
    assert end.heard() == ["STOPPING=1", "STATUS=stopping: building a", "EXTEND_TIMEOUT_USEC=30000000", "WATCHDOG=1"]


def test_without_systemd_or_with_nobody_at_the_other_end_nothing_happens(tmp_path: Path) -> None:
    for environ in ({}, {"NOTIFY_SOCKET": str(tmp_path / "gone")}):
        notify = Notify(environ)
        notify.ready("")
        notify.alive("x")
        notify.stopping("")


def test_a_reader_that_hangs_does_not_stop_the_daemon(systemd: tuple[Systemd, str]) -> None:
    _, name = systemd
    notify = Notify({"NOTIFY_SOCKET": name})
    for number in range(5000):
        notify.alive(str(number))
