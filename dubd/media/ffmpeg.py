"""The one door to ffmpeg and ffprobe: probe a file, run a command, stream frames and sound in and out.

Commands are argument lists, never a shell. Paths are handed over as `file:` URLs, so that a name
with a colon or a leading dash is a name. What is read is opened within the bounds of `untrusted`.
Every child is reaped, and killed where its reader gives up.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import ffmpeg
import numpy as np
import soundfile

from dubd.errors import DubdError, Exit
from dubd.media import untrusted
from dubd.media.child import Child
from dubd.media.killed import ProgramKilled

BITEXACT: Final = (
    *("-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact"),
    *("-map_metadata", "-1"),
)
"""Output options that keep versions, dates and the source's tags out of what is written."""

_COMMAND: Final = ("ffmpeg", "-nostdin", "-v", "error", "-y")
_MOST_TOLD: Final = 8 << 20  # bytes of what ffprobe says of a file
_BLOCK: Final = 1 << 16  # sample frames a block: 1.4 s at 48 kHz, small enough to stay in cache


def url(path: Path | str) -> str:
    """The path as ffmpeg takes it whatever its characters are."""
    return f"file:{path}"


def given(path: Path | str, *also: str) -> tuple[str, ...]:
    """The options that make a file an input of `ffmpeg`; `also` are demuxers for files of our own (concat, srt)."""
    return (*_options(*also), "-i", url(path))


def probe(path: Path | str) -> dict[str, Any]:
    """`format` and `streams` as ffprobe tells them; DubdError (Exit.INPUT) where it cannot read the file."""
    command = _probing(path, "-show_format", "-show_streams", "-of", "json")
    try:
        with Child(command, stage=None, file=path, reads=True, seconds=untrusted.patience(path)) as child:
            assert child.stdout
            said = child.stdout.read(_MOST_TOLD)
            if len(said) == _MOST_TOLD:
                raise DubdError("it has more tags than a video needs", file=path)
            child.finish()
        found: dict[str, Any] = json.loads(said.decode("utf-8", "replace"))
    except DubdError as error:
        if error.exit is Exit.WORKSPACE or isinstance(error, ProgramKilled):
            raise
        raise DubdError(
            f"not a video that can be read: {error.reason}",
            file=path,
            remedy="check that it plays, and drop a whole copy again",
            exit=Exit.INPUT,
        ) from error
    return found


def picture_of(path: Path) -> dict[str, Any]:
    """The picture stream of a video of our own making, as ffprobe tells it; raises as `probe` does."""
    return next(stream for stream in probe(path)["streams"] if stream["codec_type"] == "video")


def _probing(path: Path | str, *options: str) -> tuple[str, ...]:
    return ("ffprobe", "-v", "error", *_options(), *options, url(path))


def _options(*also: str) -> Iterator[str]:
    for name, value in untrusted.limits(*also).items():
        yield from (f"-{name}", value)


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
    command = _probing(path, "-select_streams", str(index), *entries)
    with Child(command, stage=None, file=path, reads=True, seconds=untrusted.patience(path)) as child:
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
    command = _probing(path, "-select_streams", str(index), *entries)
    with Child(command, stage=None, file=path, reads=True, seconds=untrusted.patience(path)) as child:
        assert child.stdout
        found = [_ticks(line.decode("ascii").strip(" ,\n")) for line in child.stdout]
        child.wait()
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
    with Child([*_COMMAND, *watch, *args], stage=stage, file=file, reads=progress is not None) as child:
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
    for raw in _pieces(_raw_video(path, "gray", "extractplanes=y"), width * height, path):
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
    head = (*seek, *given(path), "-map", f"0:{stream}", *(("-af", filters) if filters else ()))
    raw = (*head, "-f", "f32le", "-ac", str(channels), "-ar", str(rate), "pipe:1")
    for piece in _pieces(raw, _BLOCK * channels * 4, path, last_may_be_short=True):
        yield piece.view(np.float32).reshape(-1, channels)


def read_audio(path: Path | str, rate: int, channels: int = 1) -> np.ndarray:
    """All of the first audio stream: float32 (n,) for one channel, else (n, channels). For short files."""
    blocks = list(audio_blocks(path, rate, channels))
    whole = np.concatenate(blocks) if blocks else np.zeros((0, channels), np.float32)
    return whole[:, 0] if channels == 1 else whole


def write_wav(path: Path | str, samples: np.ndarray, rate: int) -> None:
    """Write (n,) or (n, channels) floats in -1..1 as 16 bit PCM, clipped. Errors: OSError of the disk."""
    write_sound(path, np.clip(samples, -1.0, 1.0), rate, "PCM_16")


def write_sound(path: Path | str, samples: np.ndarray, rate: int, subtype: str) -> None:
    """Write a WAV that was made in memory: libsndfile itself calls a full disk a "System error". Errors: OSError."""
    whole = io.BytesIO()
    soundfile.write(whole, samples, rate, subtype=subtype, format="WAV")
    try:
        Path(path).write_bytes(whole.getbuffer())
    except OSError as error:  # a write tells no name
        raise OSError(error.errno, error.strerror, str(path)) from error


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
        self._child: Child | None = None

    def __enter__(self) -> YuvEncoder:
        self._child = Child(self._command, stage=None, file=self.path, writes=True)
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


def _ticks(text: str) -> int | None:
    return int(text) if text.lstrip("-").isdigit() else None


def _raw_video(path: Path | str, pixels: str, filters: str = "") -> Sequence[str]:
    # One thread decodes while the reader works on what it has: a second one costs an eighth more for the same frames.
    picture = ffmpeg.input(url(path), threads=1, **untrusted.limits())["v:0"]
    chain = {"vf": filters} if filters else {}
    raw: list[str] = picture.output("pipe:1", f="rawvideo", pix_fmt=pixels, fps_mode="passthrough", **chain).get_args()
    return raw


def _crop(part: Part | None) -> str:
    return f"crop={part[2]}:{part[3]}:{part[0]}:{part[1]}" if part else ""


def _pieces(
    args: Sequence[str], size: int, path: Path | str, *, last_may_be_short: bool = False
) -> Iterator[np.ndarray]:
    """What ffmpeg writes to its standard output in uint8 pieces of `size` bytes, each its own memory."""
    with Child([*_COMMAND, *args], stage=None, file=path, reads=True) as child:
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
