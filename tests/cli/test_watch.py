"""dubd watch: what the daemon's news become on the board."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dubd.cli.board import Bars, Board, Lines
from dubd.cli.watch import _Teller
from dubd.errors import Exit
from dubd.graph.video_build import VideoBuild
from dubd.service.daemon import Daemon
from tests.graph.stand import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def watched(desk: Desk, board: Board) -> Exit:
    """Everything in the inbox is taken and built, or refused; the exit code."""
    teller = _Teller(board)
    Daemon(desk.folders, desk.stand, teller.tell, settle=0.01).run(until_idle=True)
    return teller.exit


def test_every_video_has_a_line_of_its_own_built_or_found_up_to_date(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        watched(desk, Lines())
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        (own,) = [line for line in lines if line["stage"] == "video"]
        assert own["state"] == "done"
        assert own["files"] == [str(desk.folder / "dubbed.es.mp4")]


def test_a_build_that_cannot_be_closed_says_why(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(build: VideoBuild) -> None:
        real(build)
        raise OSError(28, "No space left on device")

    real = VideoBuild.close
    monkeypatch.setattr(VideoBuild, "close", broken)
    assert watched(desk, Lines()) == Exit.WORKSPACE
    own = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert own["state"] == "failed"
    assert own["error"]["reason"] == "no space left on the disk"


@pytest.mark.parametrize("kind", [Board, Bars])
def test_of_a_build_that_is_over_nothing_is_kept_also_where_nothing_was_told(
    desk: Desk, kind: type[Board], capsys: pytest.CaptureFixture[str]
) -> None:
    board = kind()
    daemon = Daemon(desk.folders, desk.stand, _Teller(board).tell, settle=0.01)
    for voice in ("auto", "auto", "m1"):  # built, found up to date, built anew
        desk.rule(voice)
        daemon.reload()
        daemon.run(until_idle=True)
        assert (board.courses, board._last, board._waits, getattr(board, "_bars", {})) == ({}, {}, {}, {})
    assert capsys.readouterr().out.count("dubbed.es.mp4") >= 2
