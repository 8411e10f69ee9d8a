"""The table of models, and names that are nearly those of one."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubd.cli import models
from dubd.engines.espeak import Espeak
from dubd.errors import DubdError, Exit
from dubd.models.model import File, Model

SOME = Model("voice/some", (File("w.bin", "http://x/w.bin", 3 << 20), File("c.json", "http://x/c.json")), "MIT", "x")
NONE = Model("voice/none", (File("w.bin", "http://x/w.bin"),), "MIT", "x")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No model is here; espeak publishes two whose sizes are not all known."""
    monkeypatch.setenv("DUBD_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("DUBD_RULES", str(tmp_path / "rules"))
    monkeypatch.setenv("DUBD_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setattr(Espeak, "published", {"some": SOME, "none": NONE})
    return tmp_path / "models"


def table(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    models.list_()
    lines = capsys.readouterr().out.splitlines()
    return {line.split()[0]: line for line in lines if line.strip()}


def test_a_size_that_is_not_known_is_said_to_be_so_and_filled_in_once_the_file_is_here(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = table(capsys)
    assert "at least 3.0 MiB" in rows["voice/some"]
    assert "not known" in rows["voice/none"]
    assert rows["at"] == "at least: the size of some files is told by the server alone, when they are loaded"
    (store / "voice" / "none").mkdir(parents=True)
    (store / "voice" / "none" / "w.bin").write_bytes(bytes(5 << 20))
    row = table(capsys)["voice/none"]
    assert "5.0 MiB" in row and "not here" not in row


def test_an_empty_beginning_is_no_part_of_a_model(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part = store / "voice" / "none" / "w.bin.part"
    part.parent.mkdir(parents=True)
    part.touch()
    assert "not here" in table(capsys)["voice/none"]
    part.write_bytes(b"go")
    assert "partly here" in table(capsys)["voice/none"]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("large-v3", "faster-whisper/large-v3 or whisper/large-v3"),
        ("wav2lip_gan", "wav2lip/wav2lip_gan"),
        ("codeformer", "codeformer/codeformer"),
    ],
)
def test_what_rules_call_a_model_is_answered_with_its_names_in_the_store(store: Path, word: str, meant: str) -> None:
    del store
    with pytest.raises(DubdError) as caught:
        models.pull([word])
    assert str(caught.value) == f"no model {word!r}; did you mean {meant}?"
    assert caught.value.exit == Exit.USAGE


def test_a_word_that_is_neither_is_no_rule_as_before(store: Path) -> None:
    (store.parent / "rules").mkdir()
    with pytest.raises(DubdError, match="no rule 'talks'"):
        models.pull(["talks"])
