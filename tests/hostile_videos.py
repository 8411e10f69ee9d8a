"""Contents of files that are dropped as videos and are none, or are made to harm: each by a name, made here.

`NOT_VIDEOS` are refused with the words beside them. `ODD_VIDEOS` may be planned or refused, but never otherwise.
"""

from __future__ import annotations

import functools
import random
import struct
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

Make = Callable[[Path], bytes]
"""The content, given the path of a file that it would have somebody open."""

_BARS = ("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=1")
_TONE = ("-f", "lavfi", "-i", "aevalsrc=0.3*sin(2*PI*700*t):s=16000:d=1")
_H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-threads", "1")


@functools.cache
def made(*words: str, suffix: str = ".mp4") -> bytes:
    """What ffmpeg writes for these options."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"out{suffix}"
        subprocess.run(["ffmpeg", "-v", "error", "-y", *words, str(path)], check=True)
        return path.read_bytes()


def clip() -> bytes:
    """A good clip of one second: bars and a tone."""
    return made(*_BARS, *_TONE, *_H264, "-c:a", "aac")


def _avi() -> bytes:
    return made(*_BARS, *_TONE, "-c:v", "rawvideo", "-pix_fmt", "yuv420p", "-c:a", "pcm_s16le", suffix=".avi")


def _patched(data: bytes, after: bytes, skip: int, value: bytes, nth: int = 1) -> bytes:
    at = -1
    for _ in range(nth):
        at = data.index(after, at + 1)
    at += len(after) + skip
    return data[:at] + value + data[at + len(value) :]


def _avi_with(width: int, height: int) -> bytes:
    """An AVI whose picture claims that size: biWidth and biHeight of its BITMAPINFOHEADER."""
    return _patched(_avi(), b"strf", 8, struct.pack("<ii", width, height))


def _avi_sound(channels: int, rate: int) -> bytes:
    """An AVI whose sound claims so many channels and Hz: its WAVEFORMATEX."""
    return _patched(_avi(), b"strf", 6, struct.pack("<HI", channels, rate), nth=2)


def _mutated(seed: int) -> bytes:
    """The clip with a hundred bytes of its headers changed."""
    rng, data = random.Random(seed), bytearray(clip())
    head = data.index(b"moov")
    for _ in range(100):
        data[rng.randrange(head, len(data))] = rng.randrange(256)
    return bytes(data)


def _elsewhere(canary: Path) -> bytes:
    """The clip whose samples are said to lie in another file: in every track a data reference that is an alias."""
    place, name = f"disk{canary}".replace("/", ":").encode(), canary.name.encode()
    record = bytes(10) + b"\4disk".ljust(28, b"\0") + bytes(12) + struct.pack("B63s", len(name), name) + bytes(16)
    record += bytes(4) + bytes(16)
    record += struct.pack(">HH", 2, len(place)) + place + bytes(len(place) % 2) + b"\xff\xff\0\0"
    old = struct.pack(">I", 12) + b"url \0\0\0\x01"
    return _grown(clip(), old, struct.pack(">I", 12 + len(record)) + b"alis\0\0\0\0" + record)


def _grown(data: bytes, old: bytes, new: bytes) -> bytes:
    """`data` as boxes with `old` replaced by `new`, and every box around it as much longer."""
    out, at = b"", 0
    while at + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        if size < 8:
            break
        body = data[at + 8 : at + size]
        if name in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
            body = _grown(body, old, new)
        elif name == b"dref":
            body = body.replace(old, new)
        out += struct.pack(">I4s", len(body) + 8, name) + body
        at += size
    return out + data[at:]


def _many_streams(_: Path) -> bytes:
    maps = [word for _ in range(130) for word in ("-map", "1:a")]
    return made(*_BARS, *_TONE, "-map", "0:v", *maps, *_H264, "-c:a", "pcm_u8", "-t", "0.2", suffix=".mkv")


def _text(text: str) -> Make:
    return lambda canary: text.format(canary=canary, folder=canary.parent).encode()


def _bytes(data: bytes) -> Make:
    return lambda _: data


def _ffmpeg(*words: str, suffix: str) -> Make:
    return lambda _: made(*words, suffix=suffix)


_HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"
_MPD = """<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"
 profiles="urn:mpeg:dash:profile:isoff-on-demand:2011" type="static" mediaPresentationDuration="PT1S">
<Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{canary}</BaseURL>
</Representation></AdaptationSet></Period></MPD>"""
_NESTED = b"\0\0\0\x14ftypisom\0\0\0\0isom" + b"".join(
    struct.pack(">I4s", 80_000 - 8 * depth, b"moov") for depth in range(10_000)
)
_UNREAD = "not a video that can be read"

NOT_VIDEOS: dict[str, tuple[Make, str]] = {
    "playlist": (_text(_HLS.format("{canary}")), "content is hls"),
    "playlist-url": (_text(_HLS.format("file://{canary}")), "content is hls"),
    "playlist-relative": (_text(_HLS.format("../../canary/secret.mp4")), "content is hls"),
    "playlist-http": (_text(_HLS.format("http://127.0.0.1:9/x.ts")), "content is hls"),
    "playlist-concat": (_text(_HLS.format("concat:{canary}|{canary}")), "content is hls"),
    "playlist-subfile": (_text(_HLS.format("subfile,,start,0,end,9,,:{canary}")), "content is hls"),
    "playlist-key": (
        _text(_HLS.format("x.ts").replace("#EXTINF", '#EXT-X-KEY:METHOD=AES-128,URI="{canary}"\n#EXTINF')),
        "content is hls",
    ),
    "playlist-map": (_text(_HLS.format("x.ts").replace("#EXTINF", '#EXT-X-MAP:URI="{canary}"\n#EXTINF')), "is hls"),
    "joining-script": (_text("ffconcat version 1.0\nfile '{canary}'\n"), "content is concat"),
    "joining-script-parent": (_text("ffconcat version 1.0\nfile ../../canary/secret.mp4\n"), "content is concat"),
    "joining-script-option": (_text("ffconcat version 1.0\nfile {canary}\noption safe 0\n"), "content is concat"),
    "dash-manifest": (_text(_MPD), "content is dash"),
    "session-description": (_text("v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n"), "sdp"),
    "pls-playlist": (_text("[playlist]\nFile1={canary}\nNumberOfEntries=1\n"), _UNREAD),
    "plain-playlist": (_text("{canary}\n"), _UNREAD),
    "xspf-playlist": (_text("<playlist><trackList><track><location>{canary}</location></track></trackList>"), _UNREAD),
    "asx-playlist": (_text('<asx version="3"><entry><ref href="{canary}"/></entry></asx>'), _UNREAD),
    "asf-redirection": (_text("[Reference]\nRef1={canary}\n"), _UNREAD),
    "rtsp-redirection": (_text("RTSPtext\nrtsp://127.0.0.1:9/x\n"), _UNREAD),
    "cue-sheet": (_text('FILE "{canary}" WAVE\n  TRACK 01 AUDIO\n'), _UNREAD),
    "smil": (_text('<smil><body><video src="{canary}"/></body></smil>'), _UNREAD),
    "avisynth-script": (_text('AviSource("{canary}")\n'), _UNREAD),
    "filter-graph": (_text("movie={canary}[out0]\n"), _UNREAD),
    "imf-list": (_text('<CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016"/>'), _UNREAD),
    "metadata-text": (_text(";FFMETADATA1\ntitle=x\n"), "content is ffmetadata"),
    "subtitles": (_text("1\n00:00:01,000 --> 00:00:02,000\nhello\n\n2\n00:00:03,000 --> 00:00:04,000\nhi\n"), "is srt"),
    "web-subtitles": (_text("WEBVTT\n\n00:01.000 --> 00:02.000\nhello\n"), "content is webvtt"),
    "ass-subtitles": (_text("[Script Info]\nScriptType: v4.00+\n[Events]\n"), "content is ass"),
    "sami": (_text("<SAMI><BODY><SYNC Start=0>x</BODY></SAMI>\n"), "content is sami"),
    "html": (_text("<!doctype html><video src='{canary}'></video>\n" * 20), _UNREAD),
    "svg": (_text('<svg xmlns="http://www.w3.org/2000/svg"><image href="{canary}"/></svg>'), ""),
    "shell-script": (_text("#!/bin/sh\ncat {canary}\n"), _UNREAD),
    "python-script": (_text("#!/usr/bin/env python3\nopen('{canary}').read()\n"), _UNREAD),
    "terminal-art": (_bytes(b"\x1b[2J\x1b]0;owned\x07\x1b[31mred\r\n" * 40), _UNREAD),
    "pdf": (_bytes(b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n"), _UNREAD),
    "zip": (_bytes(b"PK\x03\x04" + bytes(60)), _UNREAD),
    "gzip": (_bytes(b"\x1f\x8b\x08" + bytes(range(200))), _UNREAD),
    "elf": (lambda _: Path("/proc/self/exe").read_bytes()[:4096], _UNREAD),
    "sqlite": (_bytes(b"SQLite format 3\0" + bytes(4096)), _UNREAD),
    "empty": (_bytes(b""), "the file is empty"),
    "one-byte": (_bytes(b"\0"), _UNREAD),
    "zeros": (_bytes(bytes(1 << 20)), _UNREAD),
    "noise": (lambda _: random.Random(1).randbytes(1 << 18), _UNREAD),
    "png": (_ffmpeg(*_BARS, "-frames:v", "1", suffix=".png"), "content is png_pipe"),
    "jpeg": (_ffmpeg(*_BARS, "-frames:v", "1", suffix=".jpg"), "not taken"),
    "gif": (_ffmpeg(*_BARS, suffix=".gif"), "content is gif"),
    "bmp": (_ffmpeg(*_BARS, "-frames:v", "1", suffix=".bmp"), "content is bmp_pipe"),
    "webp": (_bytes(b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f" + bytes(12)), "content is webp_pipe"),
    "wav": (_ffmpeg(*_TONE, suffix=".wav"), "it has no picture"),
    "aac": (_ffmpeg(*_TONE, suffix=".aac"), "content is aac"),
    "flac": (_ffmpeg(*_TONE, suffix=".flac"), "content is flac"),
    "raw-h264": (_ffmpeg(*_BARS, *_H264, suffix=".h264"), "content is h264"),
    "nut": (_ffmpeg(*_BARS, *_H264, suffix=".nut"), "content is nut"),
    "silent": (_ffmpeg(*_BARS, *_H264, suffix=".mp4"), "it has no sound"),
    "sound-alone": (_ffmpeg(*_TONE, "-c:a", "aac", suffix=".mp4"), "it has no picture"),
    "half": (lambda _: clip()[: len(clip()) // 2], _UNREAD),
    "type-box-alone": (lambda _: clip()[:32], _UNREAD),
    "endless-box": (_bytes(b"\0\0\0\x01moov\x7f" + b"\xff" * 7 + bytes(64)), ""),
    "nested-boxes": (_bytes(_NESTED), _UNREAD),
    "ebml-alone": (_bytes(bytes.fromhex("1a45dfa3934282886d6174726f736b614287810242858102") + bytes(8)), _UNREAD),
    "ebml-endless": (_bytes(bytes.fromhex("1a45dfa3 01ffffffffffffff 4282 88") + b"matroska" * 20), _UNREAD),
    "riff-alone": (_bytes(b"RIFF\xff\xff\xff\xffAVI LIST\xff\xff\xff\xffhdrlavih"), _UNREAD),
    "flash-alone": (_bytes(b"FLV\x01\x05\0\0\0\x09\0\0\0\0"), ""),
    "ogg-alone": (_bytes(b"OggS\0\x02" + bytes(21) + b"\xff" * 40), _UNREAD),
    "asf-alone": (_bytes(bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + b"\xff" * 40), _UNREAD),
    "mxf-alone": (_bytes(bytes.fromhex("060e2b34020501010d01020101020400") + b"\x88" + b"\xff" * 40), ""),
    "transport-stream-noise": (_bytes((b"\x47\x1f\xff\x10" + bytes(184)) * 200), ""),
    "raw-frames-giant": (_bytes(b"YUV4MPEG2 W100000 H100000 F25:1\nFRAME\n" + bytes(999)), ""),
    "raw-frames": (_bytes(b"YUV4MPEG2 W64 H48 F25:1 C420\n" + (b"FRAME\n" + bytes(4608)) * 2), "it has no sound"),
    "bomb-16k": (lambda _: _avi_with(16_384, 16_384), "more than 8192x8192"),
    "bomb-wide": (lambda _: _avi_with(32_000, 16), "more than 8192x8192"),
    "picture-of-nothing": (lambda _: _avi_with(0, 0), "no size"),
    "sound-4-ghz": (lambda _: _avi_sound(1, 0xFFFFFFFF), ""),
    "sound-of-1-hz": (lambda _: _avi_sound(1, 1), "its sound"),
    "sound-500-channels": (lambda _: _avi_sound(500, 16_000), ""),
    "streams-130": (_many_streams, _UNREAD),
    "unknown-codec": (lambda _: clip().replace(b"avc1", b"zzzz").replace(b"avcC", b"zzzC"), "no decoder for its"),
    "years-long": (
        _ffmpeg(*_BARS, *_TONE, *_H264, "-c:a", "aac", "-bsf:v", "setts=ts=TS*40000000", suffix=".mkv"),
        "more than a day",
    ),
}  # fmt: skip

ODD_VIDEOS: dict[str, Make] = {
    "samples-elsewhere": _elsewhere,
    "a-million-frames-a-second": _ffmpeg(
        *_BARS, *_TONE, *_H264, "-bsf:v", "setts=ts=N:time_base=1/1000000", "-c:a", "aac", suffix=".mp4"
    ),
    "frames-all-at-once": _ffmpeg(*_BARS, *_TONE, *_H264, "-bsf:v", "setts=ts=0", "-c:a", "aac", suffix=".mkv"),
    "encrypted": _ffmpeg(
        *(*_BARS, *_TONE, *_H264, "-c:a", "aac", "-encryption_scheme", "cenc-aes-ctr"),
        *("-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb", "-encryption_kid", "a7e61c373e219033c21091fa607bf3b8"),
        suffix=".mp4",
    ),
    "tags-that-drive-terminals": _ffmpeg(
        *_BARS, *_TONE, *_H264, "-c:a", "aac", "-metadata", "title=a\x1b[2J\nb", suffix=".mkv"
    ),
    **{f"mutated-{seed}": lambda _, seed=seed: _mutated(seed) for seed in range(4)},  # type: ignore[misc]
}
