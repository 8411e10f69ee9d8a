"""Events of the folders that the daemon looks at. They only wake it: where there are none, it looks more often."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from watchdog.events import (
    DirAttribEvent,
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.inotify import InotifyEmitter, InotifyObserver
from watchdog.observers.inotify_c import InotifyConstants, Mask

from dubd.errors import DubdError
from dubd.service import error_file, inotify, mounts, retries
from dubd.service.inotify import Inotify
from dubd.service.video_watch import VideoWatch

LOOK = 30.0  # s between looks at all folders when no event came: events get lost, a look does not
POLL = 5.0  # s between looks where no events come
_UNWATCHED = f"cannot be watched, and is looked at every {POLL:.0f} s"

# Not each write: a copy of 10 GB has 80 000 of them. Attributes: what could not be read is made readable.
_KINDS: list[type[FileSystemEvent]] = [
    *(FileCreatedEvent, FileMovedEvent, FileClosedEvent, FileDeletedEvent),
    *(FileAttribEvent, DirAttribEvent, DirCreatedEvent, DirMovedEvent, DirDeletedEvent),
]


class _Emitter(InotifyEmitter):
    """watchdog 7.1 hands attributes on, and leaves them out of what it asks the kernel for on behalf of a filter."""

    def get_event_mask_from_filter(self) -> Mask:
        return Mask(super().get_event_mask_from_filter() | InotifyConstants.IN_ATTRIB)


class _Observer(InotifyObserver):
    def __init__(self) -> None:
        super().__init__()
        self._emitter_class = _Emitter


class FolderWatch(FileSystemEventHandler):
    """While inside, changes below `folders` set `wake`, and `heard` tells where they were.

    So do changes right in `flat` folders, and in the videos that are at rest (see `VideoWatch`).

    `every` says how often to look without an event; `told` has one line for each reason to look often, and is
    emptied by whoever reads it. Network file systems are not watched: what others do there raises no event.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        wake: threading.Event,
        table: Path = mounts.TABLE,
        *,
        flat: Sequence[Path] = (),
    ) -> None:
        self.told: list[DubdError] = []
        self._wake = wake
        self._folders = (*folders, *flat)
        self._flat = frozenset(flat)
        self._videos: VideoWatch | None = None
        self._watched: dict[Path, Path] = {}  # where each really lies
        self._table = table
        self._observer: _Observer | None = None
        self._roots: dict[Path, tuple[int, int] | None] = {}
        self._faults: set[str] = set()
        self._heard: set[Path] = set()
        self._deaf: set[Path] = set()  # folders in which changes may come to pass unheard
        self._given_up = False

    @property
    def every(self) -> float:
        """Seconds between two looks."""
        return POLL if self._deaf or (self._videos and self._videos.blind) else LOOK

    def deaf(self, folder: Path) -> bool:
        """Whether changes below one of the folders may come to pass unheard."""
        return folder in self._deaf

    def heard(self) -> set[Path]:
        """What changed since the last call: files and folders right below the folders, each with all that it holds.

        One of the folders itself where nothing was heard for a while. Clear `wake` before.
        """
        found = set()
        while self._heard:
            found.add(self._heard.pop())  # one by one: the observer's thread may add meanwhile
        return found | self._videos.stirred() if self._videos else found

    def rest(self, video: Path) -> None:
        """Hear of what a hand changes in a video from now on."""
        if self._videos:
            self._videos.rest(video)

    def hold(self, video: Path) -> None:
        """Hear nothing of a video: it is being built, or gone."""
        if self._videos:
            self._videos.hold(video)

    def __enter__(self) -> FolderWatch:
        self._begin()
        self._heard.update(self._folders)
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        if self._videos:
            self._videos.close()
            self._videos = None
        self._roots = {}

    @property
    def moved(self) -> bool:
        """Whether a folder was replaced, mounted, made or removed since the last check."""
        return bool(self._roots) and self._roots != self._now()

    def check(self) -> None:
        """Watch anew where a folder is another one, or where watching broke off. Outside of the watch: nothing."""
        if not self._roots:
            return
        others, alive = self._roots != self._now(), self._alive()
        if self._given_up:
            self._roots = self._now()
        elif others or not alive or self._deaf != self._unheard():
            self._end()
            self._begin()
            if others or not alive:
                self._heard.update(self._folders)
        if self._videos:
            self._videos.renew(all_of_them=others)

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Hidden files (state, locks, temporary outputs) and error files are the machine's own and wake nobody."""
        for end in (event.dest_path, event.src_path) if event.dest_path else (event.src_path,):
            path = Path(os.fsdecode(end))
            real = next((real for real in self._watched if path.is_relative_to(real)), path.parent)
            below = path.relative_to(real).parts
            hidden = any(part.startswith(".") for part in below)  # what is above, a person has chosen
            if path.parent.name == retries.MARKS or not (hidden or path.name.endswith(error_file.SUFFIX)):
                self._heard.add(self._watched.get(real, real).joinpath(*below[:1]))
                self._wake.set()

    def _begin(self) -> None:
        self._roots = self._now()
        observer = self._observer = _Observer()
        try:
            self._watched = {path.resolve(): path for path in self._local()}  # of a link, watchdog sees the link alone
            for real, folder in self._watched.items():
                observer.schedule(self, str(real), recursive=folder not in self._flat, event_filter=_KINDS)
            observer.start()
            self._videos = self._videos or VideoWatch(self._wake)
        except OSError as error:
            self._end()
            self._given_up = True  # each new attempt would cost watchdog an instance
            self._tell(f"{_UNWATCHED}: {error.strerror or error}", self._folders[0], f"{_remedy(error)}, and restart")
        self._deaf = self._unheard()

    def _end(self) -> None:
        observer, self._observer = self._observer, None
        if observer is None:
            return
        observer.unschedule_all()
        if observer.is_alive():
            observer.stop()
            observer.join()

    def _local(self) -> list[Path]:
        there = [folder for folder, root in self._roots.items() if root]
        return [folder for folder in there if not mounts.is_network(mounts.kind(folder, self._table))]

    def _alive(self) -> bool:
        """Whether events still come: watchdog's threads end at what they did not foresee, and say nothing."""
        observer = self._observer
        return observer is not None and observer.is_alive() and all(one.is_alive() for one in observer.emitters)

    def _now(self) -> dict[Path, tuple[int, int] | None]:
        """Each folder's device and inode: another one there is watched by nobody."""
        found: dict[Path, tuple[int, int] | None] = {}
        for folder in self._folders:
            try:
                stat = folder.stat()
            except OSError:
                found[folder] = None
            else:
                found[folder] = stat.st_dev, stat.st_ino
        return found

    def _unheard(self) -> set[Path]:
        """The folders in which changes may come to pass unheard; each reason is told once."""
        local = self._local()
        for folder, root in self._roots.items():
            if root is None:
                continue
            if folder not in local:
                kind = mounts.kind(folder, self._table)
                self._tell(
                    f"lies on {kind}, which does not tell what others do: it is looked at every {POLL:.0f} s", folder
                )
        there = {folder for folder, root in self._roots.items() if root}
        if self._given_up or not self._alive():
            return there
        # watchdog passes over a limit that it meets below the folders, so one more watch is tried here.
        if local and (error := _refusal(local[0])):
            self._tell(
                f"{_UNWATCHED}: {error.strerror}",
                local[0],
                _remedy(error),
            )
            return there
        return there - set(local)

    def _tell(self, reason: str, folder: Path, remedy: str = "") -> None:
        if reason not in self._faults:
            self._faults.add(reason)
            self.told.append(DubdError(reason, file=folder, remedy=remedy))


def _remedy(error: OSError) -> str:
    if error.errno == errno.EMFILE:
        return "raise the limit: sysctl fs.inotify.max_user_instances=1024"
    if error.errno == errno.ENOSPC:
        return "raise the limit: sysctl fs.inotify.max_user_watches=524288"
    return "make it readable"


def _refusal(folder: Path) -> OSError | None:
    """What the system says to one watch more; None where it grants it."""
    try:
        one = Inotify()
    except OSError as error:
        return OSError(error.errno, "the limit of inotify instances is reached")
    try:
        one.add(str(folder), inotify.CREATE)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            return OSError(errno.ENOSPC, "the limit of inotify watches is reached")
    finally:
        one.stop()
        one.close()
    return None
