"""dubd gpu: figures that stay whole on a narrow terminal, one look where nobody watches, and a reason without a GPU."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from dubd.cli.gpu import tables
from dubd.cli.main import app
from dubd.schedule.gpu import Device
from dubd.schedule.simulated import Allocation, simulate
from dubd.service.gpus import machine
from tests.schedule import cards
from tests.service.test_gpus import holder

UUID = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> cards.Machine:
    made = cards.Machine(tmp_path, 4096)
    for name, value in made.environ().items():
        monkeypatch.setenv(name, value)
    simulate(made.cards, [Device(UUID, "NVIDIA GeForce RTX 4090 Laptop GPU", 143156)])
    return made


def drawn(width: int) -> str:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(tables(machine()))
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_no_figure_is_cut_off(box: cards.Machine, width: int) -> None:
    with (
        Allocation(box.cards, UUID, 12288, pid=os.getppid()),
        holder(box, UUID, 18432, 17408, "lipsync with latentsync") as pid,
    ):
        text = drawn(width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text.replace("GPU-8932f937…", "")
    device = re.search(r"GPU-8932f937… +139.8 GiB +29.0 GiB +12.0 GiB +18.0 GiB +109.3 GiB", text)
    assert device, text
    assert re.search(rf"lipsync with latentsync +GPU-8932f937… +{pid} +18.0 GiB +17.0 GiB +[\d.]+ s", text), text


@pytest.mark.parametrize("width", [80, 120])
def test_long_names_and_ids_that_differ_at_their_end_leave_every_figure_whole(box: cards.Machine, width: int) -> None:
    mig = "MIG-GPU-8932f937-1111-2222-3333-444455556666/%d/0"
    name = "NVIDIA RTX PRO 6000 Blackwell Server Edition"
    simulate(box.cards, [Device(mig % n, f"{name} {n}", 143156) for n in (1, 2)])
    done = on_terminal(box, width, "gpu", "--once")
    assert max(map(len, done.splitlines())) <= width
    for n in (1, 2):
        assert re.search(rf"NVIDIA RTX .*MIG-GPU-8932…{n}/0 +139.8 GiB +0 MiB +0 MiB +0 MiB +139.3 GiB", done), done
    assert all(done.count(word) == 2 for word in ("Blackwell", "Edition")), done


def on_terminal(box: cards.Machine, width: int, *argv: str) -> str:
    """What a terminal of that width is shown."""
    ours, theirs = pty.openpty()
    environ = {**os.environ, **box.environ(), "COLUMNS": str(width), "TERM": "dumb"}
    command = [sys.executable, "-m", "dubd", *argv]
    with subprocess.Popen(command, env=environ, stdout=theirs, stderr=theirs, stdin=subprocess.DEVNULL):
        os.close(theirs)
        seen = b""
        with contextlib.suppress(OSError):  # the other side is closed
            while more := os.read(ours, 1 << 16):
                seen += more
    os.close(ours)
    return seen.decode().replace("\r\n", "\n")


def test_a_pipe_is_as_wide_as_columns_says(box: cards.Machine) -> None:
    simulate(box.cards, [Device(UUID, "NVIDIA RTX PRO 6000 Blackwell Server Edition", 143156)])
    assert max(map(len, CliRunner().invoke(app, ["gpu"], env={"COLUMNS": None}).output.splitlines())) > 80
    narrow = CliRunner().invoke(app, ["gpu"], env={"COLUMNS": "80"}).output
    assert max(map(len, narrow.splitlines())) <= 80
    assert "139.3 GiB" in narrow


def test_a_load_is_marked_and_no_lease_is_said_to_be_none(box: cards.Machine) -> None:
    assert "no leases" in drawn(120)
    with holder(box, UUID, 500, 0, "speak with xtts"):
        text = drawn(120)
    assert re.search(r"speak with xtts .* 500 MiB +0 MiB .*loading", text), text
    assert "no leases" not in text


def test_a_lost_driver_takes_the_place_of_the_figures(box: cards.Machine) -> None:
    with holder(box, UUID, 18432, 17408, "lipsync with latentsync") as pid:
        simulate(box.cards, [Device(UUID, "H200", 143156)], lost=True)
        text, told = drawn(80), CliRunner().invoke(app, ["status"]).output
    assert re.search(r"H200 +GPU-8932f937… +139.8 GiB +\? +\? +18.0 GiB +\?\n", text), text
    assert "GPU-8932f937…: the driver does not answer: GPU is lost\n" in text
    assert re.search(rf"lipsync with latentsync +GPU-8932f937… +{pid} +18.0 GiB +17.0 GiB", text), text
    assert "(GPU-8932f937…): the driver does not answer: GPU is lost; 18.0 GiB promised to workers\n" in told
    assert f"  lipsync with latentsync (pid {pid}): 18.0 GiB for " in told


def test_a_driver_that_has_forgotten_a_card_hides_none_of_its_leases(box: cards.Machine) -> None:
    with holder(box, UUID, 18432, 17408, "lipsync with latentsync") as pid:
        simulate(box.cards, [])
        text = CliRunner().invoke(app, ["gpu"]).output
    assert text.startswith("no GPU: no simulated GPU: ")
    assert re.search(r"GPU +GPU-8932f937… +\? +\? +\? +18.0 GiB +\?", text), text
    assert re.search(rf"lipsync with latentsync +GPU-8932f937… +{pid} +18.0 GiB +17.0 GiB", text), text


@pytest.mark.usefixtures("box")
def test_it_looks_once_where_the_output_is_no_terminal() -> None:
    done = CliRunner().invoke(app, ["gpu"])
    assert done.exit_code == 0
    assert "139.8 GiB" in done.output
    assert json.loads(CliRunner().invoke(app, ["gpu", "--json"]).output) == machine().to_json()


def test_without_a_gpu_it_is_one_line_and_no_failure(box: cards.Machine) -> None:
    simulate(box.cards, [])
    done = CliRunner().invoke(app, ["gpu"])
    assert done.exit_code == 0
    assert done.output == f"no GPU: {machine().why}\n"


def test_on_a_terminal_it_follows_until_it_is_interrupted(box: cards.Machine) -> None:
    ours, theirs = pty.openpty()
    environ = {**os.environ, **box.environ(), "COLUMNS": "100", "TERM": "xterm"}
    command = [sys.executable, "-m", "dubd", "gpu", "--every", "0.1"]
    with subprocess.Popen(command, env=environ, stdout=theirs, stderr=theirs, stdin=subprocess.DEVNULL) as process:
        os.close(theirs)
        read(ours, b"no leases")
        with holder(box, UUID, 18432, 17408, "lipsync with latentsync"):
            read(ours, b"lipsync with latentsync")
        process.send_signal(signal.SIGINT)
        read(ours, None)
        assert process.wait(timeout=30) == 0
    os.close(ours)


def read(terminal: int, what: bytes | None, seconds: float = 60.0) -> None:
    """Until it shows `what`, or to the end."""
    seen, end = b"", time.monotonic() + seconds
    while what is None or what not in seen:
        assert time.monotonic() < end, seen
        try:
            seen += os.read(terminal, 1 << 16)
        except OSError:  # the other side is closed
            assert what is None, seen
            return
