"""What a dropped file holds: which picture, which sound, at what rate, and until when."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np

from dubd.errors import DubdError, Exit
from dubd.media import untrusted
from dubd.media.ffmpeg import first_frame, packets, probe
from dubd.media.timeline import Clock, milliseconds, nearest_broadcast_rate

_HDR: Final = ("smpte2084", "arib-std-b67")  # PQ and HLG
_HDTV: Final = {"space": "bt709", "primaries": "bt709", "transfer": "bt709", "range": "tv"}
_RGB: Final = ("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "pal8")
_INTERLACED: Final = ("tt", "bb", "tb", "bt")
_STILL: Final = Fraction(25)  # the rate for a picture that hardly moves: lips need one
_SLOWEST, _FASTEST = Fraction(5), Fraction(120)
_INDEXED: Final = ("mov", "matroska")  # containers that seek to a keyframe before the wanted time
_PREROLL: Final = 1.0  # s decoded ahead of a segment, so that open GOPs and sound decoders have settled
_GRID: Final = {"opus": 120}  # RFC 6716: frames of 2.5 ms and multiples. AAC, MP3, AC-3, Vorbis, PCM: of 64 samples
_CLIP: Final = "choose a stretch inside of it (--clip, or clip: in its rule)"
_SHORTEST: Final = 0.2  # s: less holds no syllable
_HEADER_MAY_LIE: Final = 1.0  # s: a header that is further off its packets is wrong, not early


@dataclass(frozen=True)
class Scan:
    """The packets of the picture: `times` in seconds on the source's clock, sorted; `keys` those of keyframes."""

    times: np.ndarray
    keys: np.ndarray
    last: float  # how long the last frame is shown, s
    timed: bool  # every packet says when it is shown

    @property
    def average(self) -> Fraction:
        """Frames a second from the first to the last; `_STILL` for fewer than two."""
        span = float(self.times[-1] - self.times[0])
        return Fraction((len(self.times) - 1) / span).limit_denominator(100_000) if span > 0 else _STILL

    @property
    def usual(self) -> Fraction:
        """Frames a second by the steps near the usual one: their mean, since times may be whole milliseconds."""
        steps = np.diff(self.times)
        if not self._moves:
            return self.average  # most frames claim the same time
        near = steps[np.abs(steps / np.median(steps) - 1) < 0.25]
        return Fraction(1 / float(near.mean())).limit_denominator(100_000)

    @property
    def variable(self) -> bool:
        """True where more than 1 % of the frames, and more than one, stay a quarter longer or shorter than usual."""
        steps = np.diff(self.times)
        odd = int(np.count_nonzero(np.abs(steps / np.median(steps) - 1) > 0.25)) if self._moves else 0
        return odd > max(1, 0.01 * len(steps))

    @property
    def _moves(self) -> bool:
        return len(self.times) > 1 and bool(np.median(np.diff(self.times)) > 0)

    @property
    def shots(self) -> list[float]:
        """Where the encoder put a keyframe before it was due, s: it saw a new shot there."""
        steps = np.diff(self.keys)
        if not len(steps) or steps.max() - steps.min() < 0.1 * steps.max():
            return []
        return [float(at) for at in self.keys[1:][steps < 0.9 * steps.max()]]


def pick(found: Mapping[str, Any], path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The picture and the sound to dub, as ffprobe describes them: those marked as default, else the first.

    DubdError (Exit.INPUT) where there is none. Cover art is no picture.
    """
    streams = found.get("streams", [])
    pictures = [s for s in streams if s.get("codec_type") == "video" and not s["disposition"].get("attached_pic")]
    sounds = [s for s in streams if s.get("codec_type") == "audio"]
    if not pictures:
        raise DubdError(
            "it has no picture", file=path, remedy="drop a video: dubd needs picture and speech", exit=Exit.INPUT
        )
    if not sounds:
        raise DubdError(
            "nothing to dub: it has no sound",
            file=path,
            remedy="drop a video with speech; this one is left as it is",
            exit=Exit.INPUT,
        )
    for kind, candidates in (("picture", pictures), ("sound", sounds)):
        if not any(s.get("codec_name", "unknown") not in ("unknown", "none") for s in candidates):
            tag = candidates[0].get("codec_tag_string", "")
            raise DubdError(
                f"no decoder for its {kind} ({tag})",
                file=path,
                remedy="convert it to H.264 and AAC first",
                exit=Exit.INPUT,
            )
    picture, sound = _default(pictures), _default(sounds)
    untrusted.require_sane(picture, sound, path)
    return picture, sound


def _default(streams: list[dict[str, Any]]) -> dict[str, Any]:
    known = [s for s in streams if s.get("codec_name", "unknown") not in ("unknown", "none")]
    marked: list[dict[str, Any]] = [s for s in known if s["disposition"].get("default")]
    return (marked or known)[0]


def scan(path: Path, stream: Mapping[str, Any], origin: float) -> Scan:
    """Read the times of all packets of the picture, 16 bytes a frame; DubdError (Exit.INPUT) where there is none.

    Where a container leaves out times of showing (AVI, MPEG-PS), those of decoding, which are in step with
    them, stand for all: shifted by what reordering takes, as seen on the first packet that has both.
    """
    base = float(Fraction(stream["time_base"]))
    shown, decoded, keys = array("q"), array("q"), array("q")
    timed, reordering, last, latest = True, None, 0, None
    for pts, dts, duration, key in packets(path, int(stream["index"])):
        timed = timed and pts is not None
        at = pts if pts is not None else dts
        if at is None:
            continue
        if reordering is None and pts is not None and dts is not None:
            reordering = pts - dts
        untrusted.require_frames(len(shown), path)
        shown.append(at)
        decoded.append(dts if dts is not None else at)
        if key:
            keys.append(at)
        if latest is None or at > latest:
            latest, last = at, duration or 0
    if not shown:
        raise DubdError("its picture stream is empty", file=path, remedy="drop a whole copy again", exit=Exit.INPUT)
    ticks = np.array(shown) if timed else np.array(decoded) + (reordering or 0)
    return Scan(np.sort(ticks) * base - origin, np.sort(np.array(keys)) * base - origin, last * base, timed)


def rate(stream: Mapping[str, Any], seen: Scan) -> Fraction:
    """The constant rate to build at: the nominal one where it is sane, else what the frames themselves say.

    A variable rate becomes its nominal rate, so that no frame of the fastest stretch is lost.
    """
    nominal = _fraction(stream.get("r_frame_rate", "0/0"))
    average = seen.average
    if len(seen.times) < 2 or average < _SLOWEST:
        return _STILL
    if seen.variable:
        if _SLOWEST <= nominal <= 60 and average <= nominal * Fraction(101, 100) and nominal <= 2 * average:
            return nominal
        return nearest_broadcast_rate(seen.usual)
    # The usual rate, not the average: frames that are missing in one place make no other rate of all the rest.
    if abs(nominal / seen.usual - 1) < Fraction(1, 100) and nominal <= _FASTEST:
        return nominal
    near = nearest_broadcast_rate(seen.usual)
    if abs(near / seen.usual - 1) < Fraction(1, 100):
        return near
    return seen.usual.limit_denominator(1001) if seen.usual <= _FASTEST else Fraction(60)


def picture_end(stream: Mapping[str, Any], seen: Scan, frame_rate: Fraction) -> float:
    """When the picture is over, s on the source's clock.

    The last frame is shown for its own time, one frame at least. A header that ends a little earlier
    is believed, since players stop there; one that is a second off is not.
    """
    end = float(seen.times[-1]) + max(seen.last, float(1 / frame_rate))
    declared = stream.get("duration")
    if declared is None:
        return end
    says = float(seen.times[0]) + float(declared)
    return says if 0 < end - says < _HEADER_MAY_LIE else end


def span(
    clip: Mapping[str, Any] | None, end: float, clock: Clock, path: Path, *, exit: Exit = Exit.INPUT
) -> tuple[float, int]:
    """Where the programme starts on the source's clock (s), and how many frames it has.

    `clip` is {start, duration} in s, or None for all up to `end`. DubdError (`exit`) where it is none of the
    picture, or too short.
    """
    start = milliseconds(clip.get("start") or 0.0) if clip else 0.0
    if start < 0 or (start and start > end - _SHORTEST):
        raise DubdError(
            f"the clip starts at {start:g} s, but the picture ends at {end:.3f} s",
            file=path,
            remedy=_CLIP,
            exit=exit,
        )
    stop = end
    if clip and clip.get("duration") is not None:
        stop = min(end, start + float(clip["duration"]))
    untrusted.require_length(stop - start, path, exit)
    frames = clock.frame_at(stop - start)
    if clock.seconds(frames) < Fraction(_SHORTEST).limit_denominator(10):
        raise DubdError(
            f"{stop - start:.3f} s are too short to dub",
            file=path,
            remedy=f"it takes {_SHORTEST:g} s at least" + (f": {_CLIP}" if clip else ""),
            exit=exit,
        )
    return start, frames


def require_clip(path: Path, clip: Mapping[str, Any], exit: Exit) -> None:
    """Refuse a clip that is none of the video's: DubdError (`exit`; Exit.INPUT where the file cannot be read)."""
    found = probe(path)
    picture, _ = pick(found, path)
    seen = scan(path, picture, origin(found))
    frame_rate = rate(picture, seen)
    span(clip, picture_end(picture, seen, frame_rate), Clock(frame_rate), path, exit=exit)


def origin(found: Mapping[str, Any]) -> float:
    """The container's time (s) at the source's 0, as ffprobe prints it; 0 where it knows none."""
    try:
        return float(str(found["format"].get("start_time")))
    except ValueError:
        return 0.0


def describe(
    stream: Mapping[str, Any], found: Mapping[str, Any], seen: Scan, frame_rate: Fraction, origin: float
) -> dict[str, Any]:
    """The picture as plan.json has it: size, aspect and colour as built (upright, even, tone-mapped)."""
    turned = rotation(stream)
    width, height = int(stream["width"]), int(stream["height"])
    aspect = _aspect(stream.get("sample_aspect_ratio"))
    if turned in (90, 270):
        width, height, aspect = height, width, 1 / aspect
    even = width % 2 == 0 and height % 2 == 0
    pixels = str(stream.get("pix_fmt", "unknown"))
    color, rgb = _color(stream), pixels.startswith(_RGB)
    full = not rgb and (stream.get("color_range") == "pc" or pixels.startswith("yuvj"))
    hdr = stream.get("color_transfer") in _HDR
    interlaced = stream.get("field_order") in _INTERLACED
    return {
        "index": int(stream["index"]),
        "codec": stream["codec_name"],
        "pixel_format": pixels,
        "width": width + width % 2,
        "height": height + height % 2,
        "padding": [width % 2, height % 2],
        "rate": f"{frame_rate.numerator}/{frame_rate.denominator}",
        "variable_rate": seen.variable,
        "rotation": turned,
        "sample_aspect": f"{aspect.numerator}:{aspect.denominator}",
        "hdr": hdr,
        "rgb": rgb,
        "full_range": full,
        "interlaced": interlaced,
        "color": _HDTV if hdr or rgb else {**color, "range": "tv"},
        "origin": round(origin, 6),
        "first_pts": round(float(seen.times[0]), 3) + 0.0,
        "preroll": _preroll(found, seen),
        "copy": stream["codec_name"] == "h264"
        and pixels == "yuv420p"
        and even
        and seen.timed
        and not (full or interlaced),
    }


def describe_sound(path: Path, stream: Mapping[str, Any], origin: float) -> dict[str, Any]:
    """The sound as plan.json has it; `first_pts` is that of the first sample that is heard.

    `grid`, where the container's times are too coarse to place a sample (Matroska: whole milliseconds), is
    the number of samples that every codec frame is a multiple of, by which its place can be told; else 0.
    """
    base = Fraction(stream["time_base"])
    first = first_frame(path, int(stream["index"]))
    start = float(stream.get("start_time") or 0) if first is None else float(first * base)
    exact = base <= Fraction(1, 8_000)
    return {
        "index": int(stream["index"]),
        "codec": stream["codec_name"],
        "rate": int(stream["sample_rate"]),
        "channels": int(stream["channels"]),
        "first_pts": round(start - origin, 3) + 0.0,
        "grid": 0 if exact else _GRID.get(stream["codec_name"], 64),
    }


def rotation(stream: Mapping[str, Any]) -> int:
    """Degrees clockwise by which the stored picture must be turned to stand upright: 0, 90, 180 or 270."""
    for side in stream.get("side_data_list", ()):
        if "rotation" in side:
            return round(-float(side["rotation"]) / 90) * 90 % 360
    return 0


def _preroll(found: Mapping[str, Any], seen: Scan) -> float:
    """Seconds to seek ahead of a wanted time so that a keyframe is sure to lie between."""
    names = str(found["format"]["format_name"]).split(",")
    if any(name in _INDEXED for name in names) or len(seen.keys) < 2:
        return _PREROLL
    return round(_PREROLL + float(np.diff(seen.keys).max()), 3)


def _color(stream: Mapping[str, Any]) -> dict[str, str]:
    """The stream's own tags; what it does not say stays unsaid, as a wrong guess would shift every colour."""
    tags = {part: stream.get(f"color_{part}") for part in ("space", "primaries", "transfer")}
    return {part: "unknown" if tag in (None, "reserved", "unspecified") else str(tag) for part, tag in tags.items()}


def _fraction(text: str) -> Fraction:
    above, _, below = text.partition("/")
    return Fraction(int(above), int(below)) if below and int(below) else Fraction(0)


def _aspect(text: object) -> Fraction:
    above, _, below = str(text or "").partition(":")
    if above.isdigit() and below.isdigit() and int(above) and int(below):
        return Fraction(int(above), int(below))
    return Fraction(1)
