"""What the tests of workers on cards share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.schedule.cards import Machine, Make


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    def make(*leasable: int) -> Machine:
        made = Machine(tmp_path, *leasable)
        for name, value in made.environ().items():
            monkeypatch.setenv(name, value)
        return made

    return make
