"""A video: a claimed drop with a folder of its own in the workspace."""

from __future__ import annotations

import errno
import functools
import hashlib
import itertools
import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dubd import regular
from dubd.errors import DubdError, Exit
from dubd.folders import Folders
from dubd.graph import content, drop, rules
from dubd.graph.rule import Rule
from dubd.graph.state import State

RULE, NEWER = "rule.yaml", "rule.new.yaml"
_ENDS = 4 << 20  # bytes at each end of a file that go into its id; the plan hashes all of it
SUBTITLES = ("subtitles.srt", "subtitles.vtt")


@dataclass(frozen=True)
class Video:
    """One folder of the workspace. `source` and `subtitles` are file names in it."""

    folder: Path
    rule: Rule
    source: str
    subtitles: str | None

    @property
    def id(self) -> str:
        """Slug of the drop's name and 8 hex digits of its content."""
        return self.folder.name

    @property
    def title(self) -> str:
        """The id without its digits."""
        return self.id.rpartition("-")[0]

    @classmethod
    def claim(
        cls,
        source: Path,
        rule: Rule,
        folders: Folders,
        subtitles: Path | None = None,
        *,
        insist: bool = False,
        known: Path | None = None,
    ) -> Video:
        """Give a drop its folder, or find it again; the rule and the subtitles are brought up to date.

        The source is hard-linked, else linked by name and read in place. A `rule.yaml` that was edited by
        hand stays, and the newer one is put beside it as `rule.new.yaml`; where the caller insists the newer
        one counts, and the edited one is kept as `rule.old.yaml`. Edited subtitles stay likewise. The source
        is taken last: a kill before that leaves the drop where it is, to be claimed again. A video that nothing
        could tell the words of is refused before its folder is touched. What lies in the inbox is opened once,
        without following a symbolic link, and that file is the one that is linked. `known` is the folder that its
        content has from a drop of another name.
        Errors: DubdError where the drop cannot be read, nothing can tell what is said in it, or the workspace
        cannot be written.
        """
        with drop.opened(source, folders) as file:
            return cls._claim(source, file, rule, folders, subtitles, insist, known)

    @classmethod
    def _claim(
        cls,
        source: Path,
        file: BinaryIO,
        rule: Rule,
        folders: Folders,
        subtitles: Path | None,
        insist: bool,
        known: Path | None,
    ) -> Video:
        key = _digest(file, source)[:8]
        folder = known if known and known.name.endswith(f"-{key}") else folders.workspace / f"{slug(source.stem)}-{key}"
        linked = f"source{source.suffix.lower()}"
        words = drop.read_beside(subtitles, source, folders) if subtitles else b""
        if subtitles is None and not folder.exists():
            rules.require_recogniser(rule, source)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            state = State(folder)
            try:
                if subtitles is None and not _edited_subtitles(state, folder):
                    rules.require_recogniser(_in_force(state, folder, rule, insist), source)
                _put_rule(state, folder, rule, insist)
                _put_subtitles(state, folder, subtitles, words)
                if state.note("drop") != str(source):
                    state.set_note("drop", str(source))
                target = folder / linked
                if target.exists() and not _intact(state, target):
                    _put_away(target)
                drop.link(source, file, target, move=rule.inbox == "move")
                _intact(state, target)
            finally:
                state.close()
        except OSError as error:
            full = error.errno == errno.ENOSPC
            raise DubdError(
                "no space left on the disk" if full else f"cannot be written: {error.strerror}",
                file=error.filename or folder,
                remedy="free some space" if full else "make the workspace writable, or set DUBD_WORKSPACE",
                exit=Exit.WORKSPACE,
            ) from error
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path) -> Video:
        """A video that was claimed before. Errors: DubdError where its folder is not whole."""
        try:
            names = sorted(os.listdir(folder))
        except OSError as error:
            raise DubdError(
                f"cannot be read: {error.strerror}", file=folder, remedy="drop the video again", exit=Exit.WORKSPACE
            ) from error
        source = next((name for name in names if name.startswith("source.")), None)
        if source is None:
            raise DubdError("has no source file", file=folder, remedy="drop the video again", exit=Exit.INPUT)
        found = next((name for name in SUBTITLES if (folder / name).exists()), None)
        return cls(folder, _rule(folder / RULE), source, found)

    def require_source(self) -> None:
        """Refuse to build from another film than the one that was claimed: a hard link follows what it links.

        Errors: DubdError(Exit.INPUT) where the source was overwritten or is gone; Exit.RULE where its subtitles
        went and the rule's recogniser lacks its language.
        """
        path = self.folder / self.source
        state = State(self.folder)
        try:
            drop = state.note("drop") or str(path)
            there = path.exists()
            intact = there and _intact(state, path)
        finally:
            state.close()
        if not there:
            raise DubdError(
                f"its source {drop} is gone", file=self.folder, remedy="drop the video again", exit=Exit.INPUT
            )
        if not intact:
            raise DubdError(
                f"its source {drop} was overwritten",
                file=self.folder,
                remedy="drop it again; the new film is a video of its own",
                exit=Exit.INPUT,
            )
        if self.subtitles is None:
            rules.require_recogniser(self.rule, Path(drop))


def videos(workspace: Path) -> Iterator[Path]:
    """The folders of all videos, by name; none where there is no workspace yet. DubdError where that is no folder."""
    if not workspace.is_dir():
        if os.path.exists(workspace):
            raise DubdError("is no folder", file=workspace, remedy="set DUBD_WORKSPACE to one", exit=Exit.WORKSPACE)
        return
    for folder in sorted(workspace.iterdir()):
        if not folder.name.startswith(".") and os.path.exists(folder / RULE):  # False where it cannot be read
            yield folder


def slug(name: str) -> str:
    """A name that is safe as a folder, as a doit task and in a shell."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:48].rstrip("-") or "video"


def content_key(path: Path) -> str:
    """8 hex digits of a file's size and of its first and last 4 MiB."""
    return content_digest(path)[:8]


def content_digest(path: Path, inside: Path | None = None) -> str:
    """All 64 digits of it; with `inside`, no link is followed out of that folder. Errors: DubdError."""
    try:
        with regular.opened(path, inside=inside) as file:
            return _digest(file, path)
    except OSError as error:
        raise drop.unreadable(error, path) from error


def _digest(file: BinaryIO, path: Path) -> str:
    try:
        size = os.fstat(file.fileno()).st_size
        known = hashlib.sha256(str(size).encode())
        known.update(file.read(_ENDS))
        if size > _ENDS:
            file.seek(max(_ENDS, size - _ENDS))
            known.update(file.read(_ENDS))
    except OSError as error:
        raise drop.unreadable(error, path) from error
    return known.hexdigest()


def _rule(path: Path) -> Rule:
    return _loaded(path, content.stamp(str(path)))


@functools.lru_cache(maxsize=64)  # of 8 kB each; a build reads its rule again and again
def _loaded(path: Path, _stamp: tuple[int, int, int] | None) -> Rule:
    return rules.load(path, ready=False)


def _intact(state: State, source: Path) -> bool:
    """Whether the source still has the content of its folder's id; hashed only where size or mtime have moved."""
    stat = source.stat()
    seen = [stat.st_size, stat.st_mtime_ns]
    if state.note("source") == seen:
        return True
    intact = content_key(source) == source.parent.name.rpartition("-")[2]
    if intact:
        state.set_note("source", seen)
    return intact


def _put_away(source: Path) -> None:
    """Make room for the true source; a file that is named nowhere else is kept beside."""
    if source.is_symlink() or source.stat().st_nlink > 1:
        source.unlink()
    else:
        os.replace(source, source.with_name(f"overwritten{source.suffix}"))


def _put_rule(state: State, folder: Path, rule: Rule, insist: bool) -> None:
    path, text = folder / RULE, rules.dump(rule)
    newer = folder / NEWER
    made = _made_rules(state)
    if path.exists():
        current = path.read_text(encoding="utf-8")
        if current == text:
            newer.unlink(missing_ok=True)
            if made != [text]:
                state.set_note("rule", [text])
            return
        if current not in made:  # edited by hand
            if not insist:
                if made != [text]:
                    _replace(newer, text.encode())
                return
            _keep_old(folder, current)
        else:
            made = [current]
        newer.unlink(missing_ok=True)
    state.set_note("rule", [*made[-1:], text])  # both until it is written: a kill must make neither a hand's work
    _replace(path, text.encode())
    state.set_note("rule", [text])


def _in_force(state: State, folder: Path, offered: Rule, insist: bool) -> Rule:
    """The rule that counts once `offered` was put into the folder."""
    path = folder / RULE
    if insist or not path.exists() or path.read_text(encoding="utf-8") in _made_rules(state):
        return offered
    return _rule(path)


def _made_rules(state: State) -> list[str]:
    """The texts of rule.yaml that are the machine's own."""
    made = state.note("rule") or []
    return [made] if isinstance(made, str) else made  # one text, as it was noted once


def _keep_old(folder: Path, edited: str) -> None:
    """Keep an edited rule as `rule.old.yaml`, or `rule.old.2.yaml` where an earlier edit is kept already."""
    for number in itertools.count(1):
        kept = folder / ("rule.old.yaml" if number == 1 else f"rule.old.{number}.yaml")
        if not kept.exists():
            _replace(kept, edited.encode())
            return
        if kept.read_text(encoding="utf-8") == edited:
            return


def _put_subtitles(state: State, folder: Path, given: Path | None, data: bytes) -> None:
    """The sidecar's bytes in the folder; what a hand wrote there stays, and the sidecar's are put beside it."""
    wanted = folder / f"subtitles{given.suffix.lower()}" if given else None
    fresh = hashlib.sha256(data).hexdigest() if given else None
    made: list[str] = state.note("subtitles") or []
    there = _subtitles(folder)
    edited = _edited_subtitles(state, folder, fresh)
    newer = [folder / f"subtitles.new{path.suffix}" for path in map(Path, SUBTITLES)]
    for path in newer:
        if not edited or wanted is None or path.suffix != wanted.suffix:
            path.unlink(missing_ok=True)
    known = made if made[-1:] == [fresh] or not fresh else [*made, fresh][-2:]
    if edited:
        if wanted and known is not made:
            _replace(folder / f"subtitles.new{wanted.suffix}", data)
            state.set_note("subtitles", known)
        return
    if known is not made:
        state.set_note("subtitles", known)  # before the rename: a kill must not make it a hand's work
    for path in there:
        if path != wanted:
            path.unlink(missing_ok=True)
    if wanted and there.get(wanted) != fresh:
        _replace(wanted, data)


def _subtitles(folder: Path) -> dict[Path, str]:
    """The subtitles that are in the folder, with their digests."""
    return {path: content.digest(str(path)) for name in SUBTITLES if (path := folder / name).exists()}


def _edited_subtitles(state: State, folder: Path, fresh: str | None = None) -> list[Path]:
    """Those that a hand wrote, which stay whatever the sidecar is; `fresh` is the digest of one."""
    made = state.note("subtitles") or []
    return [path for path, digest in _subtitles(folder).items() if digest not in (*made, fresh)]


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
