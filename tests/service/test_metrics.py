"""What Prometheus reads, over HTTP from a daemon that works."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import json
import os
import re
import socket
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from dubd.errors import DubdError, Exit
from dubd.service.daemon import Daemon
from dubd.service.metrics import Metrics
from tests.graph.stand import Desk


class Scraped:
    """A daemon at a desk with its metrics served."""

    def __init__(self, root: Path) -> None:
        self.desk = Desk(root)
        self.clock = 0.0
        metrics = Metrics(self.desk.folders)
        self.daemon = Daemon(
            self.desk.folders,
            self.desk.stand,
            metrics.hearing(lambda _: None),
            settle=1.0,
            now=lambda: self.clock,
        )
        self.address = metrics.serve(self.daemon, "0")

    def idle(self) -> None:
        for _ in range(300):
            self.daemon.step(0.01)
            self.clock += 1.0
            if self.daemon.idle:
                return
        raise AssertionError("never idle")

    def read(self) -> dict[str, float]:
        """Every sample by its name with its labels."""
        text = urllib.request.urlopen(self.address, timeout=10).read().decode()
        return {name: float(value) for name, value in re.findall(r"^([^#\s]\S*) (\S+)$", text, re.MULTILINE)}


@pytest.fixture
def scraped(tmp_path: Path) -> Iterator[Scraped]:
    yield Scraped(tmp_path)


def test_tasks_are_counted_by_stage_with_their_seconds_and_videos_by_how_they_ended(scraped: Scraped) -> None:
    scraped.idle()  # the desk has one drop
    read = scraped.read()
    assert read['dubd_tasks_total{outcome="ran",stage="plan"}'] == 1
    assert read['dubd_tasks_total{outcome="ran",stage="assemble"}'] == 1
    assert read['dubd_stage_seconds_total{device="cpu",stage="plan"}'] >= 0
    assert read['dubd_videos_total{outcome="built"}'] == 1
    assert read["dubd_videos_building"] == read["dubd_drops_pending"] == read["dubd_tasks_ready"] == 0
    assert read["dubd_task_retries_total"] == 0
    assert not [name for name in read if name.startswith("dubd_gpu_seconds")]


def test_a_failure_and_a_refused_drop_are_counted(scraped: Scraped) -> None:
    scraped.desk.claim()
    scraped.desk.stand.fail[f"{scraped.desk.folder.name}:000/speak"] = DubdError("mumbles", stage="speak")
    (scraped.desk.folders.inbox / "notes.txt").write_text("no video", encoding="utf-8")
    scraped.idle()
    read = scraped.read()
    assert read['dubd_tasks_total{outcome="failed",stage="speak"}'] == 1
    assert read['dubd_videos_total{outcome="failed"}'] == 1
    assert read["dubd_drops_refused_total"] == 1


def test_the_dashboard_asks_for_nothing_that_is_not_told(scraped: Scraped) -> None:
    scraped.idle()
    page = json.loads((Path(__file__).parents[2] / "docs" / "grafana.json").read_text(encoding="utf-8"))
    asked = {
        name
        for panel in page["panels"]
        for target in panel["targets"]
        for name in re.findall(r"\bdubd_\w+", target["expr"])
    }
    text = urllib.request.urlopen(scraped.address, timeout=10).read().decode()
    told = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    assert len(asked) >= 10
    assert asked <= told


def test_every_series_is_in_the_documentation(scraped: Scraped) -> None:
    scraped.desk.claim()
    scraped.desk.stand.fail[f"{scraped.desk.folder.name}:000/speak"] = DubdError("mumbles", stage="speak")
    (scraped.desk.folders.inbox / "notes.txt").write_text("no video", encoding="utf-8")
    scraped.idle()
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    told = {name.partition("{")[0] for name in scraped.read()}
    assert len(told) >= 10
    assert told <= set(re.findall(r"\bdubd_\w+", page))


def test_without_prometheus_client_the_pip_of_this_interpreter_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.setattr(sys, "executable", "/opt/my dubd/bin/python")
    with pytest.raises(DubdError, match="prometheus-client, which is not installed") as caught:
        Metrics(Desk(tmp_path).folders)
    assert caught.value.remedy == "'/opt/my dubd/bin/python' -m pip install 'dubd[metrics]'"


def test_the_disks_free_space_is_told_for_each_folder(scraped: Scraped) -> None:
    read = scraped.read()
    assert read['dubd_disk_free_bytes{folder="workspace"}'] > 0
    assert read['dubd_disk_free_bytes{folder="inbox"}'] > 0


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Path]:
    """A mounted folder whose server answers nothing, as a network share's that is away: whoever looks at it waits."""
    folder = tmp_path / "silent"
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        server = os.open("/dev/fuse", os.O_RDWR)
    except OSError:
        pytest.skip("nothing can be mounted here")
    options = f"fd={server},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
    try:
        if libc.mount(b"silent", os.fsencode(folder), b"fuse", 0, options.encode()):
            pytest.skip("nothing can be mounted here")
        yield folder
    finally:
        os.close(server)  # the kernel lets go of those that wait
        libc.umount2(os.fsencode(folder), 2)


def test_a_share_whose_server_is_away_keeps_neither_a_scrape_nor_the_next_one(
    tmp_path: Path, silent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dubd.service.metrics._PATIENCE", 0.1)
    desk = Desk(tmp_path)
    metrics = Metrics(dataclasses.replace(desk.folders, inbox=silent))
    daemon = Daemon(desk.folders, desk.stand, lambda _: None)
    address, threads = metrics.serve(daemon, "0"), []
    for _ in range(3):
        text = urllib.request.urlopen(address, timeout=10).read().decode()
        assert 'dubd_disk_free_bytes{folder="workspace"}' in text
        assert 'dubd_disk_free_bytes{folder="inbox"}' not in text
        threads.append(set(threading.enumerate()))
    assert threads[2] <= threads[0]  # one waits for the share, and no more


def test_it_answers_on_the_loopback_address_alone(scraped: Scraped) -> None:
    assert scraped.address.startswith("http://127.0.0.1:")
    port = int(scraped.address.split(":")[2].split("/")[0])
    with pytest.raises(ConnectionRefusedError):  # Linux has all of 127.0.0.0/8, and who listens everywhere answers here
        socket.create_connection(("127.0.0.2", port), 2).close()


def test_who_only_holds_connections_open_takes_one_of_the_daemons_descriptors_and_not_for_long(
    scraped: Scraped, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dubd.service.metrics._Handler.timeout", 0.2)
    port = int(scraped.address.split(":")[2].split("/")[0])
    before, threads = len(os.listdir("/proc/self/fd")), set(threading.enumerate())
    with contextlib.ExitStack() as held:
        silent = [held.enter_context(socket.create_connection(("127.0.0.1", port), 10)) for _ in range(4)]
        assert scraped.read()["dubd_videos_building"] == 0
        assert len(os.listdir("/proc/self/fd")) <= before + len(silent) + 1
        assert set(threading.enumerate()) <= threads  # those of other tests may end meanwhile


@pytest.mark.parametrize("port", ["many", "99999"])
def test_what_is_no_port_is_refused(tmp_path: Path, port: str) -> None:
    desk = Desk(tmp_path)
    daemon = Daemon(desk.folders, desk.stand, lambda _: None)
    with pytest.raises(DubdError, match="port") as caught:
        Metrics(desk.folders).serve(daemon, port)
    assert caught.value.exit == Exit.USAGE


def test_a_port_that_is_taken_is_told(tmp_path: Path, scraped: Scraped) -> None:
    port = scraped.address.split(":")[2].split("/")[0]
    (tmp_path / "other").mkdir()
    desk = Desk(tmp_path / "other")
    with pytest.raises(DubdError, match="cannot be served"):
        Metrics(desk.folders).serve(Daemon(desk.folders, desk.stand, lambda _: None), port)
