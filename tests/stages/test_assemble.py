"""assemble joins segments to the sample and the frame, at the loudness asked for."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from dubd.errors import DubdError
from dubd.media import mastering
from dubd.media.ffmpeg import frames_yuv, probe
from dubd.stages import assemble, render
from dubd.stages.job import Job

RATE = Fraction(30000, 1001)
WIDTH, HEIGHT = 96, 64
LENGTHS = (61, 45, 50)  # frames of the segments
Done = tuple[Job, dict[str, Any]]
COLOR = {"space": "bt709", "primaries": "bt709", "transfer": "bt709", "range": "tv"}


def sample_at(frame: int) -> int:
    return round(frame * 48000 / RATE)


def voiced(samples: int, pitch: float) -> np.ndarray:
    """A buzz in syllables, a quarter of a second each: loud enough to measure, peaky enough to limit."""
    clock = np.arange(samples) / 48000
    buzz = sum(np.cos(2 * np.pi * pitch * k * clock) / k for k in range(1, 12))
    return np.asarray(0.08 * buzz * np.clip(np.sin(2 * np.pi * 4 * clock), 0, 1), np.float32)


class Workspace:
    """Three segments with picture, sound, words and their translation, as the stages before leave them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = folder / "source.mp4"
        lists: dict[str, list[Path]] = {}
        self.segments: list[dict[str, Any]] = []
        first = 0
        for number, frames in enumerate(LENGTHS):
            start, end = sample_at(first), sample_at(first + frames)
            segment = {"id": f"{number:03}", "start": start / 48000, "end": end / 48000, "first_frame": first}
            self.segments.append({**segment, "frames": frames, "first_sample": start, "samples": end - start})
            where = folder / f"{number:03}"
            where.mkdir()
            video = where / "video.mp4"
            chain = f"testsrc2=size={WIDTH}x{HEIGHT}:rate={RATE},trim=start_frame={first}:end_frame={first + frames}"
            command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"{chain},setpts=PTS-STARTPTS"]
            subprocess.run([*command, "-pix_fmt", "yuv420p", "-threads", "1", "-qp", "0", str(video)], check=True)
            picture = {"width": WIDTH, "height": HEIGHT, "color": COLOR, "sample_aspect": "1:1"}
            params = {"rate": str(RATE), "picture": picture}
            render.run([Job("render", "render", {"video": video}, {"render": where / "render.mp4"}, params)])
            old = np.stack([voiced(end - start, 110), voiced(end - start, 90)], 1)
            soundfile.write(where / "audio.wav", old, 48000, subtype="PCM_16")
            soundfile.write(where / "speech.wav", voiced(end - start, 140), 48000, subtype="PCM_16")
            id, span = f"{number:03}-01", {"start": start / 48000 + 0.3, "end": end / 48000 - 0.3}
            said = {"id": id, **span, "speaker": "S1"}
            written = {
                "transcript": {"language": "en", "utterances": [{**said, "text": f"Line {number}."}]},
                "translation": {"source": "en", "target": "es", "utterances": [{**said, "text": f"Línea {number}."}]},
                "speech": {"language": "es", "lines": [said]},
            }
            for name, data in written.items():
                (where / f"{name}.json").write_text(json.dumps(data), "utf-8")
            names = {"audios": "audio.wav", "speeches": "speech.wav", "timings": "speech.json"}
            names |= {"transcripts": "transcript.json", "translations": "translation.json", "renders": "render.mp4"}
            for key, name in names.items():
                lists.setdefault(key, []).append(where / name)
            first += frames
        self.lists, self.frames, self.samples = lists, first, sample_at(first)

    def job(self, out: Path, copy: bool = False, lists: dict[str, list[Path]] | None = None, **output: Any) -> Job:
        out.mkdir(exist_ok=True)
        names = {"dubbed": "dubbed.es.mp4", "srt:es": "dubbed.es.srt", "srt:en": "original.en.srt"}
        settings = {"subtitles": ["srt"], "keep_original_audio": True, "background": "duck", "loudness": -16.0}
        return Job(
            "assemble",
            "assemble",
            {"source": self.source} if copy else {},
            {key: out / name for key, name in names.items()},
            {
                "languages": {"source": "en", "target": "es"},
                "output": {**settings, **output},
                "rate": str(RATE),
                "frames": self.frames,
                "samples": self.samples,
                "start": 0.0,
                "copy": copy,
                "title": "a talk",
                "engines": {"speak": "espeak"},
                "segments": self.segments,
            },
            {key: paths for key, paths in (self.lists | (lists or {})).items() if not (copy and key == "renders")},
        )


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("workspace"))


def assembled(job: Job) -> dict[str, Any]:
    (facts,) = assemble.run([job])
    assert not isinstance(facts, DubdError), facts
    return facts


@pytest.fixture(scope="module")
def done(workspace: Workspace) -> Done:
    """The programme as a plain rule makes it, and what the stage found."""
    job = workspace.job(workspace.folder / "done")
    return job, assembled(job)


def hashes(path: Path) -> str:
    """The packets of the picture, hashed one by one without their times."""
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-map", "0:v:0", "-c", "copy", "-f", "framehash", "-"]
    lines = subprocess.check_output(command, text=True).splitlines()
    return "\n".join(line.rsplit(",", 1)[1] for line in lines if not line.startswith("#"))


def test_picture_and_sound_are_exact_to_the_frame_and_the_sample(workspace: Workspace, done: Done) -> None:
    out = done[0].outputs["dubbed"]
    picture, dub, original, *texts = probe(out)["streams"]
    assert (picture["nb_frames"], picture["start_pts"]) == (str(workspace.frames), 0)
    for sound in (dub, original):
        assert (sound["start_pts"], sound["duration_ts"], sound["channels"]) == (0, workspace.samples, 2)
    assert [stream["tags"]["language"] for stream in (dub, original, *texts)] == ["spa", "eng", "spa", "eng"]
    assert [stream["disposition"]["default"] for stream in (dub, original)] == [1, 0]
    command = ["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "packet=pts", "-of", "csv=p=0"]
    lines = subprocess.check_output([*command, str(out)], text=True).split()
    assert sorted(int(line.strip(",")) for line in lines) == [1001 * index for index in range(workspace.frames)]


def test_the_joined_picture_shows_every_frame_in_order(workspace: Workspace, done: Done) -> None:
    parts = [frame for path in workspace.lists["renders"] for frame in frames_yuv(path, WIDTH, HEIGHT)]
    for joined, part in zip(frames_yuv(done[0].outputs["dubbed"], WIDTH, HEIGHT), parts, strict=True):
        assert np.array_equal(joined, part)


def test_loudness_and_peak_are_met_after_the_encoder(done: Done) -> None:
    job, facts = done
    level = mastering.measure(job.outputs["dubbed"])
    assert abs(level.loudness + 16) <= 0.5
    assert level.peak <= -1.5
    assert abs(facts["loudness"] - level.loudness) <= 0.1


def test_the_original_track_is_the_source_on_the_same_clock(workspace: Workspace, done: Done) -> None:
    given = np.concatenate([soundfile.read(path, dtype="float32")[0] for path in workspace.lists["audios"]])
    command = ["ffmpeg", "-v", "error", "-i", str(done[0].outputs["dubbed"]), "-map", "0:a:1", "-f", "f32le", "-"]
    heard = np.frombuffer(subprocess.check_output(command), np.float32).reshape(-1, 2)[: len(given)]
    assert np.corrcoef(heard[:, 1], given[:, 1])[0, 1] > 0.98


def test_two_runs_make_the_same_bytes_and_leave_nothing_else(workspace: Workspace, done: Done, tmp_path: Path) -> None:
    again = workspace.job(tmp_path / "again")
    assembled(again)
    for name, path in again.outputs.items():
        assert path.read_bytes() == done[0].outputs[name].read_bytes()
    assert {path.name for path in (tmp_path / "again").iterdir()} == {path.name for path in again.outputs.values()}


def test_the_file_says_that_its_speech_is_synthetic_and_plays_while_it_loads(done: Done) -> None:
    out = done[0].outputs
    tags = probe(out["dubbed"])["format"]["tags"]
    assert tags["title"] == "a talk"
    assert "synthetic" in tags["comment"] and "speak: espeak" in tags["comment"]
    assert "creation_time" not in tags
    data = out["dubbed"].read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert "Línea 1." in out["srt:es"].read_text("utf-8")
    assert "Line 2." in out["srt:en"].read_text("utf-8")


@pytest.mark.parametrize(("sound", "picture", "begins"), [(0.0, 0.0, 0.0), (2.5, 2.9, 0.4)])
def test_without_lip_stages_the_picture_stream_is_copied_bit_for_bit(
    workspace: Workspace, done: Done, tmp_path: Path, sound: float, picture: float, begins: float
) -> None:
    """The programme begins where the container does: a picture that starts later than its sound still does."""
    workspace.source = tmp_path / "source.mkv"
    given = done[0].outputs["dubbed"]
    command = ["ffmpeg", "-v", "error", "-itsoffset", str(sound), "-i", given, "-itsoffset", str(picture), "-i", given]
    command += ["-map", "1:v", "-map", "0:a:1", "-c", "copy", "-avoid_negative_ts", "disabled", workspace.source]
    subprocess.run(list(map(str, command)), check=True)
    job = workspace.job(tmp_path / "copied", copy=True)
    assembled(job)
    assert hashes(job.outputs["dubbed"]) == hashes(workspace.source)
    copied, dub, *_ = probe(job.outputs["dubbed"])["streams"]
    assert float(copied["start_time"]) == pytest.approx(begins, abs=0.03)
    assert float(dub["start_time"]) == 0


def test_without_original_or_subtitles_there_is_one_sound_and_no_text(workspace: Workspace, tmp_path: Path) -> None:
    job = workspace.job(tmp_path / "bare", keep_original_audio=False, subtitles=[])
    assembled(replace(job, outputs={"dubbed": job.outputs["dubbed"]}))
    assert [stream["codec_type"] for stream in probe(job.outputs["dubbed"])["streams"]] == ["video", "audio"]


def test_mono_stays_mono_and_a_name_with_quotes_is_a_name(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "it's [a] talk: 100%"
    folder.mkdir()
    lists: dict[str, list[Path]] = {"audios": [], "renders": []}
    for number, (audio, film) in enumerate(zip(workspace.lists["audios"], workspace.lists["renders"], strict=True)):
        soundfile.write(folder / f"{number}.wav", soundfile.read(audio)[0][:, 0], 48000, subtype="PCM_16")
        lists["audios"].append(folder / f"{number}.wav")
        lists["renders"].append(Path(shutil.copy(film, folder / f"{number}.mp4")))
    job = workspace.job(folder / "out", lists=lists)
    assembled(job)
    sounds = [stream for stream in probe(job.outputs["dubbed"])["streams"] if stream["codec_type"] == "audio"]
    assert [sound["channels"] for sound in sounds] == [1, 1]


def test_a_segment_of_the_wrong_length_is_named(workspace: Workspace, tmp_path: Path) -> None:
    short = tmp_path / "speech.wav"
    soundfile.write(short, np.zeros(1000, np.float32), 48000)
    speeches = [*workspace.lists["speeches"][:-1], short]
    (error,) = assemble.run([workspace.job(tmp_path / "out", lists={"speeches": speeches})])
    assert isinstance(error, DubdError)
    assert str(short) in str(error) and "has 1000 samples" in str(error)
    assert not list((tmp_path / "out").iterdir())
