"""The folder where the dubd processes of a machine meet."""

from __future__ import annotations

import logging
import os
import stat
import tempfile
from pathlib import Path

import pytest

from dubd.errors import DubdError
from dubd.schedule.runtime import runtime
from tests.scenarios.conftest import make_home
from tests.schedule.cards import Machine

OURS = os.getuid()


def test_the_one_that_is_named_comes_first(tmp_path: Path) -> None:
    named = tmp_path / "a" / "b"
    assert runtime({"DUBD_RUNTIME": str(named)}, run=tmp_path) == named
    assert named.is_dir()


def test_no_test_meets_the_dubd_of_this_machine() -> None:
    found = Path(os.environ["DUBD_RUNTIME"])
    assert found.parent == Path(tempfile.gettempdir())
    assert runtime() == found


def test_what_a_test_starts_meets_it_neither(tmp_path: Path) -> None:
    assert make_home(tmp_path).environ["DUBD_RUNTIME"] == os.environ["DUBD_RUNTIME"]
    machines = [Machine(tmp_path / name) for name in "ab"]
    for variable in ("DUBD_RUNTIME", "DUBD_SIMULATED_GPUS"):
        places = {machine.environ()[variable] for machine in machines}
        assert len(places) == 2
        assert all(Path(place).is_relative_to(tmp_path) for place in places)


def test_run_dubd_where_it_can_be_written(tmp_path: Path) -> None:
    assert runtime({"XDG_RUNTIME_DIR": str(tmp_path)}, run=tmp_path) == tmp_path / "dubd"


def test_the_users_own_where_there_is_no_run_at_all(tmp_path: Path) -> None:
    found = runtime({"XDG_RUNTIME_DIR": str(tmp_path)}, run=tmp_path / "none", tmp=tmp_path)
    assert found == tmp_path / "dubd"
    assert stat.S_IMODE(found.stat().st_mode) == 0o700


@pytest.mark.parametrize("variable", [False, True], ids=["cron", "a login"])
def test_cron_and_a_login_of_a_user_meet(tmp_path: Path, variable: bool) -> None:
    (tmp_path / "run" / "user" / str(OURS)).mkdir(parents=True)
    (tmp_path / "run" / "user" / str(OURS)).chmod(0o700)
    (tmp_path / "run" / "dubd").write_text("")  # not to be used, by root either
    (tmp_path / "xdg").mkdir()
    environ = {"XDG_RUNTIME_DIR": str(tmp_path / "xdg")} if variable else {}
    assert runtime(environ, run=tmp_path / "run", tmp=tmp_path) == tmp_path / "run" / "user" / str(OURS) / "dubd"


def test_a_login_folder_of_someone_else_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "run" / "user" / str(OURS)).mkdir(parents=True)
    (tmp_path / "run" / "user" / str(OURS)).chmod(0o777)
    (tmp_path / "run" / "dubd").write_text("")  # not to be used, by root either
    found = runtime({"XDG_RUNTIME_DIR": str(tmp_path)}, run=tmp_path / "run", tmp=tmp_path)
    assert found == tmp_path / "dubd"


@pytest.mark.skipif(OURS == 0, reason="root may write anywhere")
def test_says_so_where_the_shared_one_is_closed_to_us(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "run" / "dubd").mkdir(parents=True, mode=0o500)
    with caplog.at_level(logging.WARNING):
        found = runtime({}, run=tmp_path / "run", tmp=tmp_path)
    assert found == tmp_path / f"dubd-{OURS}"
    assert "GPU leases are not shared" in caplog.text


def test_below_tmp_it_is_this_users_alone(tmp_path: Path) -> None:
    found = runtime({"XDG_RUNTIME_DIR": str(tmp_path / "gone")}, run=tmp_path / "none", tmp=tmp_path)
    assert found == tmp_path / f"dubd-{OURS}"
    assert stat.S_IMODE(found.stat().st_mode) == 0o700
    assert runtime({}, run=tmp_path / "none", tmp=tmp_path) == found


@pytest.mark.parametrize("trick", ["others may write", "a link", "another owner", "a file"])
def test_below_tmp_a_folder_that_someone_else_put_there_is_refused(tmp_path: Path, trick: str) -> None:
    folder = tmp_path / f"dubd-{OURS}"
    owner = OURS
    if trick == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    elif trick == "a file":
        folder.write_text("")
    else:
        folder.mkdir(mode=0o700)
        folder.chmod(0o777 if trick == "others may write" else 0o700)
    if trick == "another owner":
        owner = OURS + 1
        folder.rename(tmp_path / f"dubd-{owner}")
    with pytest.raises(DubdError, match="only you can write"):
        runtime({}, run=tmp_path / "none", tmp=tmp_path, uid=owner)
