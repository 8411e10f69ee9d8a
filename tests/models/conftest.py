"""A store of one's own, and a shelf to fill it from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models.shelf import Shelf, served


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store's folder: no test here meets that of the machine."""
    monkeypatch.setenv("DUBD_MODELS", str(tmp_path / "models"))
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    return tmp_path / "models"


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with served() as found:
        yield found
