"""The word between processes: heard by others alone, forgotten when nobody repeats it, a claim in time."""

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
    one.wish(("speak",), 100, {"GPU-0": 0})
    assert other.by_others("GPU-0")
    assert not other.by_others("GPU-1")
    assert not one.by_others("GPU-0")


def test_it_holds_no_longer_than_its_process_repeats_it(tmp_path: Path) -> None:
    one, other = Wanted(here(tmp_path)), Wanted(tmp_path)
    one.wish(("speak",), 100, {"GPU-0": 0})
    (file,) = (tmp_path / "vram" / "GPU-0").iterdir()
    os.utime(file, (time.time() - 10, time.time() - 10))
    assert not other.by_others("GPU-0")
    os.utime(file, (time.time() - 7200, time.time() - 7200))
    other.by_others("GPU-0")
    assert not file.exists()


def test_nothing_is_left_of_a_process_that_ends(tmp_path: Path) -> None:
    one = Wanted(here(tmp_path))
    one.wish(("speak",), 100, {"GPU-0": 0})
    one.close()
    assert list((tmp_path / "vram" / "GPU-0").iterdir()) == []


def test_a_card_without_a_folder_costs_nothing(tmp_path: Path) -> None:
    one = Wanted(tmp_path)
    one.wish(("speak",), 100, {"GPU-0": 0})
    assert not one.by_others("GPU-0")


def test_past_its_patience_it_is_a_claim_on_the_card_that_has_most_room(tmp_path: Path) -> None:
    room = {"GPU-0": 300, "GPU-1": 400}
    one, calm, other = Wanted(here(tmp_path)), Wanted(tmp_path, patience=60), Wanted(tmp_path, patience=0)
    one.wish(("speak",), 200, room)
    assert [calm.claimed(uuid) for uuid in room] == [0, 0]
    assert [other.claimed(uuid) for uuid in room] == [0, 200]
    one.wish(("speak",), 200, {"GPU-0": 500, "GPU-1": 200})  # it could still have it
    assert [other.claimed(uuid) for uuid in room] == [0, 200]
    one.wish(("speak",), 200, {"GPU-0": 500, "GPU-1": 100})
    assert [other.claimed(uuid) for uuid in room] == [200, 0]
    one.served(("speak",))
    assert [other.claimed(uuid) for uuid in room] == [0, 0]


def test_what_no_card_could_hold_for_what_others_use_claims_none(tmp_path: Path) -> None:
    one, other = Wanted(here(tmp_path)), Wanted(tmp_path, patience=0)
    one.wish(("speak",), 200, {"GPU-0": 100})
    assert other.by_others("GPU-0")
    assert other.claimed("GPU-0") == 0


def test_of_two_that_claim_a_card_the_one_that_waits_longer_has_it(tmp_path: Path) -> None:
    first, second = Wanted(here(tmp_path), patience=0), Wanted(tmp_path, patience=0)
    first.wish(("speak",), 200, {"GPU-0": 300})
    second.wish(("lipsync",), 250, {"GPU-0": 300})
    assert (first.claimed("GPU-0"), second.claimed("GPU-0")) == (0, 200)


def test_a_kind_of_our_own_that_waits_longest_speaks_for_us(tmp_path: Path) -> None:
    one, other = Wanted(here(tmp_path)), Wanted(tmp_path, patience=0)
    for kind, mib in (("speak", 200), ("lipsync", 250), ("speak", 200)):
        one.wish((kind,), mib, {"GPU-0": 300})
    assert other.claimed("GPU-0") == 200


def test_a_file_that_cannot_be_read_claims_nothing(tmp_path: Path) -> None:
    (here(tmp_path) / "vram" / "GPU-0" / "x.wanted").write_text("{")
    other = Wanted(tmp_path, patience=0)
    assert other.by_others("GPU-0")
    assert other.claimed("GPU-0") == 0
