"""What an external program is handed, and whether what it wrote can stand for it: files in, files out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from math import gcd
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from dubd.engines.external_pieces import Piece
from dubd.errors import DubdError
from dubd.media import ffmpeg

RATE: Final = 48000  # Hz of the sounds of a segment
SLACK: Final = 4  # frames by which a program may miscount: VideoReTalking is up to 3 short
_NOISE: Final = 1e-4  # -80 dB: a mel spectrogram of digital silence holds NaN in VideoReTalking and Wav2Lip


class Unusable(Exception):
    """What the program wrote, or did not write, cannot be used; the text says why."""


class Killed(Unusable):
    """The program was killed: another run may go well."""


@dataclass(frozen=True)
class Returned:
    """The program's video: `of[k]` is its frame for the piece's k-th, `shows[k]` the piece's frame that one shows.

    `repaired` is how many frames were too few or too many.
    """

    path: Path
    of: npt.NDArray[np.int64]
    shows: npt.NDArray[np.int64]
    repaired: int


def write_face(video: Path, piece: Piece, path: Path, rate: str, fps: float) -> None:
    """The piece's pictures as H.264 of constant rate, near lossless. Errors: DubdError.

    BT.601 and tagged so: OpenCV takes video for that whatever its tag says, and writes it without one.
    """
    x, y, width, height = piece.part
    chain = [
        f"trim=start_frame={piece.first}:end_frame={piece.stop}",
        "setpts=PTS-STARTPTS",
        f"fps={fps or rate}",
        f"crop={width}:{height}:{x}:{y}",
        "scale=out_color_matrix=bt601:out_range=tv",
        "format=yuv420p",
    ]
    tags = ("-colorspace", "smpte170m", "-color_range", "tv")
    encode = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "6", "-threads", "1", *tags)
    head = ("-threads", "1", *ffmpeg.given(video), "-map", "0:v:0", "-an")
    ffmpeg.run([*head, "-vf", ",".join(chain), *encode, ffmpeg.url(path)], stage="lipsync", file=video)


def write_sound(
    speech: npt.NDArray[np.float32], piece: Piece, path: Path, rate: float, *, hertz: int, pad: float
) -> None:
    """The dub's sound over the piece and `pad` seconds of quiet, mono, 16 bit at `hertz`; never digital silence."""
    from scipy.signal import resample_poly

    begin, end = (round(frame / rate * RATE) for frame in (piece.first, piece.stop))
    sound = np.zeros(end - begin + round(pad * RATE), np.float64)
    there = speech[begin:end]
    sound[: len(there)] = there
    common = gcd(hertz, RATE)
    made = resample_poly(sound, hertz // common, RATE // common)
    ffmpeg.write_wav(path, made + np.random.default_rng(0).uniform(-_NOISE, _NOISE, len(made)), hertz)


def returned(path: Path, piece: Piece, rate: float, pad: float) -> Returned:
    """Look at what the program wrote, and repair its number of frames. Errors: Unusable.

    Another rate than the piece's is resampled by time. Frames that are lacking at the end are the last one again.
    """
    if not path.is_file() or not path.stat().st_size:
        raise Unusable("ended well, but wrote no video")
    try:
        stream = next(s for s in ffmpeg.probe(path)["streams"] if s["codec_type"] == "video")
        own = float(Fraction(stream["avg_frame_rate"]))
        count = sum(1 for _ in ffmpeg.packets(path, int(stream["index"])))
    except (DubdError, StopIteration, ZeroDivisionError, ValueError, KeyError) as error:
        raise Unusable("wrote a file that is no video") from error
    size, asked = (stream["width"], stream["height"]), piece.part[2:]
    if size != asked:
        raise Unusable(f"wrote pictures of {size[0]}x{size[1]}, where {asked[0]}x{asked[1]} were asked for")
    wanted = max(1, round(piece.frames * own / rate))
    if own <= 0 or not wanted - SLACK <= count <= wanted + SLACK + math.ceil(pad * own):
        raise Unusable(f"wrote {count} frames, where {wanted} were asked for")
    steps = np.arange(piece.frames)
    of = np.minimum(np.rint(steps * own / rate).astype(np.int64), count - 1)
    shows = np.minimum(np.rint(of * rate / own).astype(np.int64), piece.frames - 1)
    return Returned(path, of, shows, abs(count - wanted))
