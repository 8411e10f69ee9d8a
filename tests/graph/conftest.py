"""Fixtures of the graph's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from .stand import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A workspace with one drop and stand-in stages."""
    return Desk(tmp_path)
