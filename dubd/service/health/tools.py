"""ffmpeg and ffprobe: are they here, do they run, and were they built with all that dubd asks of them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from typing import Final

from dubd.service.health.finding import Finding

# By ffmpeg's own words for its lists (`ffmpeg -encoders`). What is not here is in every build.
NEEDED: Final[dict[str, tuple[str, ...]]] = {
    "encoders": ("libx264", "aac", "pcm_s16le", "pcm_f32le", "rawvideo", "mov_text"),
    "decoders": ("h264", "aac", "pcm_s16le", "pcm_f32le", "rawvideo", "subrip"),
    "filters": (
        *("aformat", "alimiter", "anull", "apad", "aresample", "asetpts", "atrim", "bwdif", "crop"),
        *("ebur128", "extractplanes", "fillborders", "format", "fps", "pad", "scale", "setpts", "setsar", "settb"),
        *("tonemap", "tpad", "trim", "volume", "zscale", "atempo"),
    ),
    "muxers": ("mp4", "matroska", "wav", "f32le", "rawvideo", "null"),
    "demuxers": ("mov", "matroska", "wav", "f32le", "rawvideo", "concat", "srt"),
    "bsfs": ("setts",),
}
_SOME: Final = {"zscale": "HDR sources", "tonemap": "HDR sources", "bwdif": "interlaced sources"}
_WORDS: Final = {"bsfs": "bitstream filter"}


def findings() -> Iterator[Finding]:
    """One for each program, and one for what ffmpeg was built without."""
    for name in ("ffmpeg", "ffprobe"):
        found = _tool(name)
        yield found
        if name == "ffmpeg" and found.level == "good":
            yield from _features()


def _tool(name: str) -> Finding:
    path = shutil.which(name)
    if path is None:
        return Finding(name, "bad", "is not installed", "apt install ffmpeg")
    try:
        said = _ask(path, "-version")
        return Finding(name, "good", f"{said.split()[2]} at {path}")
    except (OSError, subprocess.SubprocessError, IndexError) as error:
        return Finding(name, "bad", f"does not run: {error}", "apt install --reinstall ffmpeg")


def _features() -> Iterator[Finding]:
    path = str(shutil.which("ffmpeg"))
    try:
        lacks = {kind: [name for name in names if name not in listed(path, kind)] for kind, names in NEEDED.items()}
    except (OSError, subprocess.SubprocessError) as error:
        yield Finding("ffmpeg features", "bad", f"cannot be listed: {error}", "apt install --reinstall ffmpeg")
        return
    whole = path.startswith("/usr/bin/")
    remedy = "apt install --reinstall ffmpeg" if whole else f"apt install ffmpeg, and take {path} out of PATH"
    for kind, names in lacks.items():
        word = _WORDS.get(kind, kind.removesuffix("s"))
        for name in names:
            only = f", which {_SOME[name]} need" if name in _SOME else ""
            yield Finding(
                "ffmpeg features",
                "note" if only else "bad",
                f"{path} was built without the {word} {name}{only}",
                remedy,
            )
    if not any(lacks.values()):
        yield Finding("ffmpeg features", "good", "every codec, container and filter that is used")


def listed(path: str, kind: str) -> set[str]:
    """The names that an ffmpeg lists of `encoders`, `decoders`, `filters`, `muxers`, `demuxers` or `bsfs`.

    Errors: OSError, SubprocessError.
    """
    names = set[str]()
    for line in _ask(path, "-hide_banner", f"-{kind}").splitlines():
        words = line.split()
        if kind == "bsfs" and len(words) == 1:
            names.add(words[0])
        elif len(words) > 1 and words[1] != "=":  # a key of the flags before the list
            names.update(words[1].split(","))
    return names


def _ask(path: str, *words: str) -> str:
    said = subprocess.run([path, *words], capture_output=True, timeout=20, check=True).stdout
    return said.decode("utf-8", "replace")
