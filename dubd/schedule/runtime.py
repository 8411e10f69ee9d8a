"""Where the dubd processes of a machine meet: one folder that lasts until the machine is shut down."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from dubd.errors import DubdError, Exit

log = logging.getLogger("dubd.gpu")


def runtime(
    environ: Mapping[str, str] = os.environ, run: Path = Path("/run"), tmp: Path = Path("/tmp"), uid: int | None = None
) -> Path:
    """The folder, made where it is not there.

    $DUBD_RUNTIME; else /run/dubd where that can be written (root; the unit's RuntimeDirectory, also for its group);
    else /run/user/<uid>/dubd, which a login and cron find alike; else $XDG_RUNTIME_DIR/dubd; else /tmp/dubd-<uid>. The
    last three are this user's alone: a DubdError where someone else owns what is there, or may write to it.
    """
    if named := environ.get("DUBD_RUNTIME"):
        folder = Path(named)
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    shared = run / "dubd"
    if os.access(shared if shared.exists() else run, os.W_OK | os.X_OK):
        with contextlib.suppress(FileExistsError):
            shared.mkdir(mode=0o770)
        return shared
    if shared.exists():
        log.warning("%s is not yours to write: GPU leases are not shared with the dubd that runs there", shared)
    user = os.getuid() if uid is None else uid
    login, other = run / "user" / str(user), environ.get("XDG_RUNTIME_DIR")
    if _is_own(login, user):
        return _own(login / "dubd", user)
    return _own(Path(other) / "dubd" if other and Path(other).is_dir() else tmp / f"dubd-{user}", user)


def _own(folder: Path, user: int) -> Path:
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if not _is_own(folder, user):
        raise DubdError(
            "not a folder that only you can write",
            file=folder,
            remedy="remove it, or set DUBD_RUNTIME",
            exit=Exit.WORKSPACE,
        )
    return folder


def _is_own(folder: Path, user: int) -> bool:
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == user and not found.st_mode & 0o022
