"""The inbox: which dropped videos are complete. Events only wake the scan; the scan alone decides."""

from __future__ import annotations

import fcntl
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import NamedTuple

from dubd import regular
from dubd.errors import DubdError, Exit
from dubd.graph import sidecar
from dubd.service import error_file, mounts

VIDEO = frozenset(
    [
        ".mp4",
        ".m4v",
        ".mov",
        ".mkv",
        ".webm",
        ".avi",
        ".mpg",
        ".mpeg",
        ".ts",
        ".mts",
        ".m2ts",
        ".vob",
        ".wmv",
        ".asf",
        ".flv",
        ".f4v",
        ".ogv",
        ".3gp",
        ".3g2",
        ".mxf",
        ".y4m",
    ]
)
SIDECARS = (*sidecar.RULES, *sidecar.SUBTITLES)
_SILENT = frozenset((*SIDECARS, ".csv"))  # they belong to a video or to a rule, and are no drops themselves
_PARTIAL = frozenset(
    (".part", ".partial", ".filepart", ".crdownload", ".download", ".tmp", ".temp", ".!qb", ".aria2", ".ut!")
)
_NOT_OURS = frozenset(("@eaDir", "#recycle", "#snapshot", "lost+found", "$RECYCLE.BIN", "System Volume Information"))
SETTLE, NETWORK_SETTLE = 2.0, 30.0  # s
_EMPTY = 5.0  # an empty file is given so many times the settle time: many tools create first and write later

_TOLD = 1000  # strange files that were there once and are remembered

Signature = tuple[tuple[int, ...], ...]


class _Wrong(NamedTuple):
    """What is wrong with something in the inbox."""

    reason: str
    remedy: str
    inode: int = 0  # of what is no video; else it is told again whenever it comes back


@dataclass
class _Seen:
    signature: Signature
    since: float
    taken: bool = False
    told: bool = False
    offered: bool = False  # reported for its rule's sake alone


def subtitles_beside(video: Path) -> Path | None:
    """The sidecar `.srt` or `.vtt` that is taken as the video's transcript, where there is one."""
    return sidecar.beside(video, sidecar.SUBTITLES)


def being_written(path: Path) -> bool:
    """Whether some process has the file open for writing.

    A read lease is refused while one has (fcntl(2)). It is granted on local file systems to the file's
    owner alone; elsewhere the answer is False and the settle time has to do.
    Errors: OSError where the file cannot be opened.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.fcntl(handle, fcntl.F_SETSIG, signal.SIGURG)  # a breaker's SIGIO would end the process
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return False


class Inbox:
    """A drop is complete when neither it nor its sidecars have changed for `settle` seconds, and nobody writes it.

    Every drop is reported once for each state of its bytes and sidecars; `refused` has one line for each
    file that can never be a drop or cannot be read, and is emptied by whoever reads it. `orphans` are the names of
    drops that are gone and whose error files were still there at the last scan.
    """

    def __init__(self, root: Path, settle: float = SETTLE) -> None:
        self.root = root
        self.settle = settle
        self.refused: list[DubdError] = []
        self.orphans: list[Path] = []
        self.pending: list[Path] = []
        """The drops that are there and not complete yet, as of the last scan; unreadable ones are left out."""
        self.due: float | None = None
        """When the next of them may be complete, if nothing happens meanwhile."""
        self._seen: dict[str, _Seen] = {}
        self._first = True  # what the first scan finds was there before: its video was tried at the start
        self._strange: dict[str, _Wrong] = {}
        self._told: dict[str, _Wrong] = {}  # of those that were there once: one that comes back is old news

    def scan(self, now: float) -> list[Path]:
        """Drops that are complete at `now` (seconds of any steady clock) and were not reported yet, oldest first."""
        walk = _Walk(str(self.root))
        self._tell_strangers(walk.strange)
        if not walk.rooted:
            self.due = None  # nothing will be complete, however often one looks
            return []  # the share is away: what was seen there is known when it comes back
        drops = {path: walk.signature(path) for path in walk.videos}
        for path in self._seen.keys() - drops.keys():
            del self._seen[path]
        named = (note.removesuffix(error_file.SUFFIX) for note in walk.notes)
        strange = {str(error_file.path_of(Path(path))) for path in walk.strange} if walk.notes else ()
        self.orphans = [Path(name) for name in named if name not in drops and name + error_file.SUFFIX not in strange]
        ready, self.pending, self.due = [], [], None
        for path, signature in drops.items():
            seen = self._seen.get(path)
            if seen is None or seen.signature != signature:
                seen = self._seen[path] = _Seen(signature, now, offered=self._first)
            elif not seen.taken and now - seen.since >= self._patience(signature) and self._free(path, seen, now):
                seen.taken = True
                ready.append(path)
            if not (seen.taken or seen.told):
                self.pending.append(Path(path))
                due = seen.since + self._patience(signature)
                self.due = due if self.due is None else min(due, self.due)
        self._first = False
        return list(map(Path, sorted(ready, key=lambda path: (drops[path][0][2], path))))

    def still(self, path: Path) -> bool:
        """Whether a drop is as it was reported and nobody writes it; true where it cannot be read."""
        try:
            stat = os.lstat(path)
            seen = self._seen[str(path)].signature[0]
            return seen == (stat.st_ino, stat.st_size, stat.st_mtime_ns) and not being_written(path)
        except (OSError, KeyError):
            return True

    def again(self, path: Path) -> None:
        """Report a drop once more, though its bytes are the same: its rule may have changed, or it had to wait."""
        self._strange.pop(str(path), None)
        self._told.pop(str(path), None)
        if seen := self._seen.get(str(path)):
            seen.offered = False
            if seen.taken:
                seen.taken = False
                self.pending.append(path)
                self.due = seen.since

    def offer_again(self) -> None:
        """Report every drop that was reported once more, and keep in mind that nothing but the rules have changed."""
        for path in self.taken():
            self.again(path)
            self._seen[str(path)].offered = True

    def taken(self) -> list[Path]:
        """The drops that are there and were reported."""
        return [Path(path) for path, seen in self._seen.items() if seen.taken]

    def offered(self, path: Path) -> bool:
        """Whether nothing but its rule may have changed: it was there at the start, or was offered again."""
        seen = self._seen.get(str(path))
        return seen is not None and seen.offered

    def _patience(self, signature: Signature) -> float:
        return self.settle if signature[0][1] else self.settle * _EMPTY

    def _free(self, path: str, seen: _Seen, now: float) -> bool:
        try:
            if being_written(Path(path)):
                seen.since = now
                return False
        except OSError as error:
            if not seen.told:
                seen.told = True
                self.refused.append(unreadable(error, path))
            return False
        seen.told = False
        return True

    def _tell_strangers(self, strange: dict[str, _Wrong]) -> None:
        for path, wrong in sorted(strange.items(), key=lambda item: os.fsencode(item[0])):
            before = self._strange.get(path)
            if not (before and before[:2] == wrong[:2]) and self._told.get(path) != wrong:
                self.refused.append(_refused(path, wrong))
            if wrong.inode:
                self._told.pop(path, None)
                self._told[path] = wrong  # as the latest
        for path in list(self._told)[: -_TOLD - len(strange)]:
            del self._told[path]
        self._strange = strange


def settle_time(root: Path, table: Path = mounts.TABLE) -> float:
    """Seconds that a drop is to be still, where nobody says: writers on other machines pause, and hold no lease."""
    return NETWORK_SETTLE if mounts.is_network(mounts.kind(root, table)) else SETTLE


def drops(root: Path) -> tuple[list[Path], list[DubdError]]:
    """The videos in an inbox, by name, complete or not; and what is refused for its name or its kind."""
    walk = _Walk(str(root))
    refused = [_refused(path, wrong) for path, wrong in walk.strange.items()]
    return sorted(map(Path, walk.videos)), sorted(refused, key=lambda fault: os.fsencode(fault.file or ""))


def unreadable(error: OSError, path: object) -> DubdError:
    """What to tell of a file or folder that cannot be opened."""
    return DubdError(
        f"cannot be read: {error.strerror}",
        file=path,
        remedy="change its permissions, it is then taken by itself",
        exit=Exit.INPUT,
    )


def _refused(path: str, wrong: _Wrong) -> DubdError:
    return DubdError(wrong.reason, file=path, remedy=wrong.remedy, exit=Exit.INPUT)


class _Walk:
    """One look below a folder: `videos`, error files (`notes`), and what is told of (`strange`).

    A sidecar that is no plain file is told of as well: its drop is refused for it, as it may be meant.
    `rooted` is false where the folder itself could not be read.
    """

    def __init__(self, root: str) -> None:
        self.videos: dict[str, tuple[int, ...]] = {}
        self.notes: list[str] = []
        self.strange: dict[str, _Wrong] = {}
        self.rooted = True
        self._beside: dict[str, list[tuple[int, ...]]] = {}  # by the path without its suffix
        folders = [root]
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if self._entry(entry):
                            folders.append(entry.path)
            except FileNotFoundError:
                self.rooted = self.rooted and folder != root
            except OSError as error:  # not permitted, or the share is away
                self.rooted = self.rooted and folder != root
                fault = unreadable(error, folder)
                self.strange[folder] = _Wrong(fault.reason, fault.remedy)

    def signature(self, video: str) -> Signature:
        """What changes when a video or one of its sidecars does; a sidecar is refused unread, so its rights count."""
        beside = self._beside.get(video[: video.rindex(".")]) if self._beside else None
        return (self.videos[video], *sorted(beside)) if beside else (self.videos[video],)

    def _entry(self, entry: os.DirEntry[str]) -> bool:
        """File an entry where it belongs. Returns whether it is a folder to look into."""
        name = entry.name
        suffix = os.path.splitext(name)[1].lower()
        if name[0] == "." or name[-1] == "~" or suffix in _PARTIAL or name in _NOT_OURS:
            return False
        try:
            stat = entry.stat(follow_symlinks=False)
        except OSError:
            return False  # vanished meanwhile
        mode = stat.st_mode
        if suffix in VIDEO and S_ISREG(mode) and name.isprintable():
            self.videos[entry.path] = stat.st_ino, stat.st_size, stat.st_mtime_ns
        elif wrong := _wrong(name, suffix, mode):
            self.strange[entry.path] = _Wrong(*wrong, 0 if suffix in VIDEO else stat.st_ino)
        elif S_ISDIR(mode):
            return True
        elif suffix in VIDEO:
            self.videos[entry.path] = stat.st_ino, stat.st_size, stat.st_mtime_ns
        elif suffix in SIDECARS:
            known = stat.st_ino, stat.st_size, stat.st_mtime_ns, mode, stat.st_uid
            self._beside.setdefault(entry.path[: -len(suffix)], []).append(known)
        elif name.endswith(error_file.SUFFIX):
            self.notes.append(entry.path)
        return False


def _wrong(name: str, suffix: str, mode: int) -> tuple[str, str] | None:
    """Why a name in the inbox is neither a drop, a sidecar nor a folder of them, and the remedy; None where it is."""
    if not name.isprintable():  # as most names are, at a tenth of the cost
        if any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in name):
            return "its name has control characters", "rename it"
        if any("\ud800" <= letter <= "\udfff" for letter in name):  # how Python writes bytes that are no text
            return "its name is not UTF-8", "rename it"
    kind = regular.kind(mode)
    if suffix in _SILENT:
        return (f"is {kind}, no sidecar", "rename it") if S_ISDIR(mode) else None
    if kind and not (S_ISDIR(mode) and suffix not in VIDEO):
        return f"is {kind}, not a video", "rename it" if S_ISDIR(mode) else "put the file itself there"
    if S_ISREG(mode) and suffix not in VIDEO and not name.endswith(error_file.SUFFIX):
        return "is not taken for a video", "give it the suffix of one"
    return None
