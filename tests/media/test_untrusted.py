"""The bounds of an ffmpeg that reads what a stranger dropped."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from dubd.errors import DubdError, Exit
from dubd.media import ffmpeg, untrusted
from dubd.media.child import Child
from tests.hostile_videos import clip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "clip.mp4"
    found.write_bytes(clip())
    return found


def test_one_that_never_ends_is_ended(tmp_path: Path) -> None:
    began = time.monotonic()
    with (
        pytest.raises(DubdError, match="did not end within 0 s"),
        Child(["sleep", "60"], stage=None, file=tmp_path, seconds=0.3) as child,
    ):
        child.finish()
    assert time.monotonic() - began < 10


def test_one_that_takes_too_much_memory_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(untrusted, "MEMORY", 64 << 20)
    hungry = "import time; time.sleep(0.3); x = bytearray(256 << 20)"
    with (
        pytest.raises(DubdError, match="MemoryError"),
        Child([sys.executable, "-c", hungry], stage=None, file=tmp_path) as child,
    ):
        child.finish()


def test_every_input_has_its_bounds(path: Path) -> None:
    options = ffmpeg.given(path)
    assert options[-2:] == ("-i", f"file:{path}")
    assert "-protocol_whitelist" in options
    assert "-format_whitelist" in options
    assert "hls" not in untrusted.limits()["format_whitelist"].split(",")


def test_frames_beyond_the_bound_are_not_decoded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untrusted, "WIDEST", 32)
    with pytest.raises(DubdError):
        list(ffmpeg.frames_yuv(path, 64, 48))
    with pytest.raises(DubdError) as caught:
        ffmpeg.probe(path)
        untrusted.require_sane({"width": 64, "height": 48}, {"sample_rate": 48_000, "channels": 2}, path)
    assert caught.value.exit is Exit.INPUT


def test_what_a_day_holds_is_enough_and_more_is_refused(path: Path) -> None:
    untrusted.require_length(86_400.0, path, Exit.INPUT)
    untrusted.require_frames(86_400 * 120, path)
    with pytest.raises(DubdError, match="more than a day"):
        untrusted.require_length(86_401.0, path, Exit.INPUT)
    with pytest.raises(DubdError, match="more than a day"):
        untrusted.require_length(float("nan"), path, Exit.INPUT)
    with pytest.raises(DubdError, match="frames"):
        untrusted.require_frames(86_400 * 120 + 1, path)


def test_a_program_that_writes_one_line_without_end_takes_no_memory_for_it() -> None:
    script = "import sys\nfor _ in range(64): sys.stderr.write('x' * (1 << 20))\nsys.exit(1)"
    with Child([sys.executable, "-c", script], stage=None, file="film") as child, pytest.raises(DubdError) as told:
        child.finish()
    assert len(told.value.reason) <= 1 << 16
