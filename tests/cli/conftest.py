"""A desk that the command line finds, and the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dubd.cli.main import app
from tests.graph.stand import Desk


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Where videos are built without their engines; dubd's folders are its own."""
    desk = Desk(tmp_path)
    for name in ("inbox", "workspace", "rules", "models"):
        monkeypatch.setenv(f"DUBD_{name.upper()}", str(desk.root / name))
    return desk


def run(*words: str, width: int = 200) -> Result:
    """A command on a terminal of so many columns."""
    return CliRunner().invoke(app, list(words), env={"COLUMNS": str(width)})
