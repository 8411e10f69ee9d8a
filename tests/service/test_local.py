"""A workspace on a network file system is refused in one line, by whatever would write to it; an inbox there is not."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dubd.cli.main import app
from dubd.errors import DubdError, Exit
from dubd.service import mounts
from dubd.service.local import remote, require_local


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the kernel's table says is on a server."""
    folder, table = tmp_path / "far", tmp_path / "mountinfo"
    folder.mkdir()
    table.write_text(f"20 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 20 0:9 / {folder} rw - cifs //nas/films rw\n")
    monkeypatch.setattr(mounts, "TABLE", table)
    for name in ("inbox", "workspace", "rules"):
        monkeypatch.setenv(f"DUBD_{name.upper()}", str(folder / name))
    return folder


def test_the_line_names_the_kind_and_the_remedy(far: Path) -> None:
    with pytest.raises(DubdError) as caught:
        require_local(far / "workspace")
    assert str(caught.value) == (
        f"{far / 'workspace'}: lies on a network file system (cifs), where records and locks of videos are not safe; "
        "set DUBD_WORKSPACE to a folder on a disk of this machine; the inbox may stay where it is"
    )
    assert caught.value.exit == Exit.WORKSPACE


def test_a_folder_beside_it_is_local(far: Path) -> None:
    require_local(far.parent)
    assert remote(far.parent) == ""


@pytest.mark.parametrize("words", [("watch", "--until-idle"), ("run", "talk.mp4")])
def test_watch_and_run_refuse_it_and_make_nothing(far: Path, words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, DubdError)
    assert "network file system (cifs)" in str(done.exception)
    assert os.listdir(far) == []


def test_doit_refuses_it_too(far: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(Path(__file__).parents[2] / "dodo.py"))
    assert caught.value.code == Exit.WORKSPACE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"dubd: {far / 'workspace'}: lies on a network file system (cifs)")
