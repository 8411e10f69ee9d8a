"""What doctor says of ffmpeg: absent, broken, or built without what is used; and that its list is what is used."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import dubd
from dubd.service.health.finding import Finding
from dubd.service.health.tools import NEEDED, findings, listed

REAL, GREP = str(shutil.which("ffmpeg")), str(shutil.which("grep"))


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def program(path: Path, name: str, script: str) -> None:
    (path / name).write_text(f"#!/bin/sh\n{script}\n")
    (path / name).chmod(0o755)


def without(path: Path, *features: str) -> None:
    """The real program, with lines left out of its lists; ffprobe as it is."""
    program(path, "ffmpeg", f'{REAL} "$@" | {GREP} -vwE "{"|".join(features)}"')
    (path / "ffprobe").symlink_to(str(Path(REAL).with_name("ffprobe")))


def bad() -> list[Finding]:
    return [finding for finding in findings() if finding.level == "bad"]


def test_no_ffmpeg_is_named_with_the_package_to_install(path: Path) -> None:
    assert path.is_dir()
    assert bad() == [Finding(name, "bad", "is not installed", "apt install ffmpeg") for name in ("ffmpeg", "ffprobe")]


def test_an_ffmpeg_that_does_not_run_is_to_be_installed_anew(path: Path) -> None:
    program(path, "ffmpeg", "echo libavcodec.so.59 is missing >&2; exit 127")
    found = bad()[0]
    assert (found.what, found.remedy) == ("ffmpeg", "apt install --reinstall ffmpeg")
    assert "127" in found.says


def test_an_ffmpeg_that_answers_in_no_utf_8_is_heard_all_the_same(path: Path) -> None:
    program(path, "ffmpeg", "printf 'ffmpeg version 5.1\\351 \\377\\n'")
    assert next(findings()).says.startswith("5.1\ufffd at ")


def test_an_ffmpeg_without_libx264_is_named_by_its_path(path: Path) -> None:
    without(path, "libx264")
    (found,) = bad()
    assert found == Finding(
        "ffmpeg features",
        "bad",
        f"{path / 'ffmpeg'} was built without the encoder libx264",
        f"apt install ffmpeg, and take {path / 'ffmpeg'} out of PATH",
    )


def test_what_only_some_videos_need_keeps_nobody_from_dubbing(path: Path) -> None:
    without(path, "zscale")
    assert bad() == []
    (note,) = [finding for finding in findings() if finding.level == "note"]
    assert note.says.endswith("without the filter zscale, which HDR sources need")


def test_the_installed_ffmpeg_has_everything() -> None:
    assert [finding.level for finding in findings()] == ["good", "good", "good"]


class TestTheList:
    """It must not fall behind the code."""

    def sources(self) -> Iterator[str]:
        for room in ("media", "stages", "engines"):
            for file in Path(dubd.__file__).parent.joinpath(room).glob("*.py"):
                yield file.read_text(encoding="utf-8")

    def test_it_has_every_codec_container_and_bitstream_filter_that_a_command_names(self) -> None:
        whole = "\n".join(self.sources())
        codecs = set(re.findall(r'"-c:[vas]", "(\w+)"', whole)) - {"copy"}
        assert {"libx264", "aac"} <= codecs <= set(NEEDED["encoders"])
        forms = set(re.findall(r'"-f", "(\w+)"', whole)) - {"none"}  # apertium has an -f of its own
        assert {"mp4", "concat"} <= forms <= {*NEEDED["muxers"], *NEEDED["demuxers"]}
        assert set(re.findall(r'"-bsf:\w", f?"(\w+)=', whole)) == set(NEEDED["bsfs"])

    def test_it_has_every_filter_that_a_chain_names_with_a_parameter_and_no_other(self) -> None:
        known, used = listed(REAL, "filters"), set[str]()
        for source in self.sources():
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    parts = (re.match(r"([a-z0-9]+)(=?)", part) for part in node.value.split(","))
                    used |= {part[1] for part in parts if part and part[2] and part[1] in known}
        assert used <= set(NEEDED["filters"])
        assert set(NEEDED["filters"]) - used <= {"anull", "apad"}  # they take none
