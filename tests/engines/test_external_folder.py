"""Temporary folders of external programs: what a killed worker leaves is swept, what is in use is not."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from dubd.engines import external_folder
from tests.engines import checkouts

HOLD = """
import sys, time
from dubd.engines import external_folder
with external_folder.folder() as folder:
    (folder / "face.mp4").write_bytes(bytes(1000))
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(external_folder, "_YOUNG", -1.0)
    return external_folder._base()


def test_the_folder_of_a_worker_that_was_killed_is_gone_when_the_next_one_loads(base: Path, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout
        left = Path(worker.stdout.readline().strip())
        assert left.parent == base and re.fullmatch(r"[A-Za-z0-9_/-]+", str(left))
        external_folder.sweep()
        assert (left / "face.mp4").exists(), "in use"
        worker.send_signal(signal.SIGKILL)
    assert left.exists()

    checkouts.engine(checkouts.checkout(tmp_path / "repo"))

    assert not left.exists()


def test_a_folder_that_has_just_been_made_is_left(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_folder, "_YOUNG", 60.0)
    made = base / "dubd_external_new"
    made.mkdir()
    external_folder.sweep()
    assert made.exists()


def test_a_link_of_that_name_is_not_followed(base: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (base / "dubd_external_link").symlink_to(tmp_path / "mine")
    external_folder.sweep()
    assert (tmp_path / "mine").is_dir()
