"""clone: each speaker's latents in one file, whatever the engine calls them; a failure names the speaker."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dubd.engines.contract import Engine, Latents, Line, Reference, Spoken
from dubd.errors import DubdError
from dubd.schedule import worker
from dubd.stages import clone
from dubd.stages.job import Job


class Echo(Engine[Line, Spoken]):
    """Its latents are the level of what it heard; it cannot take on silence."""

    name, stage, summary, licence = "echo", "speak", "levels", "Apache-2.0"

    def load(self, device: str, params: Any) -> None:
        pass

    def run(self, batch: Sequence[Line]) -> list[Spoken | Exception]:
        return [Spoken(np.zeros(0, np.float32), 24_000) for _ in batch]

    def condition(self, references: Sequence[Reference]) -> list[Latents | Exception]:
        levels = [float(np.abs(np.concatenate(one.pieces)).max()) for one in references]
        return [Latents.of({"level": np.array([level])}) if level else ValueError("silence") for level in levels]


def job(folder: Path, **levels: float) -> Job:
    parts: dict[str, Any] = {f"{name}/00": np.full(9, 32768 * level, np.int16) for name, level in levels.items()}
    np.savez(folder / "references.npz", **parts)
    return Job("a/clone", "clone", {"references": folder / "references.npz"}, {"latents": folder / "latents.npz"}, {})


def test_each_speaker_has_latents_of_their_own(tmp_path: Path) -> None:
    assert clone.run([job(tmp_path, S1=0.5, S2=0.25)], Echo()) == [{"voices": 2}]
    made = clone.read(tmp_path / "latents.npz", "speak")
    assert {speaker: latents.arrays["level"].tolist() for speaker, latents in made.items()} == {
        "S1": [0.5],
        "S2": [0.25],
    }
    assert made["S1"] != made["S2"]


def test_nobody_with_a_clean_stretch_is_an_empty_file(tmp_path: Path) -> None:
    assert clone.run([job(tmp_path)], Echo()) == [{"voices": 0}]
    assert clone.read(tmp_path / "latents.npz", "speak") == {}


def test_a_voice_that_cannot_be_taken_on_is_named(tmp_path: Path) -> None:
    (failed,) = clone.run([job(tmp_path, S1=0.5, S2=0.0)], Echo())
    assert isinstance(failed, DubdError)
    assert "S2's voice could not be taken on: silence" in str(failed)


def test_a_spoilt_file_of_latents_is_named(tmp_path: Path) -> None:
    (tmp_path / "latents.npz").write_bytes(b"PK")
    with pytest.raises(DubdError, match=r"latents\.npz"):
        clone.read(tmp_path / "latents.npz", "speak")


def test_a_worker_does_both_stages_of_one_engine_in_one_batch(tmp_path: Path) -> None:
    speaking = Job("a/000/speak", "speak", {"speakers": tmp_path / "none.json"}, {}, {"segment": {}})
    first, second, third = worker._run([speaking, job(tmp_path, S1=0.5), speaking], Echo())
    assert second == {"voices": 1}
    assert isinstance(first, DubdError)
    assert isinstance(third, DubdError)
