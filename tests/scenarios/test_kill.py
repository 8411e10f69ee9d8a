"""kill -9 over the real chain: a few random instants here, a hundred in benchmarks/kill.py."""

from __future__ import annotations

import random
from pathlib import Path

from benchmarks.kill import disturbed, undisturbed


def test_a_killed_build_ends_as_an_undisturbed_one_and_keeps_what_was_finished(
    talking_head: Path, tmp_path: Path
) -> None:
    more = ["--clip", "0+2.5"]
    reference, seconds = undisturbed(talking_head, tmp_path / "undisturbed", more)
    assert reference.exit == 0
    assert len(reference.ran) >= 10
    series = disturbed(talking_head, tmp_path / "killed", more, seconds / 3, random.Random(7), most=4)
    assert series.kills >= 2
    assert series.exit == 0
    assert series.again == []
    assert series.strays == []
    assert series.artifacts == reference.artifacts
    assert sorted(series.ran) == sorted(reference.ran)
