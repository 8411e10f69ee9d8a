"""What `verify` finds wrong, and what it says to do."""

from __future__ import annotations

import hashlib
from pathlib import Path

from dubd.models import sums
from dubd.models.model import File, Model, Own
from dubd.models.verify import verify

GOOD = b"good bytes"
SUM = hashlib.sha256(GOOD).hexdigest()
MODEL = Model("m", (File("a", "http://x/a", len(GOOD), SUM), File("b", "http://x/b")), "MIT", "http://x")


def states(*models: Model | Own) -> list[str]:
    return [each.state for each in verify(models)]


def put(models: Path, a: bytes, b: bytes) -> Path:
    folder = models / "m"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a").write_bytes(a)
    (folder / "b").write_bytes(b)
    return folder


def test_what_is_not_here_is_absent_or_partial(models: Path) -> None:
    assert states(MODEL) == ["absent", "absent"]
    (models / "m").mkdir(parents=True)
    (models / "m" / "a.part").touch()  # of a pull that was killed before the first byte
    assert states(MODEL) == ["absent", "absent"]
    (models / "m" / "a.part").write_bytes(b"go")
    assert states(MODEL) == ["partial", "absent"]


def test_a_flipped_bit_is_found_by_the_tables_sum(models: Path) -> None:
    put(models, GOOD, b"b")
    assert states(MODEL) == ["good", "unsummed"]
    folder = put(models, b"gooD bytes", b"b")
    bad, _ = verify([MODEL])
    assert bad.state == "bad"
    assert SUM in bad.says
    assert bad.remedy == f"rm {folder / 'a'} && dubd models pull m"


def test_and_by_the_sum_that_was_remembered_where_the_table_has_none(models: Path) -> None:
    folder = put(models, GOOD, b"b")
    sums.remember(folder / "b", hashlib.sha256(b"b").hexdigest())
    assert states(MODEL) == ["good", "good"]
    (folder / "b").write_bytes(b"c")
    assert states(MODEL) == ["good", "bad"]


def test_a_file_of_another_size_is_bad_without_being_read(models: Path) -> None:
    put(models, GOOD + b"!", b"b")
    assert states(MODEL)[0] == "bad"


def test_ones_own_is_only_looked_for(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    assert states(Own(tmp_path / "mine"), Own(tmp_path / "gone")) == ["unsummed", "absent"]
