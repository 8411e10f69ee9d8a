"""An external program that misbehaves as the real ones do: recovered, handed to the fallback, or reported."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dubd.engines import external_folder
from dubd.engines.external import External
from dubd.engines.landmarks import model
from dubd.errors import DubdError
from dubd.media.patches import PatchReader
from tests.engines import checkouts
from tests.engines.checkouts import ARGS, FRAMES

pytestmark = pytest.mark.skipif(model() is None, reason="the 68-point model of libdlib-data is not here")


@pytest.fixture(scope="module")
def segment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return checkouts.segment(tmp_path_factory.mktemp("segment"))


@pytest.fixture(autouse=True)
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STAND_IN_TOLD", str(tmp_path / "told.json"))
    return tmp_path / "told.json"


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return checkouts.checkout(tmp_path / "repo")


def patched(out: Path) -> PatchReader:
    return PatchReader(out / "patches.mkv", out / "geometry.npz")


@pytest.mark.parametrize(("fault", "frames"), [("short", 3), ("long", 4)])
def test_a_few_frames_too_few_or_too_many_are_repaired(
    segment: dict[str, Path], repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, frames: int
) -> None:
    monkeypatch.setenv("STAND_IN", fault)

    facts = checkouts.sync(segment, tmp_path / "out", checkouts.engine(repo))

    assert facts["mode"] == "videoretalking" and facts["repaired"] == frames and facts["fallback"] == 0, facts
    assert max(patched(tmp_path / "out").frames) >= FRAMES - 2, "to the end of the piece"


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("nothing", "ended well, but wrote no video: [Step 0] looking for faces"),
        ("text", "wrote a file that is no video"),
        ("shorter", "wrote 12 frames, where 24 were asked for"),
        ("size", "wrote pictures of 256x256, where 512x512 were asked for"),
        ("same", "left the lips as they were"),
        (
            "crash",
            "ended with exit code 1: UnboundLocalError: local variable 'mask_sharp' referenced before assignment",
        ),
        ("colours", "ended with exit code 1: RuntimeError: no mouth <b>"),
        ("killed", "was killed by signal 9: [Step 0] looking for faces"),
    ],
)
def test_what_is_of_no_use_is_told_and_done_by_the_fallback(
    segment: dict[str, Path],
    repo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: str,
    why: str,
) -> None:
    monkeypatch.setenv("STAND_IN", fault)

    with caplog.at_level(logging.WARNING, "dubd.external"):
        facts = checkouts.sync(segment, tmp_path / "out", checkouts.engine(repo, context=0.0))

    assert facts["why"] == [why] and facts["fallback"] == facts["pieces"] == 1
    assert facts["mode"] == patched(tmp_path / "out").mode == "warp" and facts["changed"] > 0.8 * FRAMES
    assert why in caplog.text and caplog.text.replace("\n", "").isprintable() and not list((repo / "temp").iterdir())


def test_a_program_that_was_killed_once_is_run_again_and_does_it_all(
    segment: dict[str, Path], repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN", "killed")
    monkeypatch.setenv("STAND_IN_DIED", str(tmp_path / "died"))

    facts = checkouts.sync(segment, tmp_path / "out", checkouts.engine(repo, context=0.0))

    assert (tmp_path / "died").exists()
    assert (facts["mode"], facts["fallback"], facts["pieces"]) == ("videoretalking", 0, 1)


def test_a_crash_on_a_frame_without_a_face_costs_that_piece_alone(
    segment: dict[str, Path], repo: Path, tmp_path: Path
) -> None:
    dark = {**segment, "video": tmp_path / "dark.mp4"}  # our tracks still have a face there: the program finds none
    box = "drawbox=t=fill:color=black:enable='between(n,3,6)'"
    encode = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "12", "-pix_fmt", "yuv420p"]
    command = ["ffmpeg", "-v", "error", "-i", str(segment["video"]), "-vf", box, *encode, str(dark["video"])]
    subprocess.run(command, check=True)

    facts = checkouts.sync(dark, tmp_path / "out", checkouts.engine(repo, max_seconds=0.48))

    assert facts["mode"] == "videoretalking+warp" and facts["pieces"] == 2 and facts["fallback"] == 1
    assert "Face not detected!" in facts["why"][0]
    frames = patched(tmp_path / "out").frames.tolist()
    assert frames == sorted(frames) and min(frames) < 12 and max(frames) > FRAMES - 3


def test_a_program_that_hangs_is_ended_with_all_that_it_started(
    segment: dict[str, Path], repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN", "hang")

    heard: list[float] = []

    facts = checkouts.sync(
        segment, tmp_path / "out", checkouts.engine(repo, timeout=3.0, timeout_factor=1.0), heard.append
    )

    assert facts["why"] == ["was still running after 3 s, and was ended: [Step 0] looking for faces"]
    assert facts["changed"] > 0.8 * FRAMES
    assert len(heard) >= 3, "a word each second: the worker does not count as hung"
    assert not within(repo)


def test_what_a_program_leaves_running_is_ended_with_it(
    segment: dict[str, Path], repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN", "child")

    assert checkouts.sync(segment, tmp_path / "out", checkouts.engine(repo))["fallback"] == 0
    assert not within(repo)


def test_without_a_fallback_the_task_fails_with_the_program_s_last_words(
    segment: dict[str, Path],
    repo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("STAND_IN", "crash")

    error = checkouts.sync(segment, tmp_path / "out", checkouts.engine(repo, fallback="none"))

    assert isinstance(error, DubdError) and error.file == str(segment["video"]) and error.stage == "lipsync"
    assert "exit code 1: UnboundLocalError" in error.reason and "docs/videoretalking.md" in error.remedy
    assert "\n" not in str(error) and "Traceback" in caplog.text


def test_nothing_of_another_video_with_the_same_name_is_used_again(
    segment: dict[str, Path], repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def same() -> Iterator[Path]:
        folder = tmp_path / "samename"
        folder.mkdir()
        yield folder
        shutil.rmtree(folder)

    monkeypatch.setattr(external_folder, "folder", same)  # names are unique otherwise
    kept = checkouts.engine(repo, leaves=())
    checkouts.sync(segment, tmp_path / "one", kept)
    (cache,) = (repo / "temp").glob("*_landmarks.txt")
    cache.write_text("[[0, 0, 9, 9]]")  # whoever reads it fails

    assert checkouts.sync(segment, tmp_path / "two", kept)["fallback"] == 0


def test_killing_the_worker_leaves_nothing_of_the_program_running(
    segment: dict[str, Path], repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN", "hang")
    code = (
        "import sys; from pathlib import Path; from tests.engines import checkouts;"
        f"made = checkouts.engine(Path({str(repo)!r}));"
        f"folder = Path({str(segment['video'].parent)!r});"
        "parts = {'video': 'video.mp4', 'faces': 'faces.npz', 'audio': 'audio.wav'};"
        f"checkouts.sync({{k: folder / v for k, v in parts.items()}}, Path({str(tmp_path / 'out')!r}), made)"
    )
    worker = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
    try:
        until = time.monotonic() + 60
        while len(within(repo)) < 3 and time.monotonic() < until:  # the keeper, the program, and its child
            time.sleep(0.05)
        assert len(within(repo)) == 3
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    until = time.monotonic() + 10
    while within(repo) and time.monotonic() < until:
        time.sleep(0.05)
    assert not within(repo)


def test_two_runs_in_one_checkout_wait_for_each_other_where_the_rule_says_so(
    segment: dict[str, Path], repo: Path, tmp_path: Path
) -> None:
    engine = checkouts.engine(repo, External, args=ARGS, alone=True)
    hold = "import fcntl, os, sys, time; fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), 2); print('held', flush=True);"
    other = subprocess.Popen([sys.executable, "-c", f"{hold}time.sleep(2)", str(repo)], stdout=subprocess.PIPE)
    assert other.stdout and other.stdout.readline() == b"held\n"

    assert checkouts.sync(segment, tmp_path / "out", engine)["fallback"] == 0

    assert other.poll() == 0, "the other one was done first"
    other.stdout.close()


def within(folder: Path) -> list[int]:
    """The processes whose current folder it is."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "cwd") == str(folder) and (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:  # it has ended
            continue
    return found
