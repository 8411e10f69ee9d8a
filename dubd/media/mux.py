"""Put picture, sound and subtitles in one mp4 that browsers play, without encoding any of them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from dubd.media.ffmpeg import BITEXACT, given, probe, run, url
from dubd.media.source import pick


@dataclass(frozen=True)
class Track:
    """One sound or subtitle track: an m4a or an srt file, its ISO 639-2 language and a name for menus."""

    path: Path
    language: str
    title: str


@dataclass(frozen=True)
class Programme:
    """What goes into the file: either `renders` joined in order, or the picture of `source` as it is.

    The first sound is the default.
    """

    rate: Fraction
    sounds: Sequence[Track]
    subtitles: Sequence[Track] = ()
    renders: Sequence[Path] = ()
    source: Path | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


def timescale(rate: Fraction) -> tuple[int, int]:
    """(ticks a second, ticks a frame) in which every frame of `rate` is a whole number of ticks."""
    times = -(-10_000 // rate.numerator)
    return rate.numerator * times, rate.denominator * times


def mux(programme: Programme, out: Path, scratch: Path) -> None:
    """Write `out`; `scratch` is a folder for the list of files to join."""
    command: list[str] = []
    picture = "0:v:0"
    if programme.source is not None:
        # ffmpeg counts from the container's own start, which is where the programme begins too.
        command += ["-fflags", "+genpts", *given(programme.source)]
        video, _ = pick(probe(programme.source), programme.source)
        picture = f"0:{video['index']}"
    else:
        names = scratch / "renders.txt"
        lines = [f"file '{str(path.resolve()).replace(chr(39), _QUOTE)}'" for path in programme.renders]
        names.write_text("\n".join(["ffconcat version 1.0", *lines, ""]), "utf-8")
        command += ["-f", "concat", "-safe", "0", *given(names, "concat")]
    for track in (*programme.sounds, *programme.subtitles):
        command += given(track.path, "srt")

    command += ["-map", picture, "-c:v", "copy"]
    if programme.source is None:
        # The joiner counts in microseconds: put every frame back on its own tick.
        ticks, frame = timescale(programme.rate)
        command += ["-video_track_timescale", str(ticks)]
        command += ["-bsf:v", f"setts=pts=round(PTS/{frame})*{frame}:dts=round(DTS/{frame})*{frame}"]
    for kind, tracks, first in (("a", programme.sounds, 1), ("s", programme.subtitles, 1 + len(programme.sounds))):
        for index, track in enumerate(tracks):
            command += ["-map", f"{first + index}:{kind}:0", f"-disposition:{kind}:{index}"]
            command += ["default" if kind == "a" and index == 0 else "0"]
            for key, value in (("language", track.language), ("title", track.title), ("handler_name", track.title)):
                command += [f"-metadata:s:{kind}:{index}", f"{key}={value}"]
    command += ["-c:a", "copy", "-c:s", "mov_text", *BITEXACT, "-map_chapters", "-1"]
    for key, value in programme.metadata.items():
        command += ["-metadata", f"{key}={value}"]
    command += ["-movie_timescale", "48000", "-movflags", "+faststart", "-f", "mp4", url(out)]
    run(command, stage="assemble", file=programme.source or programme.renders[0])


_QUOTE = r"'\''"  # how an ffconcat file spells a quote inside quotes
