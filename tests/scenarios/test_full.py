"""The default rule over the shipped sample, twice in a row, in two segments: the whole chain, lips and all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dubd.graph.tasks import VideoTasks
from dubd.graph.video import Video
from dubd.media.patches import PatchReader
from dubd.schedule.room import need

from .conftest import Home, tasks

RULE = """\
languages: {source: en, target: es}
default: true
segments: {target: 9, min: 8, max: 12}
"""
SECOND = {"001/speak", "001/lipsync", "001/restore", "001/render", "assemble"}


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory, talking_head: Path) -> Path:
    """The sample, looped to 19 s: silence in the middle, where a cut can fall."""
    path = tmp_path_factory.mktemp("film") / "A talk, twice.mp4"
    loop = ["-stream_loop", "1", "-i", str(talking_head), "-t", "19", "-c", "copy", str(path)]
    subprocess.run(["ffmpeg", "-v", "error", *loop], check=True)
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, film: Path) -> Iterator[Home]:
    """A home in which the film was dubbed by the default rule."""
    root = tmp_path_factory.mktemp("full") / "home"
    for name in ("inbox", "workspace", "rules", "models"):
        (root / name).mkdir(parents=True)
    (root / "rules" / "lite.yaml").write_text(RULE)
    made = Home(root)
    done = run(made, film)
    assert done.returncode == 0, done.stdout + done.stderr
    yield made


def run(home: Home, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dubd", "run", *map(str, words), "--json"]
    return subprocess.run(command, env={**os.environ, **home.environ}, cwd="/", capture_output=True, text=True)


def what_ran(home: Home, *words: object) -> set[str]:
    """Names of the tasks that a run executed."""
    done = run(home, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return {name for name, line in tasks(done.stdout).items() if line["state"] == "ran" and line["stage"] != "video"}


def streams(path: Path) -> list[dict[str, Any]]:
    show = ["ffprobe", "-v", "error", "-count_packets", "-show_streams", "-of", "json", str(path)]
    found: list[dict[str, Any]] = json.loads(subprocess.check_output(show))["streams"]
    return found


def test_the_dub_has_the_film_s_length_both_sounds_and_both_subtitles(home: Home, film: Path) -> None:
    (folder,) = home.videos()
    made = streams(folder / "dubbed.es.mp4")
    kinds = [(s["codec_type"], s.get("tags", {}).get("language")) for s in made]
    assert kinds == [("video", "und"), ("audio", "spa"), ("audio", "eng"), ("subtitle", "spa"), ("subtitle", "eng")]
    assert [s["disposition"]["default"] for s in made[1:3]] == [1, 0]
    (picture,) = (s for s in streams(film) if s["codec_type"] == "video")
    assert abs(int(made[0]["nb_read_packets"]) - int(picture["nb_read_packets"])) <= 1
    assert (made[0]["codec_name"], made[0]["pix_fmt"]) == ("h264", "yuv420p")


def test_every_segment_is_heard_spoken_and_given_lips(home: Home) -> None:
    (folder,) = home.videos()
    segments = sorted((folder / "segments").iterdir())
    assert [segment.name for segment in segments] == ["000", "001"]
    for segment in segments:
        lines = json.loads((segment / "speech.json").read_text())["lines"]
        assert len(lines) >= 2
        assert all(line["tempo"] <= 1.35 for line in lines)
        patches = PatchReader(segment / "restore/patches.mkv", segment / "restore/geometry.npz")
        start = json.loads((folder / "plan.json").read_text())["segments"][int(segment.name)]["first_frame"]
        spoken = {round(line["start"] * 25) + 5 - start for line in lines}
        assert spoken <= set(patches.frames.tolist()), f"lips stand still while {segment.name} speaks"


def test_no_step_took_more_of_the_disk_than_was_foreseen(home: Home) -> None:
    (folder,) = home.videos()
    tasks = [task.meta["ticket"] for task in VideoTasks(Video.open(folder)).rest() if task.meta]
    assert {ticket.stage for ticket in tasks} >= {"extract", "speak", "lipsync", "restore", "render", "assemble"}
    for ticket in tasks:
        took = sum(Path(path).stat().st_size for path in ticket.outputs.values())
        assert took <= need(ticket.space), ticket.task
        if ticket.stage in ("extract", "lipsync", "restore", "render"):
            assert took > need(ticket.space) / 10, f"{ticket.task} is told to take far more than it does"


def test_nothing_changed_runs_nothing(home: Home, film: Path) -> None:
    assert what_ran(home, film) == set()


def test_one_edited_line_makes_its_own_segment_again_and_no_other(home: Home, film: Path, tmp_path: Path) -> None:
    copy = Home(Path(shutil.copytree(home.root, tmp_path / "home", symlinks=True)))
    (folder,) = copy.videos()
    untouched = (folder / "segments/000/render.mp4").stat().st_mtime_ns
    path = folder / "segments/001/translation.json"
    lines = json.loads(path.read_text())
    lines["utterances"][0]["text"] = "Hola a todos y muy buenas tardes."
    path.write_text(json.dumps(lines, ensure_ascii=False))
    assert what_ran(copy, film) == SECOND
    assert (folder / "segments/000/render.mp4").stat().st_mtime_ns == untouched
    assert "buenas tardes" in (folder / "dubbed.es.srt").read_text()
    assert np.load(folder / "segments/001/lipsync/geometry.npz")["frame"].size > 0
