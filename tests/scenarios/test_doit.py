"""Plain `doit` at the root: what doit's manual says holds, and it shares everything with the daemon."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from dubd.graph.state import owned

from .conftest import Home

ROOT = Path(__file__).parents[2]


def doit(home: Home, *words: str, code: int = 0) -> list[str]:
    """Run `doit` where dodo.py is; its lines."""
    command = [sys.executable, "-m", "doit", *words]
    done = subprocess.run(command, env=home.environ, cwd=ROOT, capture_output=True, text=True, timeout=180)
    assert done.returncode == code, done.stdout + done.stderr
    return [*done.stdout.splitlines(), *done.stderr.splitlines()]


def ran(lines: list[str]) -> list[str]:
    """The tasks that were executed, without the video's id."""
    return [line.removeprefix(".  ").partition(":")[2] for line in lines if line.startswith(".  ")]


@pytest.fixture
def video(dubbed: Home) -> str:
    return dubbed.videos()[0].name


def test_nothing_to_do_after_dubd_run(dubbed: Home, video: str) -> None:
    lines = doit(dubbed)
    assert ran(lines) == []
    assert f"-- {video}:assemble" in lines


def test_list_shows_every_task_with_its_status(dubbed: Home, video: str) -> None:
    (dubbed.videos()[0] / "segments/000/speech.wav").unlink()
    status = {line.split()[1]: line.split()[0] for line in doit(dubbed, "list", "--all", "--status")}
    assert status[f"{video}:000/speak"] == "R"
    assert status[f"{video}:000/transcribe"] == "U"
    assert status[f"plan:{video}"] == "U"


def test_info_names_files_and_why(dubbed: Home, video: str) -> None:
    (dubbed.videos()[0] / "segments/000/translation.json").write_text("{}")
    text = "\n".join(doit(dubbed, "info", f"{video}:000/speak", code=1))  # doit's code for a task that is stale
    assert "segments/000/speech.wav" in text
    assert "translation.json" in text
    assert "file dependencies have changed" in text


def test_forget_runs_that_task_again_and_equal_bytes_stop_there(dubbed: Home, video: str) -> None:
    doit(dubbed, "forget", f"{video}:voice")
    assert ran(doit(dubbed)) == ["voice"]


def test_clean_removes_the_targets_of_that_task(dubbed: Home, video: str) -> None:
    made = dubbed.videos()[0] / "dubbed.es.mp4"
    doit(dubbed, "clean", "-n", f"{video}:assemble")
    assert made.exists()
    doit(dubbed, "clean", f"{video}:assemble")
    assert not made.exists()


def test_a_target_path_builds_what_it_needs(dubbed: Home) -> None:
    folder = dubbed.videos()[0]
    (folder / "segments/000/speech.wav").unlink()
    (folder / "dubbed.es.mp4").unlink()
    assert ran(doit(dubbed, str(folder / "segments/000/speech.wav"))) == ["000/speak"]
    assert not (folder / "dubbed.es.mp4").exists()
    assert ran(doit(dubbed, str(folder / "dubbed.es.mp4"))) == ["assemble"]


def test_a_wildcard_selects_tasks(dubbed: Home, video: str) -> None:
    folder = dubbed.videos()[0]
    (folder / "segments/000/speech.wav").unlink()
    (folder / "dubbed.es.mp4").unlink()
    assert ran(doit(dubbed, "-n", "2", f"{video}:*/speak")) == ["000/speak"]


def test_a_video_without_a_plan_is_planned_and_built_in_one_run(dubbed: Home, video: str) -> None:
    folder = dubbed.videos()[0]
    before = (folder / "dubbed.es.mp4").read_bytes()
    for path in (folder / ".state.sqlite", folder / "plan.json"):
        path.unlink()
    shutil.rmtree(folder / "segments")
    lines = ran(doit(dubbed, str(folder / "dubbed.es.mp4")))
    assert lines[0] == video  # plan:<video>
    assert lines[-1] == "assemble"
    assert (folder / "dubbed.es.mp4").read_bytes() == before


def test_a_video_that_another_process_builds_is_passed_by_and_named(dubbed: Home, video: str) -> None:
    with owned(dubbed.videos()[0]):
        lines = doit(dubbed, code=6)
    assert any(line.startswith(f"skip {video}: is being built by process") for line in lines)


def test_with_the_daemon_at_work_nothing_is_built_twice(home: Home, clips: Path) -> None:
    for name in ("talk.mp4", "talk.srt"):
        shutil.copy(clips / name, home.root / "inbox" / name)
    runs: Counter[str] = Counter()
    with home.start("watch", "--until-idle", "--json") as daemon:
        while daemon.poll() is None:
            command = [sys.executable, "-m", "doit"]
            done = subprocess.run(command, env=home.environ, cwd=ROOT, capture_output=True, text=True, timeout=180)
            assert done.returncode in (0, 6), done.stdout + done.stderr
            runs.update(ran(done.stdout.splitlines()))
        out, _ = daemon.communicate()
    assert daemon.returncode == 0, out
    for line in out.splitlines():
        entry = json.loads(line) if line.startswith("{") else {}
        if entry.get("state") == "ran" and entry.get("stage") != "video":
            runs[entry["task"].partition(":")[2]] += 1
    assert runs["assemble"] == 1
    assert set(runs.values()) == {1}, runs
    assert ran(doit(home)) == []


def test_a_bad_source_is_named_as_it_was_dropped(home: Home, clips: Path) -> None:
    assert home.dubd("run", clips / "text.mp4").returncode == 4
    (folder,) = home.videos()
    for lines in (doit(home, code=1), home.dubd("status").stdout.splitlines()):
        text = "\n".join(lines)
        assert str(clips / "text.mp4") in text
        assert str(folder / "source.mp4") not in text
