"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Before anything imports them: a process a core runs tests, and threads of several that wait for each other take many
# times as long as one.
for _library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_library, "1")

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
