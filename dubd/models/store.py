"""Where model files lie on this machine, and what is known of them without loading any."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from dubd.models.digests import digest
from dubd.models.model import File, Model, Needed, Own

FOLDER = "DUBD_MODELS"


def root(environ: Mapping[str, str] | None = None) -> Path:
    """$DUBD_MODELS, else dubd/models in the XDG cache: one for all rules and all checkouts."""
    env = os.environ if environ is None else environ
    cache = Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.path.abspath(env.get(FOLDER) or cache / "dubd" / "models"))


def place(needed: Needed) -> Path:
    """What an engine loads: the model's folder in the store, or the user's own file or folder."""
    return needed.path if isinstance(needed, Own) else root() / needed.name


def file(needed: Needed, path: str) -> Path:
    """One file of a model; a user's own model of one file is that file, whatever its name.

    The user's own path also where nothing is there, or a folder without that file: what is told of it names no other.
    """
    inside = (found := place(needed)) / path
    return found if isinstance(needed, Own) and not inside.exists() else inside


def lacking(needed: Needed) -> tuple[File, ...]:
    """The files that are not here whole: sizes are looked at, contents are not."""
    if isinstance(needed, Own):
        return () if os.path.exists(needed.path) else (File(needed.path.name),)  # also what no path can be is not there
    folder = place(needed)
    return tuple(file for file in needed.files if not here(folder / file.path, file))


def here(path: Path, file: File) -> bool:
    """Whether `path` is that file, whole: it has its size, or, where that is not known, any."""
    try:
        found = path.stat().st_size
    except OSError:
        return False
    return found == file.size if file.size is not None else found > 0


def name(needed: Needed) -> str:
    """As people are told of it: the published name, or the path of the user's own."""
    return str(needed.path) if isinstance(needed, Own) else needed.name


def begun(path: Path) -> int:
    """Bytes of the file at `path` that came before its download was stopped; an empty beginning is none."""
    try:
        return path.with_name(f"{path.name}.part").stat().st_size
    except OSError:
        return 0


def again(path: Path) -> str:
    """What to do where a model's file at `path` is not whole: the user's own can be had from no publisher."""
    if path.absolute().is_relative_to(root()):
        return "download it again (dubd models verify tells which are whole)"
    return "copy it again from where it came from"


def as_they_are(model: Model) -> tuple[File, ...]:
    """Its files, with the sizes of those that are here where the table has none."""
    return tuple(
        replace(file, size=path.stat().st_size) if file.size is None and here(path, file) else file
        for file in model.files
        for path in (place(model) / file.path,)
    )


def size(files: Iterable[File]) -> int | None:
    """Bytes of these files together; None where the size of one is not known before the server tells it."""
    sizes = [file.size for file in files]
    return None if None in sizes else sum(size or 0 for size in sizes)


def size_said(files: Iterable[File]) -> str:
    """Their size in words: "at least 2.3 GiB" where only some of it is known beforehand; empty where nothing is."""
    sizes = [file.size for file in files]
    known = bytes_of(sum(size or 0 for size in sizes)) if any(sizes) else ""
    return f"at least {known}" if known and None in sizes else known


def bytes_of(count: int) -> str:
    """Bytes as people write them: 812 B, 2.9 GiB."""
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def identity(needed: Needed) -> str:
    """What changes whenever other bytes would be loaded: revision or sha256 as published, content for one's own.

    It is part of every task's key; a model of the user's that is not there yet has the identity "absent".
    """
    if isinstance(needed, Model):
        if needed.revision:
            return f"{needed.name}@{needed.revision}"
        sums = "".join(f"{file.path}:{file.sha256}\n" for file in needed.files)
        return f"{needed.name}@{hashlib.sha256(sums.encode()).hexdigest()[:16]}"
    return content(needed)


def content(needed: Needed) -> str:
    """The sha256 over its files as they are here, by name; "absent" where one is not. Errors: OSError."""
    if lacking(needed):
        return "absent"
    made, folder = hashlib.sha256(), place(needed)
    for path in paths(needed):
        stat = path.stat()
        inside = path.relative_to(folder)
        made.update(f"{inside}:{_digest(path, stat.st_ino, stat.st_size, stat.st_mtime_ns)}\n".encode())
    return made.hexdigest()


def paths(needed: Needed) -> list[Path]:
    """The files of a model; of the user's own all that lie in its folder, its path alone where there is nothing."""
    if isinstance(needed, Model):
        return sorted(place(needed) / file.path for file in needed.files)
    if needed.path.is_dir():
        return sorted(path for path in needed.path.rglob("*") if path.is_file())
    return [needed.path]


@lru_cache(1024)
def _digest(path: Path, _inode: int, _size: int, _mtime: int) -> str:
    return digest(path, root() / ".digests")
