"""What is said of the GPUs while videos are built: in the log, as a line, and beside JSON lines, never among them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from dubd.cli import voice
from dubd.cli.board import Board, Lines
from dubd.cli.voice import CLUSTER_LOG, GPU_LOG, keep_log, voiced

log = logging.getLogger(GPU_LOG)


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    tops = [logging.getLogger(name) for name in ("dubd", "watchdog")]
    before = [(top, list(top.handlers), top.propagate) for top in tops]
    for top in tops:
        top.handlers.clear()
    yield
    for top, handlers, propagate in before:
        top.handlers[:], top.propagate = handlers, propagate


def test_the_log_is_kept_from_the_first_start_on(tmp_path: Path) -> None:
    keep_log(tmp_path / ".log")  # before there is a workspace
    (tmp_path / ".log").mkdir()
    keep_log(tmp_path / ".log")
    keep_log(tmp_path / ".log")
    log.warning("GPU is lost")
    (line,) = (tmp_path / ".log" / "dubd.log").read_text().splitlines()
    assert line.endswith("dubd.gpu GPU is lost")


def test_what_watchdog_says_of_its_own_threads_is_for_developers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_log(tmp_path)
    logging.getLogger("watchdog.observers.inotify").error("queue_events() called when the thread is inactive")
    (line,) = (tmp_path / "dubd.log").read_text().splitlines()
    assert line.endswith("called when the thread is inactive")
    assert capsys.readouterr().err == ""


def test_a_full_disk_costs_a_line_of_the_log_and_prints_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dubd.log").symlink_to("/dev/full")
    keep_log(tmp_path)
    log.warning("GPU is lost")
    assert capsys.readouterr().err == ""


def test_the_log_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice, "_MOST", 1000)
    keep_log(tmp_path)
    for turn in range(100):
        log.error("turn %d", turn)
    logging.getLogger("dubd").handlers[0].close()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2000
    assert "turn 99" in (tmp_path / "dubd.log").read_text()


def test_a_warning_is_a_line_and_notes_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    with voiced(Board()):
        log.warning("GPU %s is lost", "H200")
        log.info("a note")
    log.warning("after the build")
    assert capsys.readouterr().out == "GPU H200 is lost\n"


def test_a_node_that_joins_is_a_line_and_stays_out_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    for board in (Board(), Lines()):
        with voiced(board):
            logging.getLogger(CLUSTER_LOG).info("the node box1 joins")
    said = capsys.readouterr()
    assert said.out == "the node box1 joins\n"
    assert said.err == ""


def test_json_lines_stay_json(capsys: pytest.CaptureFixture[str]) -> None:
    with voiced(Lines()):
        log.warning("NO GPU")
    said = capsys.readouterr()
    assert said.out == ""
    assert "dubd: NO GPU\n" in said.err
