"""The workspace must lie on a disk of this machine: records and locks are not safe on a network file system."""

from __future__ import annotations

from pathlib import Path

from dubd.errors import DubdError, Exit
from dubd.service import mounts


def remote(folder: Path) -> str:
    """The kind of network file system that a folder lies on, empty where it is none."""
    kind = mounts.kind(folder, mounts.TABLE)
    return kind if mounts.is_network(kind) else ""


def require_local(workspace: Path) -> None:
    """Errors: DubdError(Exit.WORKSPACE) on a network file system.

    SQLite's write-ahead log needs memory that all its readers share, and flock says nothing to other machines.
    """
    if kind := remote(workspace):
        raise DubdError(
            f"lies on a network file system ({kind}), where records and locks of videos are not safe",
            file=workspace,
            remedy="set DUBD_WORKSPACE to a folder on a disk of this machine; the inbox may stay where it is",
            exit=Exit.WORKSPACE,
        )
