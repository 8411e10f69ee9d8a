"""What ffmpeg may do with a file that a stranger dropped: which containers it opens, and how much it may take.

Playlists, joining scripts, image sequences and the like name other files; none of their readers is in the list.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from dubd.errors import DubdError, Exit

CONTAINERS: Final = (
    *("mov", "matroska", "avi", "mpeg", "mpegts", "asf", "flv", "ogg", "mxf", "yuv4mpegpipe"),
    "wav",  # the sound of a segment
)
WIDEST: Final = 8192  # pixels: 8K, either way up
MOST_STREAMS: Final = 100  # ffmpeg's own bound is 1000
MOST_FRAMES: Final = 24 * 3600 * 120  # a day at the highest rate: 250 MB of times
LONGEST: Final = 24 * 3600.0  # s
MOST_CHANNELS: Final = 64
RATES: Final = (1_000, 768_000)  # Hz
MEMORY: Final = 8 << 30  # bytes: decoding and encoding 8K takes 3 GiB
_PATIENCE: Final = 60.0  # s that a look at a file's headers may take
_SLOWEST_DISK: Final = 4 << 20  # bytes a second


def limits(*also: str) -> dict[str, str]:
    """Options of an ffmpeg input or of ffprobe; `also` are further demuxers, for files of our own."""
    return {
        "protocol_whitelist": "file,pipe",
        "format_whitelist": ",".join((*CONTAINERS, *also)),
        "max_streams": str(MOST_STREAMS),
        "max_pixels": str(WIDEST * WIDEST),
    }


def confine(pid: int) -> None:
    """Give a process that has just started no more than `MEMORY`; its allocations then fail, and it says so.

    Data, not address space: every thread reserves much more of that than it uses.
    """
    with suppress(ProcessLookupError):  # it is over already
        resource.prlimit(pid, resource.RLIMIT_DATA, (MEMORY, MEMORY))


def patience(path: Path | str) -> float:
    """Seconds that reading all of a file may take before it counts as one that never ends."""
    with suppress(OSError):
        return _PATIENCE + os.stat(path).st_size / _SLOWEST_DISK
    return _PATIENCE


def require_sane(picture: Mapping[str, Any], sound: Mapping[str, Any], path: Path) -> None:
    """Refuse what a header claims beyond all use, before anything of that size is made. Errors: DubdError."""
    width, height = int(picture.get("width") or 0), int(picture.get("height") or 0)
    rate, channels = int(sound.get("sample_rate") or 0), int(sound.get("channels") or 0)
    if not (0 < width <= WIDEST and 0 < height <= WIDEST):
        raise _refused(f"its picture has no size, or more than {WIDEST}x{WIDEST}", path)
    if not RATES[0] <= rate <= RATES[1]:
        raise _refused(f"its sound has {rate} Hz, not {RATES[0]} to {RATES[1]}", path)
    if not 0 < channels <= MOST_CHANNELS:
        raise _refused(f"its sound has {channels} channels, not 1 to {MOST_CHANNELS}", path)


def require_frames(count: int, path: Path) -> None:
    """Refuse more frames than a day has. Errors: DubdError."""
    if count > MOST_FRAMES:
        raise _refused(f"it has more than {MOST_FRAMES:,} frames", path)


def require_length(seconds: float, path: Path, exit: Exit) -> None:
    """Refuse a programme longer than a day. Errors: DubdError(`exit`)."""
    if not seconds <= LONGEST:
        raise DubdError(
            f"it lasts {seconds:.0f} s, more than a day",
            file=path,
            remedy="choose a stretch inside of it (--clip, or clip: in its rule)",
            exit=exit,
        )


def _refused(reason: str, path: Path) -> DubdError:
    return DubdError(reason, file=path, remedy="convert it first", exit=Exit.INPUT)
