"""The lock of a video: one process builds it, and whoever only looks is in nobody's way."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path

import pytest

from dubd.errors import DubdError, Exit
from dubd.graph import state as module
from dubd.graph.state import FILE, LOCK, State, owned, owner


def test_the_owner_is_named(tmp_path: Path) -> None:
    with owned(tmp_path):
        assert owner(tmp_path) == os.getpid()
        with pytest.raises(DubdError, match=f"is being built by process {os.getpid()}") as busy, owned(tmp_path):
            pass
    assert busy.value.exit == Exit.BUSY
    assert owner(tmp_path) is None


def test_a_look_at_the_same_instant_keeps_no_build_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / LOCK).open("a+") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        monkeypatch.setattr(module.time, "sleep", lambda _: fcntl.flock(looking, fcntl.LOCK_UN))
        with owned(tmp_path):
            assert owner(tmp_path) == os.getpid()


def test_a_note_that_cannot_be_read_is_the_videos_fault(tmp_path: Path) -> None:
    state = State(tmp_path)
    with sqlite3.connect(tmp_path / FILE) as records:
        records.execute("insert into note values ('drop', '{half')")
    with pytest.raises(DubdError, match="the state file cannot be used") as broken:
        state.note("drop")
    assert broken.value.exit == Exit.WORKSPACE
    state.close()
