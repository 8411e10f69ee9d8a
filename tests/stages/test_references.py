"""references: the stretches of a speaker that are clean, alone and long enough; words change none of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dubd.errors import DubdError
from dubd.media import ffmpeg
from dubd.stages import references, voice
from dubd.stages.job import Job
from dubd.stages.references import Piece, chosen, pieces

RATE = 48_000
Turn = tuple[float, float, str]


@pytest.fixture(scope="module")
def speech(talking_head: Path) -> np.ndarray:
    """9.7 s of one real voice, with pauses."""
    return ffmpeg.read_audio(talking_head, RATE)


def written(folder: Path, samples: np.ndarray) -> Path:
    ffmpeg.write_wav(folder / "audio.wav", samples, RATE)
    return folder / "audio.wav"


def found(folder: Path, samples: np.ndarray, turns: Sequence[Turn]) -> dict[str, list[Piece]]:
    return pieces(written(folder, samples), turns, 0)


def test_a_piece_begins_and_ends_with_speech(speech: np.ndarray, tmp_path: Path) -> None:
    rest = np.zeros(RATE, np.float32)
    (piece,) = found(tmp_path, np.concatenate([rest, speech, rest]), [(0.1, 11.5, "S1")])["S1"]
    assert piece.first > 0.9 * RATE
    assert piece.last < RATE + len(speech) + 0.1 * RATE
    assert not piece.clipped
    assert piece.ratio > 20


def test_where_two_speak_at_once_nobodys_voice_is_taken(speech: np.ndarray, tmp_path: Path) -> None:
    both = found(tmp_path, speech, [(0.0, 9.0, "S1"), (4.0, 5.0, "S2")])
    assert "S2" not in both
    assert all(one.last <= 4 * RATE or one.first >= 5 * RATE for one in both["S1"])
    assert len(both["S1"]) == 2


def test_no_piece_is_longer_than_12_seconds(speech: np.ndarray, tmp_path: Path) -> None:
    long = found(tmp_path, np.tile(speech, 3), [(0.0, 29.0, "S1")])["S1"]
    assert len(long) > 2
    assert all(1.0 <= one.seconds <= 12.0 for one in long)


def test_the_cleanest_comes_first_and_noise_and_clipping_come_last(speech: np.ndarray, tmp_path: Path) -> None:
    noisy = speech + np.random.default_rng(0).normal(0, 0.05, len(speech)).astype(np.float32)
    rest = np.zeros(RATE, np.float32)
    whole = np.concatenate([np.clip(30 * speech, -1, 1), rest, noisy, rest, speech])
    starts = [0.0, 1 + len(speech) / RATE, 2 + 2 * len(speech) / RATE]
    turns = [(start, start + len(speech) / RATE, "S1") for start in starts]
    best = chosen(found(tmp_path, whole, turns)["S1"])
    assert best[0].first >= starts[2] * RATE
    assert not any(one.clipped for one in best)


def piece(seconds: float, ratio: int = 30, *, clipped: bool = False) -> Piece:
    return Piece(Path("audio.wav"), 0, round(seconds * RATE), clipped, ratio)


def test_some_30_seconds_are_enough() -> None:
    taken = chosen([piece(10.0)] * 9)
    assert sum(one.seconds for one in taken) == 30.0


def test_after_6_seconds_only_what_is_as_clean() -> None:
    assert chosen([piece(7.0), piece(7.0, 19), piece(2.0), piece(7.0, clipped=True)]) == [piece(7.0)]
    assert len(chosen([piece(4.0), piece(2.0, 10), piece(2.0, 9)])) == 2  # better noisy than too little


def kept(folder: Path, samples: np.ndarray, turns: Sequence[Turn], words: str = "x") -> bytes:
    folder.mkdir()
    audio = written(folder, samples)
    told: list[dict[str, Any]] = [{"start": a, "end": b, "speaker": who, "text": words} for a, b, who in turns]
    (folder / "transcript.json").write_text(json.dumps({"utterances": told}))
    outputs = {"speakers": folder / "speakers.json", "references": folder / "references.npz"}
    (facts,) = voice.run(
        [Job("a/voice", "voice", {}, outputs, {}, {"audios": [audio], "transcripts": [folder / "transcript.json"]})]
    )
    assert isinstance(facts, dict), facts
    return outputs["references"].read_bytes()


def test_an_edit_of_words_or_of_a_time_within_a_pause_changes_no_byte(speech: np.ndarray, tmp_path: Path) -> None:
    rest = np.zeros(RATE, np.float32)
    whole = np.concatenate([rest, speech, rest])
    one = kept(tmp_path / "one", whole, [(0.5, 11.2, "S1")])
    assert kept(tmp_path / "two", whole, [(0.5, 11.2, "S1")], "other words") == one
    assert kept(tmp_path / "three", whole, [(0.6, 11.4, "S1")]) == one


def test_what_is_written_is_read_back_at_24_kilohertz(speech: np.ndarray, tmp_path: Path) -> None:
    kept(tmp_path / "one", speech, [(0.0, 9.0, "S1")])
    reference = references.read(tmp_path / "one" / "references.npz", "clone")["S1"]
    assert reference.rate == 24_000
    assert sum(len(part) for part in reference.pieces) / 24_000 > 6
    assert all(part.dtype == np.float32 and np.abs(part).max() <= 1 for part in reference.pieces)


def test_a_spoilt_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "references.npz").write_text("no")
    with pytest.raises(DubdError, match=r"references\.npz"):
        references.read(tmp_path / "references.npz", "clone")


@pytest.mark.parametrize("samples", [np.zeros(9000, np.float32), np.zeros((9000, 2), np.int16)])
def test_a_recording_of_another_form_than_the_files_own_is_refused(samples: np.ndarray, tmp_path: Path) -> None:
    np.savez(tmp_path / "references.npz", **{"S1/00": samples})
    with pytest.raises(DubdError, match=r"references\.npz.*S1/00 is no row of int16, which is mono sound at 24000 Hz"):
        references.read(tmp_path / "references.npz", "clone")
