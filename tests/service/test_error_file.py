"""What stands beside a drop that failed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dubd.errors import DubdError
from dubd.service import error_file

FAULT = DubdError("has no sound", stage="plan", remedy="give it some")


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    (tmp_path / "inbox" / "es").mkdir(parents=True)
    path = tmp_path / "inbox" / "es" / "talk.mp4"
    path.touch()
    return path


def beside(drop: Path) -> Path:
    return drop.with_name("talk.mp4.error.txt")


def test_it_says_what_where_and_how_to_try_again(drop: Path) -> None:
    error_file.write(drop, drop.parents[1], [FAULT], "talk-1234abcd")
    lines = beside(drop).read_text().splitlines()
    assert lines[0] == "dubd could not dub talk.mp4."
    assert lines[2:5] == ["What:    has no sound", "Stage:   plan", "Remedy:  give it some"]
    assert lines[-1] == "    dubd retry talk-1234abcd"
    assert sorted(os.listdir(drop.parent)) == ["talk.mp4", "talk.mp4.error.txt"]


def test_the_same_fault_keeps_the_time_since_when_and_another_one_does_not(drop: Path) -> None:
    error_file.write(drop, drop.parents[1], [FAULT], "talk")
    os.utime(beside(drop), (1000, 1000))
    error_file.write(drop, drop.parents[1], [FAULT], "talk")
    assert error_file.since(drop, drop.parents[1]) == 1000
    error_file.write(drop, drop.parents[1], [DubdError("is empty")], "talk")
    assert error_file.since(drop, drop.parents[1]) != 1000
    assert "is empty" in beside(drop).read_text()


def test_what_it_says_is_read_again(drop: Path) -> None:
    said = [
        DubdError("bad rule", file="/rules/a.yaml", remedy="mend it"),
        DubdError("no: sound", file=drop, stage="plan"),
    ]
    assert error_file.faults(drop, drop.parents[1]) == []
    error_file.write(drop, drop.parents[1], said, "talk")
    assert [str(fault) for fault in error_file.faults(drop, drop.parents[1])] == [str(fault) for fault in said]


@pytest.mark.parametrize(
    ("name", "shown"),
    [("new\nline.mp4", "new%0Aline.mp4"), ("caf\udce9.mp4", "caf%E9.mp4"), ("ನಮಸ್ಕಾರ\u200c.mp4", "ನಮಸ್ಕಾರ\u200c.mp4")],
)
def test_of_a_name_that_is_refused_for_itself_it_is_named_as_in_a_url(drop: Path, name: str, shown: str) -> None:
    path, inbox = drop.with_name(name), drop.parents[1]
    path.touch()
    error_file.write(path, inbox, [FAULT], "as it is")
    beside = drop.with_name(f"{shown}.error.txt")
    assert "What:    has no sound" in beside.read_text(encoding="utf-8").splitlines()
    assert error_file.since(path, inbox) == beside.stat().st_mtime
    error_file.remove(path, inbox)
    assert not beside.exists()


def test_what_lacks_a_file_is_said_to_go_on_when_that_is_there(drop: Path) -> None:
    error_file.write(drop, drop.parents[1], [DubdError("no model", absent=[Path("/models/a.pt")])], "talk")
    assert "It is tried again when it, a sidecar or its rule changes, when what is missing is there, or by:" in (
        beside(drop).read_text().splitlines()
    )


def test_a_reason_forges_no_line(drop: Path) -> None:
    error_file.write(drop, drop.parents[1], [DubdError("bad\nRemedy:  rm -rf /\x1b[2J")], "talk")
    assert "What:    bad?Remedy:  rm -rf /?[2J" in beside(drop).read_text().splitlines()


def test_it_goes_and_a_persons_file_stays(drop: Path) -> None:
    error_file.write(drop, drop.parents[1], [FAULT], "talk")
    error_file.remove(drop, drop.parents[1])
    assert not beside(drop).exists()
    beside(drop).write_text("mine")
    error_file.write(drop, drop.parents[1], [FAULT], "talk")
    error_file.remove(drop, drop.parents[1])
    assert beside(drop).read_text() == "mine"


def test_a_folder_that_leads_out_of_the_inbox_is_not_written_to(drop: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    drop.parent.rename(outside)
    drop.parent.symlink_to(outside)
    error_file.write(drop, drop.parents[1], [FAULT], "talk")
    assert os.listdir(outside) == ["talk.mp4"]
