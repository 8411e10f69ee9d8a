"""Drops with one and the same content: one of them is the video, the others are told of and not dubbed again."""

from __future__ import annotations

import os
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

from dubd.errors import DubdError
from dubd.folders import Folders
from dubd.graph.state import State, noted
from dubd.graph.video import RULE, content_digest

NOTE = "aliases"  # in the video's records: the other drops' paths


class Aliases:
    """Which video has a drop's content. `refresh` before the drops of a turn, `save` after them."""

    def __init__(self, workspace: Path, inbox: Path) -> None:
        self._workspace = workspace
        self._inbox = inbox
        self._by_key: dict[str, set[Path]] = {}
        self._names: set[str] = set()  # of their folders
        self._drops: dict[Path, Path] = {}  # each alias, and the drop that counts
        # Of each video, for a turn: its drop, the digest of its source, the aliases that are noted and those to note.
        self._drop_of: dict[Path, Path | None] = {}
        self._source: dict[Path, str] = {}
        self._counts: dict[Path, bool] = {}  # whether a drop still has its video's content
        self._noted: dict[Path, set[str]] = {}
        self._new: dict[Path, set[str]] = defaultdict(set)

    def refresh(self) -> None:
        """Look which videos have come and gone; those that were here before are listed, and not looked at."""
        self._drop_of.clear()
        self._source.clear()
        self._counts.clear()
        self._drops = {path: drop for path, drop in self._drops.items() if os.path.lexists(path)}
        try:
            there = {name for name in os.listdir(self._workspace) if name[0] != "."}
        except OSError:
            there = set()
        for name in self._names - there:
            folder = self._workspace / name
            self._by_key[_key(folder)].discard(folder)
        self._names &= there
        for name in there - self._names:
            if _is_video(folder := self._workspace / name):
                self.know(folder)

    def know(self, folder: Path) -> bool:
        """A video was claimed. Returns whether it was not known before."""
        folders = self._by_key.setdefault(_key(folder), set())
        fresh = folder not in folders
        folders.add(folder)
        self._names.add(folder.name)
        self._drop_of.pop(folder, None)
        return fresh

    def known(self, path: Path) -> tuple[Path, Path] | None:
        """The drop that counts and the video's folder, where the content of `path` has one.

        The drop that counts may be gone; `path` then takes its place. It may be `path` itself: the folder keeps the
        name of the first drop, and is not that which `path` would be given.
        Errors: DubdError where `path` cannot be read.
        """
        digest = content_digest(path, self._inbox)
        found = None
        for folder in filter(_is_video, sorted(self._by_key.get(digest[:8], ()))):
            if folder not in self._drop_of:
                self._drop_of[folder] = drop_of(folder)
            drop = self._drop_of[folder]
            if drop == path:
                return path, folder
            if drop and found is None and digest == self._source_of(folder):
                found = drop, folder
        return found

    def counts(self, drop: Path, folder: Path) -> bool:
        """Whether a drop is still in the inbox with the content of its video."""
        if drop not in self._counts:
            self._counts[drop] = holds(drop, folder, self._inbox)
        return self._counts[drop]

    def add(self, path: Path, drop: Path, folder: Path) -> bool:
        """Remember an alias. Returns whether it was not known before, to this daemon or to an earlier one."""
        if folder not in self._noted:
            self._noted[folder] = set(of(folder))
        noted = self._noted[folder]
        fresh = path not in self._drops and str(path) not in noted
        self._drops[path] = drop
        if str(path) not in noted:
            self._new[folder].add(str(path))
        return fresh

    def left(self) -> list[Path]:
        """Aliases whose drop is gone: one of them takes its place. Each is named once."""
        gone = {drop for drop in set(self._drops.values()) if not os.path.lexists(drop)}
        found = [path for path, drop in self._drops.items() if drop in gone]
        for path in found:
            del self._drops[path]
        return found

    def save(self) -> None:
        """Note what was added; those that are no longer there are forgotten."""
        for folder, paths in self._new.items():
            with suppress(DubdError):  # told again by the next daemon
                _set(folder, sorted(path for path in paths | self._noted[folder] if os.path.lexists(path)))
        self._new.clear()
        self._noted.clear()

    def _source_of(self, folder: Path) -> str:
        """All digits of a video's content: the 8 of its id may be equal by chance. Empty where it is gone."""
        if folder not in self._source:
            try:
                name = next((name for name in os.listdir(folder) if name.startswith("source.")), "")
                self._source[folder] = content_digest(folder / name) if name else ""
            except (DubdError, OSError):
                self._source[folder] = ""
        return self._source[folder]


def taken(path: Path, folders: Folders) -> tuple[Path, Path | None]:
    """The drop to build where `path` is asked for, and the video that its content has already.

    What is not in the inbox is a video of its own. Errors: DubdError where `path` cannot be read.
    """
    if not path.is_relative_to(folders.inbox):
        return path, None
    aliases = Aliases(folders.workspace, folders.inbox)
    aliases.refresh()
    drop, folder = aliases.known(path) or (path, None)
    return drop if folder and aliases.counts(drop, folder) else path, folder


def _is_video(folder: Path) -> bool:
    return os.path.exists(folder / RULE)


def _key(folder: Path) -> str:
    return folder.name.rpartition("-")[2]


def holds(drop: Path, folder: Path, inbox: Path) -> bool:
    """Whether a drop is in the inbox with the content of a video."""
    try:
        return drop.is_relative_to(inbox) and content_digest(drop, inbox)[:8] == _key(folder)
    except DubdError:
        return False


def of(folder: Path) -> list[str]:
    """The other drops that have a video's content, as the daemon noted them."""
    try:
        return list(noted(folder, NOTE) or ())
    except DubdError:
        return []


def drop_of(folder: Path) -> Path | None:
    """The drop that a video was made of; None where its records cannot be read."""
    try:
        drop = noted(folder, "drop")
    except DubdError:
        return None
    return Path(drop) if drop else None


def _set(folder: Path, paths: list[str]) -> None:
    state = State(folder)
    try:
        state.set_note(NOTE, paths or None)
    finally:
        state.close()
