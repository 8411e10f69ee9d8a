"""A home for dubd of its own, a short talk, and the real command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

QUICK = """\
# Without lips: the picture is copied, so that a dub takes seconds.
default: true
languages: {source: en, target: es}
stages: {lipsync: {engine: none}, restore: {engine: none}}
"""
SUBTITLES = (
    "1\n00:00:00,300 --> 00:00:01,200\nGood morning.\n\n2\n00:00:01,500 --> 00:00:02,700\nThis is a red house.\n"
)


@dataclass(frozen=True)
class Home:
    """The four folders of one dubd, and its command line."""

    root: Path

    @property
    def environ(self) -> dict[str, str]:
        folders = {f"DUBD_{name.upper()}": str(self.root / name) for name in ("inbox", "workspace", "rules", "models")}
        return {**os.environ, **folders, "COLUMNS": "200"}

    def dubd(self, *words: object, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, from a folder that is none of dubd's."""
        command = [sys.executable, "-m", "dubd", *map(str, words)]
        env = {**self.environ, **(environ or {})}
        return subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, timeout=180, check=False)

    def start(self, *words: object) -> subprocess.Popen[str]:
        """Start a command that goes on, in a process group of its own as a shell would; its output is one stream."""
        command = [sys.executable, "-m", "dubd", *map(str, words)]
        return subprocess.Popen(
            command,
            env=self.environ,
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def videos(self) -> list[Path]:
        """The folders in the workspace."""
        return sorted(path for path in (self.root / "workspace").glob("*") if not path.name.startswith("."))


def tasks(lines: str) -> dict[str, dict[str, Any]]:
    """The JSON lines of `dubd run --json` by task, without the video's id."""
    found = [json.loads(line) for line in lines.splitlines()]
    return {line["task"].partition(":")[2] or line["task"]: line for line in found}


def make_home(root: Path) -> Home:
    """Folders and the quick rule."""
    for name in ("inbox", "workspace", "rules", "models"):
        (root / name).mkdir(parents=True)
    (root / "rules" / "quick.yaml").write_text(QUICK)
    return Home(root)


def ffmpeg(*words: object) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, words)], check=True)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "home")


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """talk.mp4 with its talk.srt, and silent.mp4, empty.mp4, text.mp4, broken.mp4: no dub can come of these."""
    folder = tmp_path_factory.mktemp("clips")
    picture = ("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=3")
    encode = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-threads", 1)
    speech = folder / "speech.wav"
    subprocess.run(["espeak-ng", "-w", speech, "Good morning. This is a red house."], check=True)
    ffmpeg(*picture, "-i", speech, "-af", "apad", "-t", 3, *encode, "-c:a", "aac", folder / "talk.mp4")
    ffmpeg(*picture, *encode, folder / "silent.mp4")
    (folder / "talk.srt").write_text(SUBTITLES)
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("this is no video\n")
    whole = (folder / "talk.mp4").read_bytes()
    (folder / "broken.mp4").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, clips: Path) -> tuple[Home, str]:
    """A home in which talk.mp4 was dubbed, and what `dubd run` printed. Not to be changed: see `dubbed`."""
    home = make_home(tmp_path_factory.mktemp("built") / "home")
    ran = home.dubd("run", clips / "talk.mp4")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return home, ran.stdout


@pytest.fixture
def dubbed(built: tuple[Home, str], tmp_path: Path) -> Home:
    """A copy of `built` to change: a workspace may be moved."""
    shutil.copytree(built[0].root, tmp_path / "home", symlinks=True)
    return Home(tmp_path / "home")


def lines_of(done: subprocess.CompletedProcess[str]) -> Sequence[str]:
    """What a command said on standard error."""
    return done.stderr.splitlines()
