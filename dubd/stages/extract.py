"""extract: one segment of the source as everything after it wants it: constant rate, upright, on the programme clock.

Only the segment is decoded, and a second or so before it. Outputs: `audio.wav`, and `video.mp4` where asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import gcd
from pathlib import Path
from typing import Any, Final

from dubd.media import ffmpeg
from dubd.media.timeline import SAMPLE_RATE, Clock
from dubd.stages.job import Facts, Job, one_by_one

# Encoded once and decoded five times, so cheap to decode: without CABAC, deblocking, weights and the large transform a
# decode takes half the time (0.55 s of a core for 10 s of 1080x720 at 30) and the file is 6 % larger, at the same SSIM
# (>= .9959 on three talking heads, 5.4 Mb/s). ultrafast needs a third more bits for less; veryfast is slower.
_X264: Final = (
    *("-preset", "superfast", "-tune", "fastdecode", "-crf", "12", "-bf", "0"),
    *("-x264-params", "mbtree=1:rc-lookahead=10:8x8dct=0"),
)
_AUDIO_PREROLL: Final = 1.0  # s: a decoder and a resampler that start cold have settled by then
_ACCURATE: Final = "flags=bicubic+accurate_rnd+full_chroma_int+bitexact"
# White at 100 cd/m2 as in SDR, highlights up to 1000 cd/m2 rolled off above 60 % of it. The peak is given, not
# taken from the stream, so that a segment does not depend on where its decoding began.
_TONE_MAP: Final = (
    "zscale=transfer=linear:npl=100,format=gbrpf32le,zscale=primaries=bt709,"
    "tonemap=mobius:param=0.6:peak=10:desat=0,zscale=transfer=bt709:matrix=bt709:range=tv"
)


@one_by_one
def run(job: Job) -> Facts:
    """Input `source`; params `start` (s), `picture`, `sound` and `segment` as in plan.json.

    `audio` is 48 kHz 16 bit PCM, mono or stereo, exactly `segment.samples` long; `video` is H.264 yuv420p,
    exactly `segment.frames` long. Joined, segments are what one extract of the whole would be.
    """
    path, params = job.inputs["source"], job.params
    _extract_audio(path, job.outputs["audio"], params, job)
    if "video" in job.outputs:
        _extract_video(path, job.outputs["video"], params, job)
    job.progress(1.0)
    return {"frames": params["segment"]["frames"], "samples": params["segment"]["samples"]}


def _extract_video(path: Path, out: Path, params: Mapping[str, Any], job: Job) -> None:
    picture, segment = params["picture"], params["segment"]
    clock = Clock.of(picture["rate"])
    begin = float(clock.seconds(segment["first_frame"])) + params["start"]
    seconds = float(clock.seconds(segment["frames"]))
    args = [
        *ffmpeg.seek_before(begin - picture["preroll"]),
        *("-threads", "2", *ffmpeg.given(path), "-map", f"0:{picture['index']}", "-vf", picture_filters(params)),
        *("-frames:v", str(segment["frames"]), "-fps_mode", "passthrough"),
        *("-c:v", "libx264", *_X264, "-pix_fmt", "yuv420p"),
        *("-g", str(max(1, round(clock.rate))), "-threads", "2", *ffmpeg.color_args(picture["color"])),
        *("-enc_time_base", f"{clock.rate.denominator}/{clock.rate.numerator}"),
        *(*ffmpeg.BITEXACT, "-map_chapters", "-1", "-f", "mp4", ffmpeg.url(out)),
    ]
    ffmpeg.run(args, stage=job.stage, file=path, progress=job.progress, seconds=seconds)


def picture_filters(params: Mapping[str, Any]) -> str:
    """The filter chain from a decoded source to the segment's frames; ffmpeg itself turns the picture upright.

    Each source frame gets the number of the programme frame nearest to its time, a number shows the last
    source frame that has it or one before. That depends on the source's own times alone, so a segment's
    frames are the same wherever its decoding began.
    """
    picture, segment = params["picture"], params["segment"]
    first, count, rate = segment["first_frame"], segment["frames"], picture["rate"]
    chain = []
    if picture["interlaced"]:
        chain.append("bwdif=mode=send_frame:deint=interlaced")
    chain += [
        "settb=1/1000000",
        # .51: a source half a frame off the clock must not flicker between two numbers. A quarter of a frame
        # into its number no rounding of `fps` moves a frame, and the last one outlives the end of the stream.
        f"setpts=(floor((T-{_zero(params)})*{rate}+0.51)-{first}+0.25)/({rate})/TB",
        f"fps={rate}:start_time=0:eof_action=pass",
        "tpad=stop=-1:stop_mode=clone",
        f"trim=end_frame={count}",
        *_pixels(picture),
    ]
    return ",".join(chain)


def _pixels(picture: Mapping[str, Any]) -> list[str]:
    """Colour and size as the plan has them; nothing at all for what is right already."""
    right, bottom = picture["padding"]
    planes = "yuv444p" if right or bottom else "yuv420p"  # an odd edge is repeated before chroma is halved
    chain = []
    if picture["hdr"]:
        chain.append(f"{_TONE_MAP},format={planes}")
    elif picture["rgb"]:
        chain.append(f"scale=out_color_matrix=bt709:out_range=tv:{_ACCURATE},format={planes}")
    elif picture["full_range"] or picture["pixel_format"] != planes:
        chain.append(f"scale=out_range=tv:{_ACCURATE},format={planes}")
    if right or bottom:
        chain += [
            f"pad={picture['width']}:{picture['height']}",
            f"fillborders=right={right}:bottom={bottom}:mode=smear",
            f"scale={_ACCURATE},format=yuv420p",
        ]
    return chain


def _zero(params: Mapping[str, Any]) -> str:
    """Where the programme starts on the container's clock, in seconds."""
    return f"{params['picture']['origin'] + params['start']:.6f}"


def _extract_audio(path: Path, out: Path, params: Mapping[str, Any], job: Job) -> None:
    sound, segment = params["sound"], params["segment"]
    begin = Fraction(segment["first_sample"], SAMPLE_RATE) + Fraction(str(params["start"]))
    channels = min(2, sound["channels"])
    args = [
        *ffmpeg.seek_before(float(begin) - _AUDIO_PREROLL),
        *(*ffmpeg.given(path), "-map", f"0:{sound['index']}", "-vn", "-af", sound_filters(params)),
        *("-ac", str(channels), "-ar", str(SAMPLE_RATE), "-c:a", "pcm_s16le"),
        *(*ffmpeg.BITEXACT, "-map_chapters", "-1", "-f", "wav", ffmpeg.url(out)),
    ]
    ffmpeg.run(args, stage=job.stage, file=path)


def sound_filters(params: Mapping[str, Any]) -> str:
    """The filter chain from decoded sound to the segment's samples.

    Gaps are filled and late starts padded at the source's own rate, from a sample on which the phase of
    the resampler is zero: so the resampled sound does not depend on where its decoding began.
    """
    sound, segment = params["sound"], params["segment"]
    rate, first = sound["rate"], segment["first_sample"]
    block = SAMPLE_RATE // gcd(rate, SAMPLE_RATE)  # this many samples at 48 kHz are a whole number at `rate`
    lead = max(0, first - round(_AUDIO_PREROLL * SAMPLE_RATE / 2)) // block * block
    times = "PTS"
    if sound["grid"]:
        # Times in whole milliseconds would shift each segment by another half of one, and click where they join.
        anchor = round((params["picture"]["origin"] + sound["first_pts"]) * rate)
        times = f"PTS-STARTPTS+{anchor}+{sound['grid']}*round((STARTPTS-{anchor})/{sound['grid']})"
    chain = [
        f"asetpts=round({times}-{_zero(params)}/TB)",
        f"aresample={rate}:async=1:first_pts={lead * rate // SAMPLE_RATE}",
        f"aresample={SAMPLE_RATE}",
        "apad",
        f"atrim=start_sample={first - lead}:end_sample={first - lead + segment['samples']}",
        "asetpts=PTS-STARTPTS",
    ]
    if sound["channels"] > 2:
        chain.append("aformat=channel_layouts=stereo")
    return ",".join(chain)
