"""What stands of a drop that was not taken yet: why, also where only the daemon knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dubd.errors import DubdError
from dubd.schedule import room
from dubd.service import error_file, retries
from dubd.service.standing import standing
from tests.graph.stand import Desk

FAULT = DubdError("cannot be read: Permission denied", remedy="change its permissions")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def drop(desk: Desk) -> dict[str, Any]:
    (found,) = standing(desk.folders)["drops"]
    return dict(found)


def test_what_a_daemon_of_another_user_said_beside_a_drop_counts_while_it_watches(desk: Desk) -> None:
    other = DubdError("its sidecar cannot be read", file=desk.source.with_suffix(".srt"), stage="take")
    error_file.write(desk.source, desk.folders.inbox, [FAULT, other], "talk.mp4")
    assert drop(desk)["error"] is None  # nobody watches, and this user can read it
    with retries.watching(desk.folders.workspace):
        found = drop(desk)
    assert found["error"] == {**FAULT.to_json(), "file": str(desk.source)}
    assert found["also"] == [other.to_json()]
    assert found["at"]


def test_a_drop_that_is_being_written_is_not_what_was_said_of_the_one_before(desk: Desk) -> None:
    error_file.write(desk.source, desk.folders.inbox, [FAULT], "talk.mp4")
    with retries.watching(desk.folders.workspace), desk.source.open("ab"):
        found = drop(desk)
    assert (found["error"], found["writing"]) == (None, True)


def test_a_drop_waits_for_room_on_the_disk(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert drop(desk)["disk"] is None
    monkeypatch.setattr(room, "RESERVE", 1 << 60)
    assert drop(desk)["disk"]["bytes"] == 1 << 60
    assert f" on {desk.folders.workspace}: " in drop(desk)["disk"]["says"]
