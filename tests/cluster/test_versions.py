"""Two machines compare what they compute with."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dubd.cluster import versions as module
from dubd.cluster.versions import code, differences, versions

PACKAGE = Path(module.__file__).parents[1]


def test_a_machine_does_not_differ_from_itself() -> None:
    here = versions()
    assert differences(here, here) == []
    assert {"numpy", "torch", "ffmpeg"} <= here["library"].keys()
    assert "+" not in here["library"]["torch"]  # built for a card or not, it is one release
    assert "68 landmarks of dlib" in here["model"]
    assert "speak engine espeak" in here["engine"]


def test_one_changed_byte_of_a_source_is_another_dubd_and_the_time_of_a_file_is_not(tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    assert code(copy) == code(PACKAGE)
    (copy / "errors.py").write_text((copy / "errors.py").read_text() + "\n")
    assert code(copy) != code(PACKAGE)


@pytest.mark.parametrize(
    ("what", "name", "says"),
    [
        ("code", "dubd", "its dubd has other sources than the one here (1111, here 0000)"),
        ("engine", "speak engine espeak", "its speak engine espeak is 1111, here 0000"),
        ("model", "nllb/model.bin", "its nllb/model.bin has other bytes than the one here (sha256 1111, here 0000)"),
    ],
)
def test_a_difference_is_told_by_name(what: str, name: str, says: str) -> None:
    assert differences({what: {name: "0000"}}, {what: {name: "1111"}}) == [says]


def test_what_only_one_has_is_no_difference() -> None:
    assert differences({"model": {"a": "1"}, "engine": {"x": "1"}}, {"model": {"b": "2"}}) == []


def test_the_store_of_models_is_known_by_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUBD_MODELS", str(tmp_path))
    (tmp_path / "nllb").mkdir()
    (tmp_path / "nllb" / "model.bin").write_text("weights")
    (tmp_path / ".digests").mkdir()
    first = versions()["model"]
    assert set(first) == {"nllb/model.bin", "68 landmarks of dlib"}
    (tmp_path / "nllb" / "model.bin").write_text("Weights")
    assert versions()["model"] != first
