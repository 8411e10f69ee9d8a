"""The word between processes: heard by others, not by oneself, and forgotten when nobody repeats it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from dubd.schedule.wanted import Wanted


def here(folder: Path) -> Path:
    (folder / "vram" / "GPU-0").mkdir(parents=True)
    (folder / "vram" / "GPU-1").mkdir()
    return folder


def test_others_hear_it_for_that_card_alone(tmp_path: Path) -> None:
    one, other = Wanted(here(tmp_path)), Wanted(tmp_path)
    one.say("GPU-0")
    assert other.by_others("GPU-0")
    assert not other.by_others("GPU-1")
    assert not one.by_others("GPU-0")


def test_it_holds_no_longer_than_its_process_repeats_it(tmp_path: Path) -> None:
    one, other = Wanted(here(tmp_path)), Wanted(tmp_path)
    one.say("GPU-0")
    (file,) = (tmp_path / "vram" / "GPU-0").iterdir()
    os.utime(file, (time.time() - 10, time.time() - 10))
    assert not other.by_others("GPU-0")
    os.utime(file, (time.time() - 7200, time.time() - 7200))
    other.by_others("GPU-0")
    assert not file.exists()


def test_nothing_is_left_of_a_process_that_ends(tmp_path: Path) -> None:
    one = Wanted(here(tmp_path))
    one.say("GPU-0")
    one.close()
    assert list((tmp_path / "vram" / "GPU-0").iterdir()) == []


def test_a_card_without_a_folder_costs_nothing(tmp_path: Path) -> None:
    one = Wanted(tmp_path)
    one.say("GPU-0")
    assert not one.by_others("GPU-0")
