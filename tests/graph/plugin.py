"""An installed third-party engine package, made on the fly: what a rule's engines are looked up in."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dubd.engines import registry

_MODULE = """
from dataclasses import dataclass
from typing import Literal

from dubd.engines.contract import Engine, Vram


class _Engine(Engine):
    summary = "made for a test"
    licence = "Apache-2.0"

    def load(self, device, params): ...
    def run(self, batch): return list(batch)


class Hear(_Engine):
    name, stage = "hear", "transcribe"


class Turn(_Engine):
    name, stage = "turn", "translate"

    @classmethod
    def refuses(cls, source, target):
        return None if "en" in (source, target) else "only to and from en"


class Say(_Engine):
    name, stage = "say", "speak"

    @dataclass(frozen=True)
    class Params:
        voice: str = "plain"
        pitch: float = 1
        breaths: tuple[int, ...] = (2, 3)
        style: Literal["calm", "lively"] = "calm"
        precision: str = "fp32"

        def __post_init__(self):
            if self.pitch <= 0:
                raise ValueError("pitch must be above 0")


class Heavy(_Engine):
    name, stage = "heavy", "speak"

    @classmethod
    def vram(cls, params, precision):
        return Vram(2700 if precision == "fp16" else 4700, 20)


class Look(_Engine):
    name, stage = "look", "faces"


class Lips(_Engine):
    name, stage = "lips", "lipsync"


class Absent(_Engine):
    name, stage = "absent", "lipsync"

    @classmethod
    def missing(cls):
        return "pip install absent"


class Clear(_Engine):
    name, stage = "clear", "restore"
"""
_ENTRY_POINTS = """
[dubd.transcribe]
hear = dubd_plugin:Hear
[dubd.translate]
turn = dubd_plugin:Turn
[dubd.speak]
say = dubd_plugin:Say
heavy = dubd_plugin:Heavy
[dubd.faces]
look = dubd_plugin:Look
[dubd.lipsync]
lips = dubd_plugin:Lips
mouth = dubd_plugin:Lips
absent = dubd_plugin:Absent
[dubd.restore]
clear = dubd_plugin:Clear
"""


@contextmanager
def installed(folder: Path) -> Iterator[None]:
    """While inside, the package `dubd_plugin` with engines hear, turn, say, heavy, ... is installed."""
    (folder / "dubd_plugin.py").write_text(_MODULE)
    info = folder / "dubd_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dubd-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(_ENTRY_POINTS)
    sys.path.insert(0, str(folder))
    registry.find.cache_clear()
    registry.names.cache_clear()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("dubd_plugin", None)
        registry.find.cache_clear()
        registry.names.cache_clear()
