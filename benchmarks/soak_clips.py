"""Small clips for the soak: drawn pictures with a synthetic voice, and short pieces of the shipped sample."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
from pathlib import Path

SAMPLE = Path(__file__).parents[1] / "script" / "sample" / "talking_head.mp4"
_SIZES = ("160x120", "240x180", "320x240")
_SAID = (
    "Good morning.",
    "This is a red house.",
    "The water is very cold today.",
    "We have two small dogs.",
    "My brother works in the city.",
    "She reads a new book.",
    "The train leaves at nine.",
    "I would like a cup of tea.",
)
_ENCODE = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-threads", "1", "-c:a", "aac")


def drawn(folder: Path, number: int, dice: random.Random) -> Path:
    """A test picture of 2 to 6 s: sentences with subtitles beside, or, for the recogniser, a piece of the sample's."""
    words, size, rate = dice.sample(_SAID, dice.choice((1, 2))), dice.choice(_SIZES), dice.choice((24, 25, 30))
    seconds = dice.uniform(2.0, 3.5) + (len(words) - 1) * 2.0
    clip, voice = folder / f"drawn{number}.mp4", folder / f"drawn{number}.wav"
    if number % 2:
        subprocess.run(["espeak-ng", "-w", voice, " ".join(words)], check=True)
    else:
        seconds = max(seconds, 3.5)
        _ffmpeg("-ss", f"{dice.uniform(0.0, 4.0):.2f}", "-i", SAMPLE, "-t", f"{seconds:.2f}", "-vn", voice)
    picture = f"testsrc2=size={size}:rate={rate}:duration={seconds:.2f}"
    _ffmpeg("-f", "lavfi", "-i", picture, "-i", voice, "-af", "apad", "-t", f"{seconds:.2f}", *_ENCODE, clip)
    voice.unlink()
    if number % 2:
        each = (seconds - 0.4) / len(words)
        times = [(0.2 + index * each, 0.2 + index * each + each * 0.9) for index in range(len(words))]
        lines = [
            f"{index}\n00:00:{start:06.3f} --> 00:00:{end:06.3f}\n{text}\n".replace(".", ",", 2)
            for index, ((start, end), text) in enumerate(zip(times, words, strict=True), 1)
        ]
        clip.with_suffix(".srt").write_text("\n".join(lines))
    return clip


def cut(folder: Path, number: int) -> Path:
    """Two and a half seconds of the shipped sample, small: there is a face in it."""
    clip = folder / f"face{number}.mp4"
    _ffmpeg("-ss", str(number * 1.5), "-i", SAMPLE, "-t", "2.5", "-vf", "scale=320:-2", *_ENCODE, clip)
    return clip


def apart(clip: Path, number: int) -> Path:
    """A copy with other bytes and the same picture and sound: a box at the end that players pass over."""
    copy = clip.with_name(f"copy{number}.mp4")
    copy.write_bytes(clip.read_bytes() + struct.pack(">I4sQ", 16, b"free", number))
    if clip.with_suffix(".srt").exists():
        shutil.copyfile(clip.with_suffix(".srt"), copy.with_suffix(".srt"))
    return copy


def put(clip: Path, into: Path) -> None:
    """A copy of the clip, and of its subtitles, under another name; each is whole from the instant that it is there."""
    made = [suffix for suffix in (".srt", ".mp4") if clip.with_suffix(suffix).exists()]
    parts = {into.with_suffix(suffix): into.with_suffix(f"{suffix}.part") for suffix in made}
    try:
        for target, part in parts.items():
            shutil.copyfile(clip.with_suffix(target.suffix), part)
        if ".srt" not in made:
            into.with_suffix(".srt").unlink(missing_ok=True)
        for target, part in parts.items():
            part.replace(target)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def _ffmpeg(*words: object) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, words)], check=True)
