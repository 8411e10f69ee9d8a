"""`<name>.error.txt`: why a drop was not dubbed, beside it, for those who see the inbox and nothing else of dubd."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from dubd import regular
from dubd.errors import DubdError

SUFFIX = ".error.txt"
_HEAD = "dubd could not dub "  # so it is known from a person's file of that name, which is left alone
_SINCE = "Since:"
_MOST = 1 << 16  # bytes
_SHOWN = 5  # faults; the status has them all


def write(drop: Path, inbox: Path, errors: Sequence[DubdError], retry: str) -> None:
    """Say beside `drop` what is wrong; `retry` is what `dubd retry` is given to try it again.

    The same faults keep the file, with the time since when. Where the inbox cannot be written there is none.
    """
    if not drop.name.isprintable():
        return  # a name that is refused for itself
    text = _text(drop, errors, retry)
    with suppress(OSError), _folder(drop, inbox) as folder:
        name = f"{drop.name}{SUFFIX}"
        known = _ours(drop, inbox)
        if known is None and regular.there(drop.with_name(name)):
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
                os.unlink(f"{drop.name}{SUFFIX}", dir_fd=folder)


def since(drop: Path, inbox: Path) -> float | None:
    """Unix time at which the fault beside a drop came up first; None where there is none."""
    with suppress(OSError):
        if _ours(drop, inbox) is not None:
            return drop.with_name(f"{drop.name}{SUFFIX}").stat().st_mtime
    return None


def _text(drop: Path, errors: Sequence[DubdError], retry: str) -> str:
    lines = [f"{_HEAD}{drop.name}.", ""]
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
    lines += [f"It is tried again when {again}, or by:", f"    dubd retry {_plain(retry)}", ""]
    return "\n".join(lines)


def _ours(drop: Path, inbox: Path) -> str | None:
    """The text of the file beside a drop, where dubd has written it."""
    try:
        data = regular.read(drop.with_name(f"{drop.name}{SUFFIX}"), _MOST, inside=inbox)
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
