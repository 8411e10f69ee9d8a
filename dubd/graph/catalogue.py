"""The stages by name: which have an engine, and the version of each one's code."""

from __future__ import annotations

from typing import Final

VERSIONS: Final[dict[str, int]] = {
    "plan": 2,
    "extract": 2,
    "transcribe": 2,
    "voice": 1,
    "clone": 1,
    "translate": 1,
    "speak": 2,
    "faces": 1,
    "lipsync": 2,
    "restore": 2,
    "render": 2,
    "assemble": 1,
}
"""In the order of the chain. A version goes up with every change of the stage's code that may change its
bytes: it is part of each task's key, and whatever was made by the old code is made again."""
