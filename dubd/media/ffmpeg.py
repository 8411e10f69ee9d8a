"""The one door to ffmpeg and ffprobe: probe a file, run a command, stream frames and sound in and out.

Commands are argument lists, never a shell. Paths are handed over as `file:` URLs, so that a name
with a colon or a leading dash is a name. Every child is reaped, and killed where its reader gives up.
"""

from __future__ import annotations

import re
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

import ffmpeg
import numpy as np
import soundfile

from dubd.errors import DubdError, Exit

BITEXACT: Final = (
    *("-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact"),
    *("-map_metadata", "-1"),
)
"""Output options that keep versions, dates and the source's tags out of what is written."""

_COMMAND: Final = ("ffmpeg", "-nostdin", "-v", "error", "-y")
_BLOCK: Final = 1 << 16  # sample frames a block: 1.4 s at 48 kHz, small enough to stay in cache
_LAST_LINES: Final = 40
_NO_SPACE: Final = ("No space left on device", "Disk quota exceeded")
_UNWRITTEN: Final = ("Error writing trailer", "Error closing file")  # with either, ffmpeg 5.1 still exits with 0
_OUR_OWN_EXIT: Final = re.compile(r"Conversion failed!|Error while (filtering|processing)|Exiting")
_SAYS_NOTHING: Final = "Invalid data found when processing input"
_ORIGIN: Final = re.compile(r"^\[[^\]]* @ 0x[0-9a-f]+\]\s*")


def url(path: Path | str) -> str:
    """The path as ffmpeg takes it whatever its characters are."""
    return f"file:{path}"


def probe(path: Path | str) -> dict[str, Any]:
    """`format` and `streams` as ffprobe tells them; DubdError (Exit.INPUT) where it cannot read the file."""
    try:
        found: dict[str, Any] = ffmpeg.probe(url(path))
    except ffmpeg.Error as error:
        lines = error.stderr.decode("utf-8", "replace").splitlines()
        reason = _last_meaning(lines, path) or "ffprobe cannot read it"
        raise DubdError(
            f"not a video that can be read: {reason}",
            file=path,
            remedy="check that it plays, and drop a whole copy again",
            exit=Exit.INPUT,
        ) from error
    except FileNotFoundError as error:
        raise _not_installed("ffprobe") from error
    return found


def seek_before(seconds: float) -> tuple[str, ...]:
    """Input options that start reading at the keyframe before `seconds`, counted from the file's own start.

    Frames keep the times that the container gives them: `-start_at_zero` would count from the first
    stream that is mapped, which is another one for picture and sound.
    """
    return ("-copyts", "-noaccurate_seek", "-ss", f"{seconds:.6f}") if seconds > 0 else ("-copyts",)


def packets(path: Path | str, index: int) -> Iterator[tuple[int | None, int | None, int | None, bool]]:
    """(pts, dts, duration, is a keyframe) of every packet of a stream in file order, in ticks of its time base.

    Nothing is decoded. Packets that a player must not show (before an edit list's start) are left out.
    """
    entries = ("-show_entries", "packet=pts,dts,duration,flags", "-of", "csv=p=0")
    command = ("ffprobe", "-v", "error", "-select_streams", str(index), *entries, url(path))
    with _Child(command, stage=None, file=path, reads=True) as child:
        assert child.stdout
        for line in child.stdout:
            if not line.strip():
                continue  # the place of side data
            pts, dts, duration, flags = line.decode("ascii").split(",")[:4]
            if "D" not in flags:
                yield _ticks(pts), _ticks(dts), _ticks(duration), "K" in flags
        child.finish()


def first_frame(path: Path | str, index: int) -> int | None:
    """When the first frame that a decoder gives is shown or heard, in ticks of the stream's time base; None unknown."""
    entries = ("-read_intervals", "%+#8", "-show_entries", "frame=best_effort_timestamp", "-of", "csv=p=0")
    command = ("ffprobe", "-v", "error", "-select_streams", str(index), *entries, url(path))
    with _Child(command, stage=None, file=path, reads=True) as child:
        assert child.stdout
        found = [_ticks(line.decode("ascii").strip(" ,\n")) for line in child.stdout]
    return next((at for at in found if at is not None), None)


def run(
    args: Sequence[str],
    *,
    stage: str | None,
    file: Path | str,
    progress: Callable[[float], None] | None = None,
    seconds: float = 0.0,
) -> None:
    """Run `ffmpeg -nostdin -v error -y ARGS` to its end; DubdError with its last words where it fails.

    With `progress`, the fraction of `seconds` (of output) done is reported now and then.
    """
    watch = ("-progress", "pipe:1", "-nostats") if progress else ()
    with _Child([*_COMMAND, *watch, *args], stage=stage, file=file, reads=progress is not None) as child:
        if progress and child.stdout:
            for line in child.stdout:
                key, _, value = line.decode("ascii", "replace").strip().partition("=")
                if key == "out_time_us" and seconds > 0 and value.lstrip("-").isdigit():
                    progress(min(1.0, max(0.0, int(value) / 1e6 / seconds)))
        child.finish()


Part = tuple[int, int, int, int]
"""x, y, width and height of a part of the picture, all even."""


def frames_yuv(path: Path | str, width: int, height: int, part: Part | None = None) -> Iterator[np.ndarray]:
    """Every frame as (height * 3 / 2, width) uint8, the yuv420p planes as they lie in memory; only `part` of it."""
    width, height = part[2:] if part else (width, height)
    for raw in _pieces(_raw_video(path, "yuv420p", _crop(part)), width * height * 3 // 2, path):
        yield raw.reshape(height * 3 // 2, width)


def frames_grey(path: Path | str, width: int, height: int) -> Iterator[np.ndarray]:
    """Every frame of a planar YUV picture as (height, width) uint8: its luma as it was coded, not rescaled."""
    for raw in _pieces(_raw_video(path, "gray", ("-vf", "extractplanes=y")), width * height, path):
        yield raw.reshape(height, width)


def frames_bgr(path: Path | str, width: int, height: int, part: Part | None = None) -> Iterator[np.ndarray]:
    """Every frame as (height, width, 3) uint8 in OpenCV's order; only `part` of it."""
    width, height = part[2:] if part else (width, height)
    for raw in _pieces(_raw_video(path, "bgr24", _crop(part)), width * height * 3, path):
        yield raw.reshape(height, width, 3)


def audio_blocks(
    path: Path | str,
    rate: int,
    channels: int = 1,
    *,
    stream: str = "a:0",
    seek: Sequence[str] = (),
    filters: str = "",
) -> Iterator[np.ndarray]:
    """One audio stream as float32 blocks (n, channels) at `rate` Hz, n <= 65536.

    `stream` is ffmpeg's specifier without the file, `seek` are options of the input (`-ss`, ...), `filters`
    an audio filter chain to run before the sound is brought to `rate` and `channels`.
    """
    head = (*seek, "-i", url(path), "-map", f"0:{stream}", *(("-af", filters) if filters else ()))
    raw = (*head, "-f", "f32le", "-ac", str(channels), "-ar", str(rate), "pipe:1")
    for piece in _pieces(raw, _BLOCK * channels * 4, path, last_may_be_short=True):
        yield piece.view(np.float32).reshape(-1, channels)


def read_audio(path: Path | str, rate: int, channels: int = 1) -> np.ndarray:
    """All of the first audio stream: float32 (n,) for one channel, else (n, channels). For short files."""
    blocks = list(audio_blocks(path, rate, channels))
    whole = np.concatenate(blocks) if blocks else np.zeros((0, channels), np.float32)
    return whole[:, 0] if channels == 1 else whole


def write_wav(path: Path | str, samples: np.ndarray, rate: int) -> None:
    """Write (n,) or (n, channels) floats in -1..1 as 16 bit PCM, clipped."""
    try:
        soundfile.write(str(path), np.clip(samples, -1.0, 1.0), rate, subtype="PCM_16", format="WAV")
    except soundfile.LibsndfileError as error:
        raise DubdError(str(error), file=path, exit=Exit.WORKSPACE) from error


def color_args(color: Mapping[str, str]) -> list[str]:
    """Encoder options that tag a stream with `color` as in plan.json (space, primaries, transfer, range)."""
    return [
        *("-colorspace", color["space"], "-color_primaries", color["primaries"]),
        *("-color_trc", color["transfer"], "-color_range", color["range"]),
    ]


class YuvEncoder:
    """An encoder that is fed frame by frame: `with YuvEncoder(...) as encoder: encoder.write(frame)`.

    `args` are output options, codec first to last, without the path. Leaving the block without an
    exception finishes the file, or raises DubdError with ffmpeg's last words; with one, ffmpeg is killed.
    """

    def __init__(self, path: Path | str, width: int, height: int, rate: Fraction | str, args: Sequence[str]) -> None:
        self.shape = (height * 3 // 2, width)
        self.path = path
        source = ("-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{width}x{height}", "-r", str(rate))
        self._command = [*_COMMAND, *source, "-i", "pipe:0", *args, url(path)]
        self._child: _Child | None = None

    def __enter__(self) -> YuvEncoder:
        self._child = _Child(self._command, stage=None, file=self.path, writes=True)
        self._child.__enter__()
        return self

    def write(self, frame: np.ndarray) -> None:
        """Append one frame, uint8 of `shape`; ValueError for another shape, DubdError where ffmpeg died."""
        if frame.shape != self.shape or frame.dtype != np.uint8:
            raise ValueError(f"a frame is {self.shape} uint8, not {frame.shape} {frame.dtype}")
        assert self._child and self._child.stdin, "write() outside of `with`"
        try:
            self._child.stdin.write(np.ascontiguousarray(frame).data.cast("B"))
        except BrokenPipeError:
            self._child.finish()
            raise DubdError("ffmpeg stopped taking frames", file=self.path) from None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._child
        try:
            if kind is None:
                self._child.finish()
        finally:
            self._child.__exit__(kind, error, trace)


class _Child:
    """A running ffmpeg whose standard error is drained as it comes, so that no pipe ever fills up."""

    def __init__(
        self, command: Sequence[str], *, stage: str | None, file: Path | str, reads: bool = False, writes: bool = False
    ) -> None:
        self._stage, self._file, self._command = stage, file, list(command)
        self._reads, self._writes = reads, writes
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self.stdin: IO[bytes] | None = None
        self.stdout: IO[bytes] | None = None

    def __enter__(self) -> _Child:
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE if self._writes else subprocess.DEVNULL,
                stdout=subprocess.PIPE if self._reads else subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        except FileNotFoundError as error:
            raise _not_installed(self._command[0]) from error
        self.stdin, self.stdout = self._process.stdin, self._process.stdout
        self._drain = threading.Thread(target=self._read_errors, daemon=True)
        self._drain.start()
        return self

    def _read_errors(self) -> None:
        assert self._process.stderr
        for line in self._process.stderr:
            self._last.append(line.decode("utf-8", "replace").rstrip())

    def finish(self) -> None:
        """Wait for the end; DubdError where it was not a good one."""
        if self.stdin and not self.stdin.closed:
            with suppress(BrokenPipeError):  # its last words say why
                self.stdin.close()
        code = self._process.wait()
        self._drain.join()
        if code == 0 and not self._said(*_UNWRITTEN):
            return
        if self._said(*_NO_SPACE):
            raise DubdError(
                "no space left on the disk",
                file=self._file,
                stage=self._stage,
                remedy="free some space and run again",
                exit=Exit.WORKSPACE,
            )
        reason = _last_meaning(self._last, self._file) or (
            f"{self._command[0]} was killed by signal {-code}" if code < 0 else f"{self._command[0]} ended with {code}"
        )
        raise DubdError(reason, file=self._file, stage=self._stage)

    def _said(self, *words: str) -> bool:
        return any(word in line for word in words for line in self._last)

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self.stdin, self.stdout):
            if pipe and not pipe.closed:
                with suppress(BrokenPipeError):  # closing flushes, and nobody is left to read
                    pipe.close()
        self._drain.join()
        assert self._process.stderr
        self._process.stderr.close()


def _ticks(text: str) -> int | None:
    return int(text) if text.lstrip("-").isdigit() else None


def _raw_video(path: Path | str, pixels: str, filters: Sequence[str] = ()) -> tuple[str, ...]:
    # One thread decodes while the reader works on what it has: a second one costs an eighth more for the same frames.
    head = ("-threads", "1", "-i", url(path), "-map", "0:v:0", *filters)
    return (*head, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", pixels, "pipe:1")


def _crop(part: Part | None) -> tuple[str, ...]:
    return ("-vf", f"crop={part[2]}:{part[3]}:{part[0]}:{part[1]}") if part else ()


def _pieces(
    args: Sequence[str], size: int, path: Path | str, *, last_may_be_short: bool = False
) -> Iterator[np.ndarray]:
    """What ffmpeg writes to its standard output in uint8 pieces of `size` bytes, each its own memory."""
    with _Child([*_COMMAND, *args], stage=None, file=path, reads=True) as child:
        assert child.stdout
        while True:
            piece = np.empty(size, np.uint8)
            got = child.stdout.readinto(piece.data)  # type: ignore[attr-defined]
            if got < size:
                break
            yield piece
        if got and last_may_be_short:
            yield piece[:got]
        elif got:
            child.finish()
            raise DubdError("the picture ends in the middle of a frame", file=path)
        child.finish()


def _last_meaning(lines: Sequence[str] | deque[str], path: Path | str) -> str:
    """The last line that says what is wrong, without addresses in memory and without the path."""
    told = [_ORIGIN.sub("", line).replace(f"{url(path)}: ", "").strip() for line in lines]
    told = [line for line in told if line and not _OUR_OWN_EXIT.search(line)]
    if len(told) > 1 and told[-1] == _SAYS_NOTHING:
        return told[-2]
    return told[-1] if told else ""


def _not_installed(command: str) -> DubdError:
    return DubdError(f"{command} is not installed", remedy="apt install ffmpeg", exit=Exit.WORKSPACE)
