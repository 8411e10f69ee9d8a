"""Temporary folders: used again after what ended well, never after what failed, and none is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubd.graph.temporary import Temporaries, discard, sweep

OUTPUTS = {"audio": "video/segments/000/audio.wav", "lines": "video/segments/000/lines.json"}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def temporaries(tmp_path: Path) -> Temporaries:
    return Temporaries(tmp_path)


def write(lent: dict[str, str]) -> None:
    for path in lent.values():
        Path(path).write_text("x")


def test_each_output_has_its_own_name_in_a_folder_that_is_there(temporaries: Temporaries, tmp_path: Path) -> None:
    lent = temporaries.lend(OUTPUTS)
    write(lent)
    assert [Path(path).name for path in lent.values()] == ["audio.wav", "lines.json"]
    assert all(path.startswith(f"{tmp_path}/.tmp-") for path in lent.values())


def test_two_outputs_of_one_name_do_not_meet(temporaries: Temporaries) -> None:
    lent = temporaries.lend({"es": "es/audio.wav", "fr": "fr/audio.wav"})
    write(lent)
    assert len(set(lent.values())) == 2
    assert {Path(path).name for path in lent.values()} == {"audio.wav"}


def test_two_tasks_at_a_time_have_two_folders(temporaries: Temporaries) -> None:
    assert set(temporaries.lend(OUTPUTS).values()).isdisjoint(temporaries.lend(OUTPUTS).values())


def test_the_folder_of_a_task_that_ended_well_is_lent_again(temporaries: Temporaries) -> None:
    first = temporaries.lend(OUTPUTS)
    temporaries.give_back(first)
    assert temporaries.lend(OUTPUTS) == first


def test_what_a_task_left_there_beside_its_outputs_is_gone_for_the_next(temporaries: Temporaries) -> None:
    lent = temporaries.lend(OUTPUTS)
    Path(lent["audio"]).with_name("audio.part").write_text("half")
    temporaries.give_back(lent)
    again = temporaries.lend(OUTPUTS)
    assert names(Path(again["audio"]).parent) == []


def test_the_folder_of_a_task_that_failed_is_never_lent_again(temporaries: Temporaries, tmp_path: Path) -> None:
    lent = temporaries.lend(OUTPUTS)
    write(lent)
    discard(lent)
    assert names(tmp_path) == []
    assert set(temporaries.lend(OUTPUTS).values()).isdisjoint(lent.values())


def test_another_build_of_this_process_has_other_folders(temporaries: Temporaries, tmp_path: Path) -> None:
    """What was given up may still be written to."""
    assert set(temporaries.lend(OUTPUTS).values()).isdisjoint(Temporaries(tmp_path).lend(OUTPUTS).values())


def test_closing_leaves_what_is_lent_and_nothing_else(temporaries: Temporaries, tmp_path: Path) -> None:
    kept, free = temporaries.lend(OUTPUTS), temporaries.lend(OUTPUTS)
    temporaries.give_back(free)
    temporaries.close()
    assert names(tmp_path) == [Path(kept["audio"]).parent.name]


def test_a_sweep_removes_what_a_killed_process_left_anywhere(temporaries: Temporaries, tmp_path: Path) -> None:
    write(temporaries.lend(OUTPUTS))
    (tmp_path / "segments/000/.tmp-7-1").mkdir(parents=True)  # where they were before
    (tmp_path / ".tmp-7-build.log").write_text("")
    assert sweep(tmp_path) == 3
    assert names(tmp_path) == ["segments"]
