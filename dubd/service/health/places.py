"""The folders: may they be written, do they lie where they must, is there room, and are changes in them heard."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dubd.errors import DubdError
from dubd.folders import Folders
from dubd.graph.video import videos
from dubd.models.store import bytes_of
from dubd.schedule.room import RESERVE, free
from dubd.service.folder_watch import POLL
from dubd.service.health.finding import Finding
from dubd.service.local import remote, require_local
from dubd.service.video_watch import watched

INOTIFY = Path("/proc/sys/fs/inotify")  # inotify(7)
HOUR: Final = 10 << 30  # bytes that an hour of 1080p takes while it is built; three times that for a rich picture
_ROOM_FOR_WATCHES: Final = 524_288  # what desktops set; a watch takes about a kilobyte, once it is used


def findings(folders: Folders) -> Iterator[Finding]:
    """One a folder, and one of the limits on watching them."""
    yield _inbox(folders.inbox)
    yield from _workspace(folders.workspace)
    yield _models(folders.models)
    yield from _inotify(folders)


def _inbox(folder: Path) -> Finding:
    if fault := _unwritable("inbox", folder):
        return fault
    kind = remote(folder)
    says = f", on {kind}: what other machines put there is found by looking" if kind else ""
    return Finding("inbox", "good", f"{folder}{says}, {_free(folder)}")


def _workspace(folder: Path) -> Iterator[Finding]:
    try:
        require_local(folder)
    except DubdError as error:
        yield Finding("workspace", "bad", f"{folder} {error.reason}", error.remedy)
        return
    if fault := _unwritable("workspace", folder):
        yield fault
        return
    for inside in (folder / ".log", folder / ".cache", *videos(folder)):
        if inside.exists() and (fault := _unwritable("workspace", inside)):
            yield fault
        records = inside / ".state.sqlite"
        if records.exists() and not os.access(records, os.W_OK):
            remedy = f"chown -R {os.getuid()} {shlex.quote(str(inside))}"
            yield Finding("workspace", "bad", f"{records} cannot be written", remedy)
    room = _room(folder)
    if room is not None and room < RESERVE:
        says = f"{folder}, only {bytes_of(room)} free: nothing starts below {bytes_of(RESERVE)}"
        yield Finding("workspace", "bad", says, "dubd clean")
    elif room is not None and room < RESERVE + HOUR:
        says = f"{folder}, only {bytes_of(room)} free; an hour of 1080p takes {bytes_of(HOUR)} and more"
        yield Finding("workspace", "note", says, "dubd clean")
    else:
        yield Finding("workspace", "good", f"{folder}, {_free(folder)}")


def _models(folder: Path) -> Finding:
    """Rules that lack none need no place for more."""
    if fault := _unwritable("models", folder):
        return Finding("models", "note", f"{fault.says}: none can be loaded", fault.remedy)
    return Finding("models", "good", f"{folder}, {_free(folder)}")


def _unwritable(name: str, folder: Path) -> Finding | None:
    """What keeps this user from writing to a folder, which is made where it is not there."""
    there = _there(folder)
    if not there.is_dir():
        remedy = shlex.join(["mv", str(there), f"{there}.old"])
        return Finding(name, "bad", f"{folder} cannot be made: {there} is a file", remedy)
    if os.access(there, os.W_OK | os.X_OK):
        return None
    if os.statvfs(there).f_flag & os.ST_RDONLY:
        remedy = f'mount -o remount,rw "$(findmnt -nro TARGET -T {shlex.quote(str(there))})"'
        return Finding(name, "bad", f"{folder} lies on a read-only file system", remedy)
    uid, quoted = os.getuid(), shlex.quote(str(folder))
    if there != folder:  # what is above may be /, or other people's
        return Finding(
            name, "bad", f"{folder} cannot be made: {there} cannot be written", f"install -d -o {uid} {quoted}"
        )
    return Finding(name, "bad", f"{folder} cannot be written", f"chown -R {uid} {quoted}")


def _inotify(folders: Folders) -> Iterator[Finding]:
    """Whether the daemon can hear of changes: a watch for each folder where people change something. Else it looks."""
    wanted = sum(_folders_in(folder) for folder in (folders.inbox, folders.rules) if not remote(folder))
    if folders.workspace.is_dir() and not remote(folders.workspace):
        wanted += 2 + sum(len(watched(video)) for video in videos(folders.workspace))  # itself, and the marks in it
    late = f"changes are found only by looking, at the inbox every {POLL:.0f} s, at many videos in rounds"
    good = True
    for name, least, ask in (("max_user_watches", wanted, _ROOM_FOR_WATCHES), ("max_user_instances", 3, 1024)):
        try:
            limit = int((INOTIFY / name).read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue
        if limit < least:
            good = False
            says = f"{name} is {limit}, {least} are needed: {late}"
            yield Finding("inotify", "note", says, f"sysctl -w fs.inotify.{name}={max(ask, 2 * least)}")
    if good:
        yield Finding("inotify", "good", f"{wanted} folders can be watched")


def _folders_in(folder: Path) -> int:
    return sum(1 for _ in os.walk(folder))


def _there(folder: Path) -> Path:
    return next((path for path in (folder, *folder.parents) if path.exists()), Path("/"))


def _room(folder: Path) -> int | None:
    try:
        return free(_there(folder))
    except OSError:
        return None


def _free(folder: Path) -> str:
    room = _room(folder)
    return "free space unknown" if room is None else f"{bytes_of(room)} free"
