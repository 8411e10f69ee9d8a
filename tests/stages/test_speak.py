"""speak: real synthesis, placed to the sample, at the speaker's level; the same bytes every time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from dubd.engines.contract import Engine, Line, Spoken
from dubd.engines.espeak import Espeak, Voice
from dubd.errors import DubdError
from dubd.media.ffmpeg import write_wav
from dubd.media.loudness import Meter
from dubd.stages import speak
from dubd.stages.job import Job

RATE = 48_000
BEGIN, SAMPLES = 960_000, 12 * RATE + 17  # a segment that starts at 20 s
LINES = [
    (21.0, 23.5, "Buenos días, mi nombre es Jordi Mas."),
    (24.5, 25.2, "Esta frase es demasiado larga para su sitio."),
    (27.0, 29.0, ""),
    (29.5, 31.5, "Adiós."),
]

needs_espeak = pytest.mark.skipif(Espeak.missing() is not None, reason=str(Espeak.missing()))


class Hum(Engine[Line, Spoken]):
    """A voice without rates and phonemes: a sawtooth as long as its text; it cannot say "ugh"."""

    name, stage, summary, licence, batch = "hum", "speak", "a sawtooth", "Apache-2.0", 3

    def __init__(self) -> None:
        self.batches: list[int] = []

    def load(self, device: str, params: Any) -> None:
        pass

    def run(self, batch: Sequence[Line]) -> list[Spoken | Exception]:
        self.batches.append(len(batch))
        return [ValueError("no mouth for that") if "ugh" in line.text else self.hum(line) for line in batch]

    def hum(self, line: Line) -> Spoken:
        clock = np.arange(len(line.text) * 1600) / 16_000
        return Spoken((0.3 * (2 * (clock * 120 % 1) - 1)).astype(np.float32), 16_000)


def job(folder: Path, lines: Sequence[tuple[float, float, str]] = LINES, loudness: float | None = -23.0) -> Job:
    folder.mkdir(parents=True, exist_ok=True)
    told = [
        {"id": f"002-{n:02d}", "start": start, "end": end, "speaker": "S1", "source": "", "pivot": None, "text": text}
        for n, (start, end, text) in enumerate(lines, 1)
    ]
    speakers = {"S1": {"pitch": 118.0, "loudness": loudness, "seconds": 6.0}}
    (folder / "translation.json").write_text(json.dumps({"source": "en", "target": "es", "utterances": told}))
    (folder / "speakers.json").write_text(json.dumps({"speakers": speakers}))
    noise = np.random.default_rng(3).normal(0, 1e-4, SAMPLES)
    for start, end, _ in lines:
        noise[round(start * RATE) - BEGIN : round(end * RATE) - BEGIN] *= 500
    write_wav(folder / "audio.wav", noise, RATE)
    return Job(
        "a/002/speak",
        "speak",
        {
            "translation": folder / "translation.json",
            "speakers": folder / "speakers.json",
            "audio": folder / "audio.wav",
        },
        {"speech": folder / "speech.wav", "timing": folder / "speech.json"},
        {
            "language": "es",
            "segment": {"id": "002", "first_sample": BEGIN, "samples": SAMPLES, "first_frame": 600, "frames": 360},
        },
    )


def espeak() -> Espeak:
    engine = Espeak()
    engine.load("cpu", Voice())
    return engine


def results(work: Job) -> tuple[np.ndarray, dict[str, Any]]:
    samples, rate = soundfile.read(str(work.outputs["speech"]))
    assert rate == RATE
    return samples, json.loads(work.outputs["timing"].read_text("utf-8"))


@needs_espeak
def test_lines_are_heard_where_they_are_told_to_be_and_nowhere_else(tmp_path: Path) -> None:
    work = job(tmp_path)
    (facts,) = speak.run([work], espeak())
    assert isinstance(facts, dict), facts
    assert facts["lines"] == 3
    samples, timing = results(work)
    assert len(samples) == SAMPLES
    silent = np.ones(SAMPLES, bool)
    for line, (start, end, text) in zip(timing["lines"], LINES, strict=True):
        first, last = (round(line[edge] * RATE) - BEGIN for edge in ("start", "end"))
        silent[max(0, first - 48) : last + 48] = False
        assert line["slot"] == [start, end]
        assert line["text"] == text
        assert not text or np.abs(samples[first:last]).max() > 0.02
    assert np.abs(samples[silent]).max() == 0.0
    assert timing["lines"][2]["start"] == timing["lines"][2]["end"] == 27.0
    assert timing["lines"][1]["tempo"] == facts["tempo_max"] == pytest.approx(1.35)


@needs_espeak
def test_phonemes_lie_inside_their_line_on_the_programme_clock(tmp_path: Path) -> None:
    work = job(tmp_path)
    speak.run([work], espeak())
    samples, timing = results(work)
    for line in timing["lines"]:
        times = [at for at, _ in line["phonemes"]]
        assert times == sorted(times)
        assert all(line["start"] <= at <= line["end"] for at in times)
    vowels = [at for line in timing["lines"] for at, name in line["phonemes"] if name in "aeo"]
    level = [float(np.abs(samples[(n := round((at + 0.03) * RATE) - BEGIN) - 480 : n + 480]).max()) for at in vowels]
    assert len(level) > 15
    assert min(level) > 0.1 * max(level)


@needs_espeak
def test_the_same_job_gives_the_same_bytes(tmp_path: Path) -> None:
    one, other = job(tmp_path / "one"), job(tmp_path / "other")
    speak.run([one], espeak())
    speak.run([job(tmp_path / "before", LINES[1:2]), other], espeak())
    for name in ("speech", "timing"):
        assert one.outputs[name].read_bytes() == other.outputs[name].read_bytes()


@needs_espeak
@pytest.mark.parametrize("wanted", [-33.0, -23.0, -16.0])
def test_the_dub_is_as_loud_as_the_speaker(tmp_path: Path, wanted: float) -> None:
    work = job(tmp_path, LINES[:1], loudness=wanted)
    speak.run([work], espeak())
    samples, timing = results(work)
    meter = Meter()
    meter.add(samples.astype(np.float32))
    assert meter.integrated() == pytest.approx(wanted, abs=1.5)
    assert timing["loudness"] == pytest.approx(meter.integrated(), abs=0.1)
    assert np.abs(samples).max() <= 0.892


def test_a_voice_without_rates_is_stretched(tmp_path: Path) -> None:
    work = job(tmp_path, [(22.0, 24.0, "x" * 23)], loudness=None)
    (facts,) = speak.run([work], Hum())
    assert isinstance(facts, dict), facts
    samples, timing = results(work)
    (line,) = timing["lines"]
    assert (line["natural"], line["start"], line["end"]) == pytest.approx((2.3, 22.0, 24.0), abs=0.05)
    heard = np.flatnonzero(np.abs(samples) > 0.01) / RATE + 20
    assert (heard[0], heard[-1]) == pytest.approx((22.0, 24.0), abs=0.05)


def test_a_line_that_cannot_be_said_fails_its_job_alone(tmp_path: Path) -> None:
    good, bad = job(tmp_path / "good"), job(tmp_path / "bad", [*LINES[:1], (25.0, 26.0, "ugh")])
    engine = Hum()
    fine, failed = speak.run([good, bad], engine)
    assert isinstance(fine, dict)
    assert isinstance(failed, DubdError)
    assert "002-02 could not be spoken: no mouth for that" in str(failed)
    assert str(bad.inputs["translation"]) in str(failed)
    assert engine.batches[:2] == [3, 2]


def test_a_spoilt_translation_is_named(tmp_path: Path) -> None:
    work = job(tmp_path)
    work.inputs["translation"].write_text('{"utterances": [')
    (failed,) = speak.run([work], Hum())
    assert isinstance(failed, DubdError)
    assert str(failed).startswith(f"{work.inputs['translation']}: speak: ")
    assert "undo the edit" in str(failed)


def test_nothing_to_say_is_silence(tmp_path: Path) -> None:
    work = job(tmp_path, [])
    (facts,) = speak.run([work], Hum())
    samples, timing = results(work)
    assert len(samples) == SAMPLES
    assert not samples.any()
    assert timing == {"language": "es", "loudness": None, "lines": []}
    assert isinstance(facts, dict)
    assert facts["lines"] == 0
