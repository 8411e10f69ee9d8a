"""Digests of one's own model files: reckoned once for all processes, and again for whatever was changed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dubd.models import digests
from dubd.models.digests import digest
from dubd.models.model import Own
from dubd.models.store import identity

LARGE = 17 << 20


def weights(path: Path, fill: bytes = b"w", size: int = LARGE) -> Path:
    path.write_bytes(fill * size)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    return path


def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are read through from now on."""
    seen: list[str] = []
    real = hashlib.file_digest

    def noting(file: object, kind: str) -> object:
        seen.append(str(file.name))  # type: ignore[attr-defined]
        return real(file, kind)  # type: ignore[arg-type]

    monkeypatch.setattr(digests.hashlib, "file_digest", noting)
    return seen


def test_a_large_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, seen = weights(tmp_path / "model.bin"), reads(monkeypatch)
    wanted = hashlib.sha256(path.read_bytes()).hexdigest()
    assert [digest(path, tmp_path / "kept") for _ in range(3)] == [wanted] * 3
    assert len(seen) == 1


def test_a_file_that_was_replaced_by_one_of_the_same_size_and_time_is_read_again(tmp_path: Path) -> None:
    path = weights(tmp_path / "model.bin")
    first = digest(path, tmp_path / "kept")
    weights(tmp_path / "other.bin", b"o").replace(path)
    assert digest(path, tmp_path / "kept") == hashlib.sha256(path.read_bytes()).hexdigest() != first
    weights(path, b"p")
    assert digest(path, tmp_path / "kept") == hashlib.sha256(b"p" * LARGE).hexdigest()


@pytest.mark.parametrize("text", ["", "nonsense", "é"])
def test_a_note_that_is_spoilt_is_made_anew(tmp_path: Path, text: str) -> None:
    path = weights(tmp_path / "model.bin")
    first = digest(path, tmp_path / "kept")
    (note,) = (tmp_path / "kept").iterdir()
    note.write_text(text, encoding="utf-8")
    assert digest(path, tmp_path / "kept") == first
    assert note.read_text().endswith(first)


def test_where_nothing_can_be_kept_it_is_reckoned(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file in the folder's place")
    path = weights(tmp_path / "model.bin")
    assert digest(path, tmp_path / "kept") == hashlib.sha256(path.read_bytes()).hexdigest()


def test_another_process_does_not_read_the_model_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUBD_MODELS", str(tmp_path / "models"))
    path = weights(tmp_path / "model.bin")
    told = identity(Own(path))
    code = """
import hashlib, sys
from pathlib import Path
from dubd.models.model import Own
from dubd.models.store import identity
hashlib.file_digest = lambda *_: sys.exit("read again")
print(identity(Own(Path(sys.argv[1]))))
"""
    made = subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True, text=True)
    assert made.stdout.strip() == told
