"""Videos that are none, or are made to harm: one clear line each, and no other file is opened for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dubd.errors import DubdError, Exit
from dubd.stages import plan
from dubd.stages.job import Job
from tests.canary import Canary
from tests.hostile_videos import NOT_VIDEOS, ODD_VIDEOS, clip


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Canary]:
    with Canary(tmp_path / "canary") as canary:
        yield canary


def planned(content: bytes, folder: Path) -> Any:
    """The outcome of planning a file with this content."""
    (folder / "video").mkdir()
    source = folder / "video" / "source.mp4"
    source.write_bytes(content)
    (outcome,) = plan.run([Job("t", "plan", {"source": source}, {"plan": folder / "plan.json"}, {"clip": None})])
    return outcome


def is_clear(error: DubdError) -> None:
    line = str(error)
    assert "\n" not in line
    assert len(line) < 400
    assert "Error: " not in line, "an exception that nobody foresaw"
    assert "source.mp4" in line
    assert error.remedy
    assert error.exit is Exit.INPUT


@pytest.mark.parametrize("name", NOT_VIDEOS)
def test_it_is_refused_with_one_clear_line(name: str, tmp_path: Path, canary: Canary) -> None:
    make, words = NOT_VIDEOS[name]
    outcome = planned(make(canary.path), tmp_path)
    assert isinstance(outcome, DubdError), outcome
    is_clear(outcome)
    assert words in str(outcome)
    assert canary.touched() == []


@pytest.mark.parametrize("name", ODD_VIDEOS)
def test_it_is_planned_or_refused_and_reads_no_other_file(name: str, tmp_path: Path, canary: Canary) -> None:
    outcome = planned(ODD_VIDEOS[name](canary.path), tmp_path)
    if isinstance(outcome, DubdError):
        is_clear(outcome)
    assert canary.touched() == []


def test_the_clip_that_they_are_made_of_is_good(tmp_path: Path) -> None:
    assert planned(clip(), tmp_path)["size"] == "64x48"


def test_the_canary_sings_when_it_is_touched(canary: Canary) -> None:
    canary.path.read_bytes()
    assert "opened secret.mp4" in canary.touched()
