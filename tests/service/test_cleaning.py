"""What cleaning says of a video that it cannot clean."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from dubd.service import cleaning
from tests.graph.stand import Desk


def test_a_video_whose_files_cannot_be_removed_is_told_of_and_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path)
    desk.claim()
    desk.build()

    def refused(_: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(cleaning, "sweep", refused)
    done = cleaning.cleaned(desk.folder, "final", 0.0, desk.folders.inbox)
    assert done == cleaning.Cleaned(desk.folder.name, left="Permission denied")
