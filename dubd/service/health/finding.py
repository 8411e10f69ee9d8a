"""What doctor says of one thing that it looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["good", "note", "bad"]


@dataclass(frozen=True)
class Finding:
    """`bad` keeps the default rule from running; `note` does not. `remedy` is what to type or to change."""

    what: str
    level: Level
    says: str
    remedy: str = ""
