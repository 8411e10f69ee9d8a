"""`<name>.error.txt`: why a drop was not dubbed, beside it, for those who see the inbox and nothing else of dubd."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from dubd import regular
from dubd.errors import DubdError

SUFFIX = ".error.txt"
_HEAD = "dubd could not dub "  # so it is known from a person's file of that name, which is left alone
_SINCE = "Since:"
_MOST = 1 << 16  # bytes
_SHOWN = 5  # faults; the status has them all
_HEADS = {"What:": "reason", "File:": "file", "Stage:": "stage", "Remedy:": "remedy"}
_NO_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\udc80-\udcff]")  # what no drop's name may have


def write(drop: Path, inbox: Path, errors: Sequence[DubdError], retry: str) -> None:
    """Say beside `drop` what is wrong; `retry` is what `dubd retry` is given to try it again.

    The same faults keep the file, with the time since when. Where the inbox cannot be written there is none.
    """
    text = _text(drop, errors, retry)
    with suppress(OSError), _folder(drop, inbox) as folder:
        beside = path_of(drop)
        name = beside.name
        known = _ours(drop, inbox)
        if known is None and regular.there(beside):
            return  # a person's
        if known is not None and _timeless(known) == _timeless(text):
            return
        half = f".dubd-error-{os.getpid()}"
        with suppress(FileNotFoundError):
            os.unlink(half, dir_fd=folder)
        handle = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=folder)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(half, name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError:  # its name would be too long
            with suppress(FileNotFoundError):
                os.unlink(half, dir_fd=folder)


def remove(drop: Path, inbox: Path) -> None:
    """The drop is dubbed, or gone. What dubd has not written stays."""
    with suppress(OSError):
        if _ours(drop, inbox) is not None:
            with _folder(drop, inbox) as folder:
                os.unlink(path_of(drop).name, dir_fd=folder)


def since(drop: Path, inbox: Path) -> float | None:
    """Unix time at which the fault beside a drop came up first; None where there is none."""
    with suppress(OSError):
        if _ours(drop, inbox) is not None:
            return path_of(drop).stat().st_mtime
    return None


def faults(drop: Path, inbox: Path) -> list[DubdError]:
    """What it says beside a drop, to those who cannot see by themselves what the daemon met; empty without one."""
    found: list[dict[str, object]] = []
    for line in (_ours(drop, inbox) or "").splitlines():
        head, _, words = line.partition(" ")
        if head == "What:":
            found.append({"file": str(drop)})
        if found and head in _HEADS:
            found[-1][_HEADS[head]] = words.strip()
    return [DubdError.from_json(fault) for fault in found]


def path_of(drop: Path) -> Path:
    """Where it is said. A name that is refused for itself is written as in a URL: the file's own name is good."""
    return drop.with_name(f"{_written(drop.name)}{SUFFIX}")


def _written(name: str) -> str:
    return _NO_TEXT.sub(lambda found: quote(found[0], safe="", errors="surrogateescape"), name)


def _text(drop: Path, errors: Sequence[DubdError], retry: str) -> str:
    lines = [f"{_HEAD}{_plain(_written(drop.name))}.", ""]
    for error in errors[:_SHOWN]:
        parts = [("What:", error.reason), ("Stage:", error.stage), ("Remedy:", error.remedy)]
        if error.file and error.file != str(drop):
            parts.insert(1, ("File:", error.file))
        lines += [f"{head:<9}{_plain(words)}" for head, words in parts if words]
        lines.append("")
    if len(errors) > _SHOWN:
        lines += [f"And {len(errors) - _SHOWN} more: dubd status tells them.", ""]
    lines += [f"{_SINCE:<9}{time.strftime('%Y-%m-%d %H:%M:%S %z')}", ""]
    lacking = any(error.absent for error in errors)
    again = "it, a sidecar or its rule changes" + (", when what is missing is there" if lacking else "")
    if _NO_TEXT.search(drop.name):  # nobody could type it
        return "\n".join([*lines, f"It is tried again when {again}.", ""])
    lines += [f"It is tried again when {again}, or by:", f"    dubd retry {_plain(retry)}", ""]
    return "\n".join(lines)


def _ours(drop: Path, inbox: Path) -> str | None:
    """The text of the file beside a drop, where dubd has written it."""
    try:
        data = regular.read(path_of(drop), _MOST, inside=inbox)
    except (OSError, DubdError):
        return None
    text = data.decode("utf-8", "replace")
    return text if text.startswith(_HEAD) else None


def _timeless(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith(_SINCE)]


def _plain(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


@contextmanager
def _folder(drop: Path, inbox: Path) -> Iterator[int]:
    """The drop's folder, open: others may replace it by a link out of the inbox. Errors: OSError."""
    handle = os.open(drop.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not Path(os.readlink(f"/proc/self/fd/{handle}")).is_relative_to(inbox.resolve()):
            raise NotADirectoryError(f"{drop.parent} leads out of the inbox")
        yield handle
    finally:
        os.close(handle)
