"""Sharpen patches until they match the frame around them: detail, grain and colour, steady over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from dubd.engines.contract import Engine, Shot, each


@dataclass(frozen=True)
class SharpenParams:
    """What a rule may set."""

    strength: float = 1.0  # share of the missing detail that is put back
    grain: float = 1.0  # share of the missing grain that is put back
    memory: float = 0.5  # s: time constant of the moving averages


class Sharpen(Engine[Shot, Mapping[str, Any]]):
    """Unsharp mask, grain and colour matched to the frame; no model."""

    name: ClassVar[str] = "sharpen"
    stage: ClassVar[str] = "restore"
    summary: ClassVar[str] = "sharpening matched to the frame in detail, grain and colour (no model)"
    licence: ClassVar[str] = "Apache-2.0"
    Params: ClassVar[type[Any]] = SharpenParams

    def load(self, device: str, params: SharpenParams) -> None:  # noqa: ARG002  (runs on the processor)
        import cv2

        cv2.setNumThreads(1)
        self.params = params

    def run(self, batch: Sequence[Shot]) -> list[Mapping[str, Any] | Exception]:
        from dubd.engines.sharpen_match import restore

        return each(partial(restore, self.params), batch)
