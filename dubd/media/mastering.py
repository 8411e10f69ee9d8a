"""Bring a programme to its loudness and encode it as AAC: measure, gain, true-peak limiter, check what came out.

One encode of the whole programme, so that nothing drifts: the encoder's priming is in the edit list, and
the track is as long as its samples. Loudness and true peak are those of EBU R 128 / ITU-R BS.1770-4.
"""

from __future__ import annotations

import math
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubd.errors import DubdError
from dubd.media.ffmpeg import BITEXACT, url
from dubd.media.mix import RATE, Samples
from dubd.media.patches import unwritten

PEAK = -1.5  # dBTP that the encoded programme must not pass
_HEADROOM = 0.5  # dB that AAC may add to a limited peak before a second try is needed
_NEAR = 0.3  # LU from the target that is near enough
_TRIES = 4
_BITS = {1: "128k", 2: "192k"}  # AAC-LC, transparent for speech over music


@dataclass(frozen=True)
class Level:
    """Integrated loudness in LUFS and true peak in dBTP; minus infinity for silence."""

    loudness: float
    peak: float


def master(blocks: Callable[[], Iterator[Samples]], out: Path, *, channels: int, samples: int, target: float) -> Level:
    """Encode a stream to `out` (m4a) at `target` LUFS, peaks under `PEAK`; the level that was reached.

    `blocks` starts the stream anew for each pass. Gain is linear but for the limiter. Silence stays silence.
    """
    level = measure(blocks(), channels)
    gain = target - level.loudness if math.isfinite(level.loudness) else 0.0
    ceiling = PEAK - _HEADROOM
    for _ in range(_TRIES):
        # The limiter works at four times the rate, where a sample peak is a true peak (BS.1770-4, annex 2).
        limiter = (
            f"volume={gain:.3f}dB:precision=float,aresample={4 * RATE},"
            f"alimiter=limit={10 ** (ceiling / 20):.6f}:level=disabled:attack=5:release=50:latency=1,aresample={RATE}"
        )
        encode(blocks(), out, channels=channels, samples=samples, filters=limiter)
        level = measure(out, channels)
        miss = target - level.loudness if math.isfinite(level.loudness) else 0.0
        if abs(miss) <= _NEAR and level.peak <= PEAK:
            break
        gain += miss
        ceiling -= max(0.0, level.peak - PEAK + 0.1) if level.peak > PEAK else 0.0
    return level


def encode(blocks: Iterable[Samples], out: Path, *, channels: int, samples: int, filters: str = "anull") -> None:
    """Encode a stream of float32 blocks to AAC in an m4a of exactly `samples`."""
    command = [*_stream(channels), "-af", f"{filters},atrim=end_sample={samples}"]
    command += ["-c:a", "aac", "-b:a", _BITS.get(channels, f"{96 * channels}k"), "-movie_timescale", str(RATE)]
    command += [*BITEXACT, "-f", "mp4", url(out)]
    _pour(command, blocks)


def measure(source: Path | Iterable[Samples], channels: int) -> Level:
    """The level of a file or of a stream of blocks."""
    scan = ["-filter_complex", "ebur128=peak=true:framelog=verbose", "-f", "null", "-"]
    if isinstance(source, Path):
        text = _pour(["-i", url(source), *scan], [], talk="info")
    else:
        text = _pour([*_stream(channels), *scan], source, talk="info")
    summary = text.rpartition("Summary:")[2]
    loudness, peak = re.search(r"I:\s+(\S+) LUFS", summary), re.search(r"Peak:\s+(\S+) dBFS", summary)
    if not loudness or not peak:
        raise DubdError("the loudness could not be measured", remedy="check ffmpeg with `dubd doctor`")
    # ebur128 answers -70, its absolute gate, where no block is louder.
    value = float(loudness[1])
    return Level(value if value > -70 else -math.inf, float(peak[1]))


def _stream(channels: int) -> list[str]:
    return ["-f", "f32le", "-ar", str(RATE), "-ac", str(channels), "-i", "pipe:0"]


def _pour(options: list[str], blocks: Iterable[Samples], *, talk: str = "error") -> str:
    """Feed blocks to ffmpeg; what it said at the log level `talk`."""
    command = ["ffmpeg", "-hide_banner", "-nostats", "-v", talk, "-y", *options]
    with tempfile.TemporaryFile() as log:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log) as process:
            assert process.stdin is not None
            try:
                for block in blocks:
                    process.stdin.write(block.astype(np.float32, copy=False).tobytes())
                process.stdin.close()
            except BrokenPipeError:
                pass  # its words and its exit status say why
            except BaseException:
                process.kill()
                raise
        log.seek(0)
        said = log.read().decode(errors="replace").strip()
    if process.returncode or (talk == "error" and said):
        raise unwritten("the sound", said, Path(options[-1].removeprefix("file:")))
    return said
