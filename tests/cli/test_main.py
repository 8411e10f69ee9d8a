"""The command line's log: what only a developer reads."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from dubd.cli import main


def test_the_log_of_tracebacks_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ".log"
    folder.mkdir()
    monkeypatch.setenv("DUBD_WORKSPACE", str(tmp_path))
    monkeypatch.setattr(main, "_LOG", 1000)
    log = logging.getLogger("dubd")
    monkeypatch.setattr(log, "handlers", [])
    monkeypatch.setattr(log, "propagate", log.propagate)
    main._keep_tracebacks()
    for turn in range(100):
        log.error("turn %d", turn)
    log.handlers[0].close()
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 2000
    assert "turn 99" in (folder / "dubd.log").read_text()
