"""The inbox: which dropped videos are complete. Events only wake the scan; the scan alone decides."""

from __future__ import annotations

import fcntl
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from dubd import regular
from dubd.errors import DubdError, Exit
from dubd.graph import sidecar

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
_PARTIAL = re.compile(r"^\.|~$|\.(part|partial|filepart|crdownload|download|tmp|temp|!qb|aria2|ut!)$", re.IGNORECASE)
_NOT_OURS = frozenset(("@eaDir", "#recycle", "#snapshot", "lost+found", "$RECYCLE.BIN", "System Volume Information"))
_EMPTY = 5.0  # an empty file is given so many times the settle time: many tools create first and write later

Signature = tuple[tuple[int, int, int], ...]


@dataclass
class _Seen:
    signature: Signature
    since: float
    taken: bool = False
    told: bool = False


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
    file that can never be a drop or cannot be read, and is emptied by whoever reads it.
    """

    def __init__(self, root: Path, settle: float = 2.0) -> None:
        self.root = root
        self.settle = settle
        self.refused: list[DubdError] = []
        self._seen: dict[Path, _Seen] = {}
        self._strange: dict[Path, tuple[str, str]] = {}  # what is wrong with each, and the remedy

    def scan(self, now: float) -> list[Path]:
        """Drops that are complete at `now` (seconds of any steady clock) and were not reported yet, oldest first."""
        strange: dict[Path, tuple[str, str]] = {}
        files = dict(self._files(strange))
        drops = {path: self._signature(path, files) for path in files if path.suffix.lower() in VIDEO}
        self._tell_strangers(strange)
        for path in self._seen.keys() - drops.keys():
            del self._seen[path]
        ready = []
        for path, signature in drops.items():
            seen = self._seen.get(path)
            if seen is None or seen.signature != signature:
                self._seen[path] = _Seen(signature, now)
            elif not seen.taken and now - seen.since >= self._patience(signature) and self._free(path, seen, now):
                seen.taken = True
                ready.append(path)
        return sorted(ready, key=lambda path: (files[path][2], path))

    def again(self, path: Path) -> None:
        """Report a drop once more, though its bytes are the same: its rule may have changed, or it had to wait."""
        if seen := self._seen.get(path):
            seen.taken = False

    def taken(self) -> list[Path]:
        """The drops that are there and were reported."""
        return [path for path, seen in self._seen.items() if seen.taken]

    @property
    def pending(self) -> list[Path]:
        """The drops that are there and not complete yet, as of the last scan; unreadable ones are left out."""
        return [path for path, seen in self._seen.items() if not seen.taken and not seen.told]

    def _files(self, strange: dict[Path, tuple[str, str]]) -> Iterator[tuple[Path, tuple[int, int, int]]]:
        """Videos and sidecars with what changes when they do; all else that is told of goes into `strange`.

        A sidecar that is no plain file is among them: its drop is refused for it, as it may be meant.
        """
        folders = [self.root]
        while folders:
            try:
                entries = list(os.scandir(folders.pop()))
            except OSError:
                continue  # vanished, unreadable, share away: the next scan will tell
            for entry in entries:
                if _PARTIAL.search(entry.name) or entry.name in _NOT_OURS:
                    continue
                path = Path(entry.path)
                try:
                    stat = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                if wrong := _wrong(entry.name, path.suffix.lower(), stat.st_mode):
                    strange[path] = wrong
                elif S_ISDIR(stat.st_mode):
                    folders.append(path)
                elif path.suffix.lower() in VIDEO | _SILENT:
                    yield path, (stat.st_ino, stat.st_size, stat.st_mtime_ns)

    def _signature(self, path: Path, files: dict[Path, tuple[int, int, int]]) -> Signature:
        beside = (files.get(path.with_suffix(suffix)) for suffix in SIDECARS)
        return (files[path], *(known for known in beside if known))

    def _patience(self, signature: Signature) -> float:
        return self.settle if signature[0][1] else self.settle * _EMPTY

    def _free(self, path: Path, seen: _Seen, now: float) -> bool:
        try:
            if being_written(path):
                seen.since = now
                return False
        except OSError as error:
            if not seen.told:
                seen.told = True
                self.refused.append(
                    DubdError(
                        f"cannot be read: {error.strerror}",
                        file=path,
                        remedy="change its permissions, it is then taken by itself",
                        exit=Exit.INPUT,
                    )
                )
            return False
        seen.told = False
        return True

    def _tell_strangers(self, strange: dict[Path, tuple[str, str]]) -> None:
        for path, (reason, remedy) in sorted(strange.items(), key=lambda item: os.fsencode(item[0])):
            if self._strange.get(path) != (reason, remedy):
                self.refused.append(DubdError(reason, file=path, remedy=remedy, exit=Exit.INPUT))
        self._strange = strange


def _wrong(name: str, suffix: str, mode: int) -> tuple[str, str] | None:
    """Why a name in the inbox is neither a drop, a sidecar nor a folder of them, and the remedy; None where it is."""
    if any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in name):
        return "its name has control characters", "rename it"
    if any("\ud800" <= letter <= "\udfff" for letter in name):  # how Python writes bytes that are no text
        return "its name is not UTF-8", "rename it"
    kind = regular.kind(mode)
    if suffix in _SILENT:
        return (f"is {kind}, no sidecar", "rename it") if S_ISDIR(mode) else None
    if kind and not (S_ISDIR(mode) and suffix not in VIDEO):
        return f"is {kind}, not a video", "rename it" if S_ISDIR(mode) else "put the file itself there"
    if S_ISREG(mode) and suffix not in VIDEO:
        return "is not taken for a video", "give it the suffix of one"
    return None
