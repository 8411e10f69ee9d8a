"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dubd.schedule.surroundings import ONE_THREAD

# A thread for each library, as workers have, before any is imported: two test processes whose libraries take both
# cores wait for one another most of the time.
for _name in ONE_THREAD:
    os.environ.setdefault(_name, "1")

_MEDIA = Path(os.environ.get("DUBD_MEDIA") or Path(__file__).parents[2] / "shared" / "media")


@pytest.fixture(scope="session", autouse=True)
def _runtime() -> Iterator[None]:
    """A place for leases of this test process alone: no test, nor what it starts, meets the dubd of the machine."""
    with (
        tempfile.TemporaryDirectory(prefix="dubd-", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("DUBD_RUNTIME", folder)
        yield


@pytest.fixture
def media() -> Callable[[str], Path]:
    """A real clip by its name in the media folder (DUBD_MEDIA); skips where the folder is absent."""

    def find(name: str) -> Path:
        path = _MEDIA / name
        if not path.exists():
            pytest.skip(f"no {name}: set DUBD_MEDIA to the folder of real clips")
        return path

    return find


@pytest.fixture(scope="session")
def talking_head() -> Path:
    """The shipped sample, 9.7 s: one face about 200 px wide, three English lines (script/sample/README.md)."""
    return Path(__file__).parents[1] / "script" / "sample" / "talking_head.mp4"
