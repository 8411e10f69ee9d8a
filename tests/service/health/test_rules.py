"""What doctor says of the rules: what the default rule lacks is bad, what another one lacks is a note."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubd.folders import Folders
from dubd.service.health import rules
from dubd.service.health.finding import Finding

WITH_A_MODEL = "languages: {source: en, target: es}\nstages: {transcribe: {engine: faster-whisper, model: small}}\n"


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folders:
    made = [tmp_path / name for name in ("inbox", "workspace", "rules", "models")]
    for folder in made:
        folder.mkdir()
    monkeypatch.setenv("DUBD_MODELS", str(made[3]))
    (made[2] / "lite.yaml").write_text("default: true\nlanguages: {source: en, target: es}\n")
    return Folders(*made)


def lacks(folders: Folders) -> list[Finding]:
    return [found for found in rules.findings(folders) if found.what == "rule" and "transcribe needs" in found.says]


def test_a_missing_model_file_is_named_with_the_command_that_loads_it(folders: Folders) -> None:
    (folders.rules / "heavy.yaml").write_text(WITH_A_MODEL)
    (found,) = lacks(folders)
    assert (found.level, found.remedy) == ("note", "dubd models pull heavy")
    assert "heavy: transcribe needs faster-whisper/small" in found.says


def test_of_the_default_rule_it_is_bad(folders: Folders) -> None:
    (folders.rules / "lite.yaml").write_text(f"default: true\n{WITH_A_MODEL}")
    (found,) = lacks(folders)
    assert (found.level, found.remedy) == ("bad", "dubd models pull lite")


def test_a_model_of_ones_own_that_is_gone_is_named_by_its_path(folders: Folders, tmp_path: Path) -> None:
    own = tmp_path / "gone.pt"
    (folders.rules / "own.yaml").write_text(WITH_A_MODEL.replace("small", str(own)))
    (found,) = lacks(folders)
    assert str(own) in found.says
    assert found.remedy


def test_the_embedded_rule_needs_no_gpu(folders: Folders) -> None:
    assert not rules.default_uses_a_gpu(folders)
