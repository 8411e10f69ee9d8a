"""dubd clean, from the outside: what goes, what stays, and what an edit brings back."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from tests.scenarios.conftest import Home, tasks


def names(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def test_what_can_be_made_again_goes_and_the_video_stays_done(dubbed: Home) -> None:
    (video,) = dubbed.videos()
    before, dub = names(video), (video / "dubbed.es.mp4").read_bytes()
    would = dubbed.dubd("clean", "--dry-run")
    assert would.returncode == 0, would.stderr
    assert "would free" in would.stdout
    assert names(video) == before
    done = dubbed.dubd("clean", "--json")
    (told,) = json.loads(done.stdout)
    gone = before - names(video)
    assert told["files"] == len(gone) > 0
    assert {Path(name).suffix for name in gone} <= {".wav", ".mp4", ".mkv", ".npz"}
    assert {"segments/000/audio.wav", "segments/000/speech.wav"} <= gone
    assert {"plan.json", "segments/000/translation.json", "dubbed.es.srt", "report.json"} <= names(video)
    assert (video / "dubbed.es.mp4").read_bytes() == dub
    assert json.loads(dubbed.dubd("status", "--json").stdout)["videos"][0]["state"] == "done"
    assert "up to date" in dubbed.dubd("why", video.name).stdout
    again = dubbed.dubd("watch", "--until-idle", "--settle", "0.2")
    assert again.returncode == 0, again.stderr
    assert "segments/000/audio.wav" not in names(video)


def test_an_edited_line_of_a_cleaned_video_brings_back_what_follows_from_it(dubbed: Home) -> None:
    (video,) = dubbed.videos()
    dubbed.dubd("clean")
    text = video / "segments" / "000" / "translation.json"
    lines = json.loads(text.read_text())
    lines["utterances"][0]["text"] = "Muy buenos días."
    text.write_text(json.dumps(lines))
    ran = dubbed.dubd("run", video, "--json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    made = {name for name, line in tasks(ran.stdout).items() if line.get("state") == "ran"}
    assert {"000/extract", "000/speak", "assemble"} <= made
    assert not {"000/transcribe", "000/translate"} & made
    assert "Muy buenos" in (video / "dubbed.es.srt").read_text()


def test_a_video_that_is_not_finished_or_too_young_is_left_alone(dubbed: Home) -> None:
    (video,) = dubbed.videos()
    before = names(video)
    assert "not old enough" in dubbed.dubd("clean", "--older-than", "1h").stdout
    (video / "segments" / "000" / "translation.json").unlink()
    assert "not finished" in dubbed.dubd("clean").stdout
    assert names(video) == before - {"segments/000/translation.json"}
    old = dubbed.dubd("clean", "--older-than", "soon")
    assert (old.returncode, len(old.stderr.splitlines())) == (2, 1)


def test_nothing_is_kept_only_where_nothing_is_lost(dubbed: Home, clips: Path) -> None:
    (video,) = dubbed.videos()
    source = next(video.glob("source.*"))
    if source.is_symlink():
        source.unlink()
    else:
        source.unlink(missing_ok=True)
    shutil.copy2(clips / "talk.mp4", source)
    left = dubbed.dubd("clean", "--keep", "nothing").stdout
    assert "left as it is" in left
    assert video.exists()
    os.link(source, dubbed.root / "kept.mp4")
    dubbed.dubd("run", video)
    freed = dubbed.dubd("clean", "--keep", "nothing")
    assert "freed" in freed.stdout, freed.stdout + freed.stderr
    assert not video.exists()
    assert (dubbed.root / "kept.mp4").exists()
