"""Things that are put into an inbox and are no videos, by their kind or their name: each by a name, made here."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

Put = Callable[[Path, Path], Path]
"""Makes the thing in a folder, given a file elsewhere that it would have somebody open; the path it has."""


def _named(name: str | bytes) -> Put:
    def put(folder: Path, _: Path) -> Path:
        path = folder / os.fsdecode(name)
        path.write_bytes(b"hello\n")
        return path

    return put


def _folder(name: str | bytes) -> Put:
    def put(folder: Path, _: Path) -> Path:
        path = folder / os.fsdecode(name)
        path.mkdir()
        (path / "inside.mp4").write_bytes(b"hello\n")
        return path

    return put


def _link(name: str, to: Callable[[Path], str]) -> Put:
    def put(folder: Path, canary: Path) -> Path:
        (folder / name).symlink_to(to(canary))
        return folder / name

    return put


def _pipe(folder: Path, _: Path) -> Path:
    os.mkfifo(folder / "pipe.mp4")
    return folder / "pipe.mp4"


def _socket(folder: Path, _: Path) -> Path:
    at = os.getcwd()
    os.chdir(folder)  # the name of a socket may be 108 bytes long
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("socket.mp4")
    finally:
        os.chdir(at)
    return folder / "socket.mp4"


_CONTROL, _BYTES, _LINK = "its name has control characters", "its name is not UTF-8", "is a symbolic link"

STRANGE: dict[str, tuple[Put, str]] = {
    "name-newline": (_named("good.mp4\ndubd: all is well.mp4"), _CONTROL),
    "name-return": (_named("gone\r.mp4"), _CONTROL),
    "name-tab": (_named("tab\t.mp4"), _CONTROL),
    "name-escape": (_named("\x1b]0;owned\x07\x1b[2J.mp4"), _CONTROL),
    "name-bell": (_named("bell\x07.mp4"), _CONTROL),
    "name-delete": (_named("delete\x7f.mp4"), _CONTROL),
    "name-c1": (_named("csi\x9b2J.mp4"), _CONTROL),
    "name-latin-1": (_named(b"caf\xe9.mp4"), _BYTES),
    "name-broken-utf-8": (_named(b"\xc3\x28\xff\xfe.mp4"), _BYTES),
    "name-surrogate": (_named(b"\xed\xa0\x80.mp4"), _BYTES),
    "folder-newline": (_folder("folder\n"), _CONTROL),
    "folder-bytes": (_folder(b"folder\xff"), _BYTES),
    "folder-as-video": (_folder("folder.mp4"), "is a folder, not a video"),
    "link-to-file": (_link("to-file.mp4", str), _LINK),
    "link-up": (_link("up.mp4", lambda _: "../../canary/secret.mp4"), _LINK),
    "link-to-folder": (_link("to-folder", lambda canary: str(canary.parent)), _LINK),
    "link-to-folder-as-video": (_link("to-folder.mp4", lambda canary: str(canary.parent)), _LINK),
    "link-to-nothing": (_link("to-nothing.mp4", lambda _: "/nowhere"), _LINK),
    "link-to-itself": (_link("to-itself.mp4", lambda _: "to-itself.mp4"), _LINK),
    "link-to-device": (_link("to-device.mp4", lambda _: "/dev/zero"), _LINK),
    "link-to-terminal": (_link("to-terminal.mp4", lambda _: "/dev/tty"), _LINK),
    "link-to-process": (_link("to-process.mp4", lambda _: "/proc/self/environ"), _LINK),
    "pipe": (_pipe, "is a pipe"),
    "socket": (_socket, "is a socket"),
    "no-video": (_named("notes.txt"), "is not taken for a video"),
    "program": (_named("run-me.exe"), "is not taken for a video"),
    "no-suffix": (_named("mp4"), "is not taken for a video"),
}
"""What the scan refuses, and words of the line that does."""

NAMES: dict[str, str] = {
    "dash": "-i.mp4",
    "dashes": "--help.mp4",
    "option": "-protocol_whitelist all.mp4",
    "output": "-y out.mp4",
    "pattern": "%d-%03d.mp4",
    "concat": "concat:secret.mp4|secret.mp4",
    "scheme": "http:example.mp4",
    "subfile": "subfile,,start,0,end,9,,:x.mp4",
    "quotes": 'it\'s "quoted" `x`.mp4',
    "shell": "$(touch owned); touch owned & #.mp4",
    "globs": "[a]*?{b,c}.mp4",
    "dots": "a..b...mp4",
    "backslashes": "x\\..\\..\\y.mp4",
    "percent": "%2e%2e%2fx.mp4",
    "spaces": "   .mp4",
    "upside-down": "\u202e4pm.mp4",
    "joiners": "ನಮಸ್ಕಾರ\u200c.mp4",
    "no-letters": "…….mp4",
    "markup": "[red]x[/red]<script>alert(1)</script>".replace("/", "∕") + ".mp4",
    "braces": "{0.__class__} {{x}}.mp4",
    "template": "{% x %} ${HOME}.mp4",
    "as-long-as-can-be": "n" * 251 + ".mp4",
    "as-long-in-letters": "ಕ" * 83 + ".mp4",
    "suffixes": ".".join(["x"] * 100) + ".mp4",
    "case": "X.MP4",
}
"""Names that are odd and may stay: whatever lies there is judged by its content."""
