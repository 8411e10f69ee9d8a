"""What a file's bytes are known by: its sha256 as published, or as it was when it came, noted beside it."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from dubd.models.model import File

SHA256 = re.compile(r"^[0-9a-f]{64}$")
_BLOCK = 1 << 20


def digest(path: Path, moved: Callable[[int], None] = lambda _: None) -> str:
    """sha256 of a file; `moved` hears of each block's bytes. Errors: OSError."""
    known = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            known.update(block)
            moved(len(block))
    return known.hexdigest()


def remember(path: Path, sha256: str) -> None:
    """Note the sum of a file that has none in the table, in the form that `sha256sum -c` reads."""
    note = _note(path)
    temporary = note.with_name(f"{note.name}.{os.getpid()}")
    temporary.write_text(f"{sha256}  {path.name}\n", encoding="utf-8")
    os.replace(temporary, note)


def known(path: Path, file: File) -> str | None:
    """The sum that `path` must have: the table's, else the remembered one. None where there is neither."""
    if file.sha256:
        return file.sha256
    with suppress(OSError):
        first = _note(path).read_text(encoding="utf-8").split(" ")[0]
        return first if SHA256.match(first) else None
    return None


def _note(path: Path) -> Path:
    return path.with_name(f".{path.name}.sha256")
