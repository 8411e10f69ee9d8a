from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from dubd.engines.contract import Engine, Heard, NoParams, Recording, Word
from dubd.engines.pocketsphinx import Pocketsphinx
from dubd.errors import DubdError
from dubd.media.timeline import SAMPLE_RATE
from dubd.stages import transcribe
from dubd.stages.job import Job


class Listing(Engine[Recording, Heard]):
    """Hears the word "heard" in each stretch, notes what it was given, and fails on Latin."""

    name = "listing"
    stage = "transcribe"
    summary = licence = "test"

    def __init__(self) -> None:
        self.calls: list[list[Recording]] = []

    def load(self, device: str, params: Any) -> None: ...

    def run(self, batch: Sequence[Recording]) -> list[Heard | Exception]:
        self.calls.append(list(batch))
        return [
            ValueError("no Latin") if one.language == "la" else
            Heard([Word(start, end, "heard", 0.9) for start, end in one.speech], one.language)
            for one in batch
        ]  # fmt: skip


def voice(seconds: float) -> np.ndarray:
    """A buzz that glides like a voice: 60 harmonics of 110 to 140 Hz."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(125 + 15 * np.sin(2 * np.pi * 1.5 * time)) / SAMPLE_RATE
    buzz = np.sum([np.cos(n * phase) / n for n in range(1, 60)], axis=0)
    return (0.1 * buzz).astype(np.float32)


def sound(*parts: float) -> np.ndarray:
    """Voice and silence in turn, each so many seconds long, silence first."""
    noise = np.random.default_rng(7)
    made = [
        voice(seconds) if index % 2 else (noise.standard_normal(round(seconds * SAMPLE_RATE)) * 1e-4).astype(np.float32)
        for index, seconds in enumerate(parts)
    ]
    return np.concatenate(made)


def job(
    folder: Path, samples: np.ndarray, *, subtitles: str | None = None, first_sample: int = 0, **params: Any
) -> Job:
    folder.mkdir(exist_ok=True)
    soundfile.write(folder / "audio.wav", samples, SAMPLE_RATE, subtype="PCM_16")
    inputs = {"audio": folder / "audio.wav"}
    if subtitles is not None:
        inputs["subtitles"] = folder / "talk.srt"
        inputs["subtitles"].write_text(subtitles, encoding="utf-8")
    segment = {"id": "003", "first_sample": first_sample, "samples": len(samples)}
    params = {"language": "en", "start": 0.0, "segment": segment, **params}
    return Job(folder.name, "transcribe", inputs, {"transcript": folder / "transcript.json"}, params, engine="listing")


def lines(one: Job) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = json.loads(one.outputs["transcript"].read_text(encoding="utf-8"))["utterances"]
    return made


def test_slots_are_where_the_voice_is_on_the_programme_clock(tmp_path: Path) -> None:
    one = job(tmp_path / "a", sound(1.0, 1.5, 0.8, 1.2, 1.0), first_sample=20 * SAMPLE_RATE)
    (facts,) = transcribe.run([one], Listing())
    assert isinstance(facts, dict) and facts["utterances"] == 2
    first, second = lines(one)
    assert [first["start"], first["end"]] == pytest.approx([21.0, 22.5], abs=0.05)
    assert [second["start"], second["end"]] == pytest.approx([23.3, 24.5], abs=0.05)
    assert (first["id"], first["text"], first["speaker"]) == ("003-01", "Heard.", "S1")
    assert first["words"][0]["start"] == pytest.approx(21.0, abs=0.05)


@pytest.mark.parametrize(
    "source",
    ["anullsrc", "anoisesrc=a=.1:c=white:seed=1", "anoisesrc=a=.3:c=pink:seed=1", "anoisesrc=a=.3:c=brown:seed=1",
     "sine=220", "sine=50", "sine=440:b=4", "anoisesrc=a=.3:c=pink:seed=1,volume='gt(mod(t,1),.6)':eval=frame"],
)  # fmt: skip
def test_nothing_is_heard_in_noise_and_tones(tmp_path: Path, source: str) -> None:
    raw = subprocess.run(
        [
            "ffmpeg",
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            source,
            "-t",
            "4",
            "-ac",
            "1",
            "-ar",
            "48000",
            "-f",
            "f32le",
            "-",
        ],
        check=True,
        capture_output=True,
    ).stdout
    one, engine = job(tmp_path / "a", np.frombuffer(raw, np.float32)), Listing()
    (facts,) = transcribe.run([one], engine)
    assert isinstance(facts, dict) and facts["utterances"] == 0
    assert lines(one) == [] and engine.calls == []


def test_a_batch_is_one_call_and_a_bad_job_fails_alone(tmp_path: Path) -> None:
    said = sound(0.5, 1.0, 0.5)
    jobs = [job(tmp_path / "a", said), job(tmp_path / "b", said, language="la"), job(tmp_path / "c", said),
            job(tmp_path / "d", said), job(tmp_path / "e", sound(1.0))]  # fmt: skip
    jobs[2].inputs["audio"].write_bytes(b"no sound")
    engine = Listing()
    good, latin, broken, also, silent = transcribe.run(jobs, engine)
    assert [len(call) for call in engine.calls] == [3]
    assert isinstance(latin, DubdError) and "no Latin" in str(latin)
    assert isinstance(broken, DubdError) and "audio.wav" in str(broken)
    assert isinstance(good, dict) and isinstance(also, dict) and isinstance(silent, dict)
    assert jobs[0].outputs["transcript"].read_bytes() == jobs[3].outputs["transcript"].read_bytes()


def test_subtitles_replace_recognition_and_take_the_times_of_the_voice(tmp_path: Path) -> None:
    text = "1\n00:01:30,500 --> 00:01:33,000\nANNA: Hello there.\n\n2\n00:01:40,000 --> 00:01:41,000\nLater.\n"
    one = job(
        tmp_path / "a", sound(1.0, 1.5, 1.5), subtitles=text, start=60.0, first_sample=30 * SAMPLE_RATE
    )  # the segment is 90 to 94 s of the source
    engine = Listing()
    transcribe.run([one], engine)
    (line,) = lines(one)
    assert engine.calls == []
    assert (line["text"], line["speaker"]) == ("Hello there.", "ANNA")
    assert [line["start"], line["end"]] == pytest.approx([31.0, 32.5], abs=0.05)
    assert json.loads(one.outputs["transcript"].read_text())["origin"] == "subtitles"


def test_broken_subtitles_are_told_with_their_line(tmp_path: Path) -> None:
    (outcome,) = transcribe.run([job(tmp_path / "a", sound(1.0), subtitles="1\n00:xx --> 00:02\nHi.\n")], Listing())
    assert isinstance(outcome, DubdError)
    assert "talk.srt: transcribe: line 2" in str(outcome)


@pytest.mark.skipif(shutil.which("flite") is None, reason="needs flite: apt-get install flite")
def test_synthetic_speech_by_the_embedded_recogniser(tmp_path: Path) -> None:
    path = tmp_path / "said.wav"
    subprocess.run(["flite", "-voice", "rms", "-t", "Where do you live?", "-o", str(path)], check=True)
    raw = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(path), "-ar", "48000", "-f", "f32le", "-"], check=True, capture_output=True
    ).stdout
    one, engine = job(tmp_path / "a", np.pad(np.frombuffer(raw, np.float32), SAMPLE_RATE)), Pocketsphinx()
    engine.load("cpu", NoParams())
    transcribe.run([one], engine)
    assert [line["text"] for line in lines(one)] == ["Where do you live?"]


def test_a_real_clip_has_its_slots_within_a_tenth_of_a_second(tmp_path: Path, media: Callable[[str], Path]) -> None:
    raw = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(media("en_webcam_glasses_30fps.mp4")), "-ac", "1", "-ar", "48000", "-f",
         "f32le", "-"],
        check=True, capture_output=True,
    ).stdout  # fmt: skip
    one, engine = job(tmp_path / "a", np.frombuffer(raw, np.float32)), Pocketsphinx()
    engine.load("cpu", NoParams())
    transcribe.run([one], engine)
    made = lines(one)
    assert [made[0]["start"], made[-2]["start"], made[-1]["start"]] == pytest.approx([1.26, 5.25, 7.61], abs=0.1)
    assert [made[-2]["end"], made[-1]["end"]] == pytest.approx([6.63, 8.69], abs=0.12)
    assert "I am from" in made[-2]["text"] and "I love" in made[-1]["text"]
