"""voice: one measure of each speaker, over all segments, that small edits do not move."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dubd.errors import DubdError, Exit
from dubd.media.ffmpeg import write_wav
from dubd.stages import voice
from dubd.stages.job import Job, Outcome

RATE = 48_000


def buzz(hertz: float, seconds: float, level: float) -> np.ndarray:
    clock = np.arange(round(seconds * RATE)) / RATE
    return np.asarray(np.sum([level / n * np.sin(2 * np.pi * n * hertz * clock) for n in range(1, 9)], axis=0))


def measured(folder: Path, turns: Sequence[tuple[float, float, str]]) -> tuple[Outcome, dict[str, Any]]:
    """Two segments of 4 s: a low voice from 1 s to 3 s, a high and quieter one from 5 s to 7 s."""
    rest = np.zeros(RATE)
    transcripts = []
    for number, sound in enumerate((buzz(110, 2, 0.2), buzz(210, 2, 0.05))):
        where = folder / f"{number:03d}"
        where.mkdir(parents=True)
        write_wav(where / "audio.wav", np.concatenate([rest, sound, rest]), RATE)
        own = [turn for turn in turns if 4 * number <= turn[0] < 4 * (number + 1)]
        utterances = [{"id": "x", "start": start, "end": end, "speaker": name, "text": ""} for start, end, name in own]
        (where / "transcript.json").write_text(json.dumps({"utterances": utterances}))
        transcripts.append(where / "transcript.json")
    lists = {"audios": [path.with_name("audio.wav") for path in transcripts], "transcripts": transcripts}
    out = folder / "speakers.json"
    (outcome,) = voice.run([Job("a/voice", "voice", {}, {"speakers": out}, {}, lists)])
    return outcome, json.loads(out.read_text())["speakers"] if out.exists() else {}


def test_each_speaker_is_measured_on_their_own_words(tmp_path: Path) -> None:
    _, speakers = measured(tmp_path, [(1.1, 2.9, "S1"), (5.1, 6.9, "S2")])
    assert (speakers["S1"]["pitch"], speakers["S2"]["pitch"]) == (110, 210)
    assert 20 * np.log10(0.2 / 0.05) == pytest.approx(speakers["S1"]["loudness"] - speakers["S2"]["loudness"], abs=1)
    assert speakers["S1"]["seconds"] == speakers["S2"]["seconds"] == 1.8


def test_one_speaker_over_two_segments_is_one_voice(tmp_path: Path) -> None:
    outcome, speakers = measured(tmp_path, [(1.0, 3.0, "S1"), (5.0, 7.0, "S1")])
    assert list(speakers) == ["S1"]
    assert speakers["S1"]["seconds"] == 4.0
    assert outcome == {"speakers": 1, "seconds": 4.0}


def test_times_moved_a_little_change_no_byte(tmp_path: Path) -> None:
    _, one = measured(tmp_path / "one", [(1.0, 3.0, "S1")])
    _, other = measured(tmp_path / "other", [(1.02, 2.98, "S1")])
    assert {name: one["S1"][name] for name in ("pitch", "loudness")} == {
        name: other["S1"][name] for name in ("pitch", "loudness")
    }


def test_a_speaker_of_silence_has_no_pitch_and_no_loudness(tmp_path: Path) -> None:
    _, speakers = measured(tmp_path, [(3.2, 3.9, "S1")])
    assert speakers == {"S1": {"pitch": None, "loudness": None, "seconds": 0.7}}


def test_nobody_speaking_is_a_clear_word(tmp_path: Path) -> None:
    error, _ = measured(tmp_path, [])
    assert isinstance(error, DubdError)
    assert error.exit is Exit.INPUT
    assert "no speech was found" in str(error)
    assert ".srt" in str(error)


def test_a_spoilt_transcript_is_named(tmp_path: Path) -> None:
    path = tmp_path / "transcript.json"
    path.write_text("{")
    write_wav(tmp_path / "audio.wav", np.zeros(10), RATE)
    lists = {"audios": [tmp_path / "audio.wav"], "transcripts": [path]}
    (failed,) = voice.run([Job("a/voice", "voice", {}, {"speakers": tmp_path / "s.json"}, {}, lists)])
    assert isinstance(failed, DubdError)
    assert str(failed).startswith(f"{path}: voice: not a transcript")
