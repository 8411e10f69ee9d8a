"""dubd run, from the outside: what is computed, what is not, and what it says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.conftest import Home, lines_of, tasks


def dub_of(home: Home) -> Path:
    (folder,) = home.videos()
    return folder / "dubbed.es.mp4"


class TestAFirstRun:
    def test_the_last_line_names_the_file(self, built: tuple[Home, str]) -> None:
        home, said = built
        assert said.splitlines()[-1].startswith(f"{dub_of(home)} (")
        assert dub_of(home).stat().st_size > 10_000

    def test_the_dub_has_both_sounds_and_the_picture_untouched(self, built: tuple[Home, str], clips: Path) -> None:
        def picture(path: Path) -> str:
            command = ["ffmpeg", "-v", "error", "-i", path, "-map", "0:v", "-c", "copy", "-f", "streamhash", "-"]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout

        assert picture(dub_of(built[0])) == picture(clips / "talk.mp4")
        probe = ["ffprobe", "-v", "error", "-show_entries", "stream=codec_type:stream_tags=language", "-of", "json"]
        found = json.loads(subprocess.run([*probe, dub_of(built[0])], capture_output=True, check=True).stdout)
        sounds = [stream["tags"]["language"] for stream in found["streams"] if stream["codec_type"] == "audio"]
        assert sounds == ["spa", "eng"]

    def test_report_and_page_lie_beside_it(self, built: tuple[Home, str]) -> None:
        (folder,) = built[0].videos()
        report = json.loads((folder / "report.json").read_text())
        assert [line["source"] for line in report["dubs"][0]["lines"]] == ["Good morning.", "This is a red house."]
        assert report["engines"]["lipsync"] is None
        assert report["engines"]["speak"]["name"] == "espeak"
        page = (folder / "report.html").read_text()
        assert "This is a red house." in page
        assert "http" not in page


class TestASecondRun:
    def test_nothing_runs_when_nothing_changed(self, dubbed: Home, clips: Path) -> None:
        again = dubbed.dubd("run", clips / "talk.mp4", "--json")
        assert again.returncode == 0
        found = tasks(again.stdout)
        assert {line["state"] for line in found.values() if line["stage"] != "video"} == {"skipped"}
        assert [line["state"] for line in found.values() if line["stage"] == "video"] == ["done"]
        assert {"000/extract", "000/transcribe", "voice", "000/translate", "000/speak", "assemble"} <= found.keys()

    def test_a_saved_file_with_the_same_bytes_runs_nothing(self, dubbed: Home) -> None:
        (folder,) = dubbed.videos()
        path = folder / "segments" / "000" / "translation.json"
        path.write_bytes(path.read_bytes())
        again = dubbed.dubd("run", folder.name, "--json")
        assert not [
            line for line in tasks(again.stdout).values() if line["state"] == "ran" and line["stage"] != "video"
        ]

    def test_a_hand_edit_rebuilds_what_follows_and_why_names_it(self, dubbed: Home) -> None:
        (folder,) = dubbed.videos()
        path = folder / "segments" / "000" / "translation.json"
        path.write_text(path.read_text().replace("uenos", "uenísimos"))
        why = dubbed.dubd("why", folder / "segments" / "000" / "speech.wav")
        assert "segments/000/translation.json was edited by hand" in why.stdout
        whole = dubbed.dubd("why", folder.name[:4], "--json")
        assert {verdict["task"].partition(":")[2] for verdict in json.loads(whole.stdout)} == {"000/speak", "assemble"}
        again = dubbed.dubd("run", folder.name, "--json")
        found = tasks(again.stdout)
        assert {name for name, line in found.items() if line["state"] == "ran" and ":" in line["task"]} == {
            "000/speak",
            "assemble",
        }
        assert "edited by hand" in found["000/speak"]["why"]
        assert "uenísimos" in path.read_text()
        assert "up to date" in dubbed.dubd("why", folder.name).stdout

    def test_a_changed_parameter_reaches_only_its_stage(self, dubbed: Home, clips: Path) -> None:
        rule = dubbed.root / "rules" / "quick.yaml"
        rule.write_text(rule.read_text() + "output: {subtitles: [srt]}\n")
        found = tasks(dubbed.dubd("run", clips / "talk.mp4", "--json").stdout)
        assert [name for name, line in found.items() if line["state"] == "ran" and ":" in line["task"]] == ["assemble"]


class TestBadInput:
    def test_each_has_one_line_and_the_rest_goes_on(self, dubbed: Home, clips: Path) -> None:
        bad = [clips / name for name in ("silent.mp4", "empty.mp4", "text.mp4", "broken.mp4")]
        before = [path.read_bytes() for path in bad]
        (folder,) = dubbed.videos()
        (folder / "dubbed.es.mp4").unlink()
        done = dubbed.dubd("run", *bad, clips / "gone.mp4", clips / "talk.mp4")
        assert done.returncode == 4
        assert done.stdout.splitlines()[-1].startswith(str(folder / "dubbed.es.mp4"))
        lines = lines_of(done)
        assert len(lines) == 5, lines
        for name in ("silent.mp4", "empty.mp4", "text.mp4", "broken.mp4", "gone.mp4"):
            (line,) = [line for line in lines if str(clips / name) in line]
            assert line.startswith("dubd: ")
            assert "; " in line, "no remedy"
        assert [path.read_bytes() for path in bad] == before

    def test_a_rule_that_is_not_there(self, home: Home, clips: Path) -> None:
        done = home.dubd("run", clips / "talk.mp4", "--rule", "quik")
        assert done.returncode == 3
        (line,) = lines_of(done)
        assert "did you mean quick?" in line

    def test_a_rule_with_an_unknown_key(self, home: Home, clips: Path) -> None:
        rule = home.root / "rules" / "quick.yaml"
        rule.write_text(rule.read_text().replace("{engine: none}, r", "{engine: none}, speak: {vioce: x}, r"))
        done = home.dubd("run", clips / "talk.mp4")
        assert done.returncode == 3
        (line,) = lines_of(done)
        assert f"{rule}:4: speak: unknown key 'vioce'; did you mean voice?" in line

    def test_a_rule_with_two_faults_has_a_line_for_each(self, home: Home, clips: Path) -> None:
        rule = home.root / "rules" / "quick.yaml"
        rule.write_text("default: true\nlanguages: {source: en}\nclyp: 3\n")
        shutil.copy(clips / "talk.mp4", home.root / "inbox")
        told = lines_of(home.dubd("run", clips / "talk.mp4"))
        assert [line.split(": ")[1] for line in sorted(told)] == [f"{rule}:2", f"{rule}:3"]
        assert set(lines_of(home.dubd("watch", "--until-idle", "--settle", "0.1"))) == set(told)
        listed = [f"dubd: {line.partition(': ')[2]}" for line in home.dubd("status").stdout.splitlines()[:2]]
        assert [line.partition(" (since ")[0] for line in listed] == told

    def test_a_workspace_that_cannot_be_made(self, home: Home, clips: Path) -> None:
        done = home.dubd("run", clips / "talk.mp4", environ={"DUBD_WORKSPACE": "/dev/null/no"})
        assert done.returncode == 5
        (line,) = lines_of(done)
        assert "DUBD_WORKSPACE" in line

    def test_a_clip_that_is_none(self, home: Home, clips: Path) -> None:
        done = home.dubd("run", clips / "talk.mp4", "--clip", "later")
        assert done.returncode == 2
        assert "START+DURATION" in lines_of(done)[0]

    @pytest.fixture
    def small_disk(self, tmp_path: Path) -> Iterator[Path]:
        disk = tmp_path / "disk"
        disk.mkdir()
        mount = shutil.which("mount")
        if os.geteuid() != 0 or not mount:
            pytest.skip("only root can mount a small tmpfs")
        if subprocess.run([mount, "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], check=False).returncode:
            pytest.skip("no tmpfs can be mounted here")
        yield disk
        subprocess.run(["umount", disk], check=True)

    def test_a_full_disk_and_going_on_when_there_is_room(self, home: Home, clips: Path, small_disk: Path) -> None:
        environ = {"DUBD_WORKSPACE": str(small_disk / "workspace")}
        done = home.dubd("run", clips / "talk.mp4", environ=environ)
        assert done.returncode == 5, done.stderr
        (line,) = lines_of(done)
        assert "no space left on the disk" in line
        assert "free some space" in line
        subprocess.run(["mount", "-o", "remount,size=288m", small_disk], check=True)
        again = home.dubd("run", clips / "talk.mp4", environ=environ)
        assert again.returncode == 0, again.stderr


def test_status_needs_no_numbers_library(built: tuple[Home, str]) -> None:
    code = (
        "import sys; from dubd.cli.main import app; app(['status'], standalone_mode=False); "
        "sys.exit(bool({'numpy', 'scipy', 'cv2'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=built[0].environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "talk-" in done.stdout


def test_a_video_is_known_by_its_id_also_inside_its_own_folder(dubbed: Home) -> None:
    (video,) = dubbed.videos()
    command = [sys.executable, "-m", "dubd", "why", video.name]
    done = subprocess.run(command, env=dubbed.environ, cwd=video, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "everything is up to date" in done.stdout


def test_a_drop_that_another_has_the_content_of_is_one_video_with_it(dubbed: Home, clips: Path) -> None:
    inbox = dubbed.root / "inbox"
    (video,) = dubbed.videos()
    shutil.rmtree(video)
    for name in ("first", "second", "third"):
        shutil.copy(clips / "talk.mp4", inbox / f"{name}.mp4")
        shutil.copy(clips / "talk.srt", inbox / f"{name}.srt")
    assert dubbed.dubd("run", inbox / "first.mp4").returncode == 0
    also = dubbed.dubd("run", inbox / "second.mp4")
    (video,) = dubbed.videos()
    assert also.returncode == 0
    assert f"has the content of {inbox / 'first.mp4'}; {video.name} is the dub of both" in also.stdout + also.stderr
    (inbox / "first.mp4").unlink()  # then the other one is the drop, and the folder keeps its name
    again = dubbed.dubd("run", inbox / "third.mp4", "--json")
    assert dubbed.videos() == [video]
    assert not [task for task, line in tasks(again.stdout).items() if line["state"] == "ran" and "/" in task]


@pytest.mark.parametrize("words", [(), ("--json",)], ids=["text", "json"])
def test_a_reader_that_goes_away_ends_it_quietly_and_leaves_nothing_half_done(
    home: Home, clips: Path, words: tuple[str, ...]
) -> None:
    command = [sys.executable, "-m", "dubd", "run", clips / "talk.mp4", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=home.environ, cwd="/", text=True, **pipes) as run:  # type: ignore[call-overload]
        run.stdout.readline()
        run.stdout.close()
        said = run.stderr.read()
        assert (run.wait(60), said) == (0, "")
    assert not list((home.root / "workspace").glob("*/.tmp-*"))
    assert home.dubd("run", clips / "talk.mp4").returncode == 0
