"""Bring a programme to its loudness and encode it as AAC: measure, gain, true-peak limiter, check what came out.

One encode of the whole programme, so that nothing drifts: the encoder's priming is in the edit list, and
the track is as long as its samples. Loudness and true peak are those of EBU R 128 / ITU-R BS.1770-4.
"""

from __future__ import annotations

import math
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubd.errors import DubdError
from dubd.media.ffmpeg import BITEXACT, given, url
from dubd.media.killed import require_alive
from dubd.media.mix import RATE, Samples
from dubd.media.patches import unwritten

PEAK = -1.5  # dBTP that the encoded programme must not pass
_HEADROOM = 0.5  # dB that AAC may add to a limited peak before a second try is needed
_NEAR = 0.5  # LU from the target that is near enough: half of what EBU R 128 allows live programmes
_SURE = 0.3  # LU: AAC moves the loudness of a limited stream by less than the rest of `_NEAR`
_CLOSE = 1.2  # LU: a miss that one step of `_YIELD` mends to within `_NEAR`
_TRIES = 4
_YIELD = 1.5  # dB of gain for 1 LU more where the limiter is at work: measured on speech 7 dB over the ceiling
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
    before = loudness(blocks(), channels)
    gain, ceiling = 0.0, PEAK - _HEADROOM
    if math.isfinite(before):
        gain = _gain(blocks, channels, target, target - before, ceiling)
    for _ in range(_TRIES):
        encode(blocks(), out, channels=channels, samples=samples, filters=_limiter(gain, ceiling))
        level = measure(out)
        miss = target - level.loudness if math.isfinite(level.loudness) else 0.0
        if abs(miss) <= _NEAR and level.peak <= PEAK:
            break
        gain += _YIELD * miss
        ceiling -= max(0.0, level.peak - PEAK + 0.1) if level.peak > PEAK else 0.0
    return level


def _gain(blocks: Callable[[], Iterator[Samples]], channels: int, target: float, gain: float, ceiling: float) -> float:
    """The gain in dB with which the limited stream comes to `target`; found without encoding, which takes longest."""
    for _ in range(_TRIES):
        miss = target - loudness(blocks(), channels, _limiter(gain, ceiling))
        if abs(miss) > _SURE:
            gain += _YIELD * miss
        if abs(miss) <= _CLOSE:
            break
    return gain


def _limiter(gain: float, ceiling: float) -> str:
    # The limiter works at four times the rate, where a sample peak is a true peak (BS.1770-4, annex 2).
    return (
        f"volume={gain:.3f}dB:precision=float,aresample={4 * RATE},"
        f"alimiter=limit={10 ** (ceiling / 20):.6f}:level=disabled:attack=5:release=50:latency=1,aresample={RATE}"
    )


def encode(blocks: Iterable[Samples], out: Path, *, channels: int, samples: int, filters: str = "anull") -> None:
    """Encode a stream of float32 blocks to AAC in an m4a of exactly `samples`."""
    command = [*_stream(channels), "-af", f"{filters},atrim=end_sample={samples}"]
    command += ["-c:a", "aac", "-b:a", _BITS.get(channels, f"{96 * channels}k"), "-movie_timescale", str(RATE)]
    command += [*BITEXACT, "-f", "mp4", url(out)]
    _pour(command, blocks)


def measure(path: Path) -> Level:
    """The level of a file's first sound."""
    return Level(*_scan(given(path), [], "anull", peak=True))


def loudness(blocks: Iterable[Samples], channels: int, filters: str = "anull") -> float:
    """Integrated loudness of a stream in LUFS, as `filters` leave it; minus infinity for silence."""
    return _scan(_stream(channels), blocks, filters, peak=False)[0]


def _scan(source: Sequence[str], blocks: Iterable[Samples], filters: str, *, peak: bool) -> tuple[float, float]:
    meter = f"{filters},ebur128=framelog=verbose:peak={'true' if peak else 'none'}"
    said = _pour([*source, "-map", "0:a:0", "-af", meter, "-f", "null", "-"], blocks, talk="info")
    summary = said.rpartition("Summary:")[2]
    found = [re.search(pattern, summary) for pattern in (r"I:\s+(\S+) LUFS", r"Peak:\s+(\S+) dBFS")]
    if not found[0] or (peak and not found[1]):
        raise DubdError("the loudness could not be measured", remedy="check ffmpeg with `dubd doctor`")
    # ebur128 answers -70, its absolute gate, where no block is louder.
    value = float(found[0][1])
    return value if value > -70 else -math.inf, float(found[1][1]) if found[1] else -math.inf


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
    path = Path(options[-1].removeprefix("file:"))
    require_alive(process.returncode, "ffmpeg", file=path)
    if process.returncode or (talk == "error" and said):
        raise unwritten("the sound", said, path)
    return said
