"""What is said of the GPUs while videos are built: as a line, and beside the JSON lines, never among them."""

from __future__ import annotations

import logging

import pytest

from dubd.cli.board import Board, Lines
from dubd.cli.voice import GPU_LOG, voiced

log = logging.getLogger(GPU_LOG)


def test_a_warning_is_a_line_and_notes_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    with voiced(Board()):
        log.warning("GPU %s is lost", "H200")
        log.info("a note")
    log.warning("after the build")
    assert capsys.readouterr().out == "GPU H200 is lost\n"


def test_json_lines_stay_json(capsys: pytest.CaptureFixture[str]) -> None:
    with voiced(Lines()):
        log.warning("NO GPU")
    said = capsys.readouterr()
    assert said.out == ""
    assert "dubd: NO GPU\n" in said.err
