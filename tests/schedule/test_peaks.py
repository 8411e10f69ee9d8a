"""Measured peaks: the most that was seen, kept in one file by all dubd processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dubd.schedule.peaks import SURE, Peak, Peaks
from dubd.schedule.ticket import Ticket

TICKET = Ticket("v:000/speak", "speak", "xtts", {}, {}, {}, {}, revision="7", precision="fp16")
WRITER = """
import sys
from pathlib import Path
from dubd.schedule.peaks import Peaks
from tests.schedule.test_peaks import TICKET
peaks = Peaks(Path(sys.argv[1]))
for batch in range(40):
    peaks.learn("A100", TICKET, 2 * batch + int(sys.argv[2]), 1000 + batch, full=True)
"""


def test_the_most_that_was_seen_is_kept_for_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "state" / "peaks.json"
    peaks = Peaks(path)
    for mib in (900, 1200, 1100, 800, 700):
        peaks.learn("A100", TICKET, 4, mib, full=True)
    peaks.learn("A100", TICKET, 1, 600, full=False)
    assert Peaks(path).of("A100", TICKET) == {4: Peak(1200, SURE), 1: Peak(600, 0)}
    assert Peaks(path).of("T4", TICKET) == {}
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["peaks.json", "peaks.lock"]


def test_a_lease_that_ran_out_is_kept_beside_what_was_measured_until_it_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "peaks.json"
    one, other = Peaks(path), Peaks(path)
    one.fell_short("A100", TICKET, 4, 1200)
    other.learn("A100", TICKET, 1, 600, full=True)
    assert Peaks(path).short("A100", TICKET) == other.short("A100", TICKET) == {4: 1200}
    other.sufficed("A100", TICKET, 4, 1100, 0)
    one.learn("A100", TICKET, 1, 700, full=True)
    assert one.short("A100", TICKET) == {}
    assert Peaks(path).of("A100", TICKET) == {1: Peak(700, 1)}


def test_processes_that_write_at_once_lose_nothing_of_each_other(tmp_path: Path) -> None:
    path = tmp_path / "peaks.json"
    root = Path(__file__).parents[2]
    both = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), odd], cwd=root) for odd in ("0", "1")]
    assert [process.wait() for process in both] == [0, 0]
    assert sorted(Peaks(path).of("A100", TICKET)) == list(range(80))


def test_what_is_already_known_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "peaks.json"
    peaks = Peaks(path)
    for _ in range(SURE):
        peaks.learn("A100", TICKET, 1, 600, full=True)
    before = path.stat().st_ino
    peaks.learn("A100", TICKET, 1, 599, full=True)
    assert path.stat().st_ino == before


@pytest.mark.parametrize("text", ["", "{}", '[{"of": 1}]', '{"a": [1]}', "\x00"])
def test_a_broken_file_is_told_and_measured_anew(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "peaks.json"
    path.write_text(text)
    peaks = Peaks(path)
    assert peaks.of("A100", TICKET) == {}
    peaks.learn("A100", TICKET, 1, 600, full=True)
    assert Peaks(path).of("A100", TICKET) == {1: Peak(600, 1)}
    assert text == "{}" or "measured anew" in caplog.text


def test_a_folder_that_cannot_be_written_costs_no_task(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    peaks = Peaks(tmp_path / "file" / "peaks.json")
    peaks.learn("A100", TICKET, 1, 600, full=True)
    assert peaks.of("A100", TICKET) == {1: Peak(600, 1)}
    assert "is not kept" in caplog.text
