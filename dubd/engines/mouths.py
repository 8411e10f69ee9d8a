"""Lip sync without weights: retrieve the speaker's own mouths, or bend the mouth where none can be had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from dubd.engines.contract import Engine, Shot, each

Made = dict[str, Any]


@dataclass(frozen=True)
class MouthsParams:
    """What a rule may set."""

    min_face: int = 60  # pixels from ear to ear under which a face is left alone
    min_library: float = 1.0  # seconds of usable mouth under which the mouth is bent instead
    memory: int = 192  # MiB that the mouths of a segment may take


class Mouths(Engine[Shot, Made]):
    """The speaker's own mouth frames, chosen by the dub's sound and phonemes."""

    name: ClassVar[str] = "mouths"
    stage: ClassVar[str] = "lipsync"
    summary: ClassVar[str] = "retrieval of the speaker's own mouth frames, no weights"
    licence: ClassVar[str] = "Apache-2.0"
    Params: ClassVar[type[Any]] = MouthsParams

    @classmethod
    def revision(cls) -> str:
        return "2"

    def load(self, device: str, params: MouthsParams) -> None:  # noqa: ARG002  (runs on the processor)
        import cv2

        from dubd.engines.mouths_plan import Limits

        cv2.setNumThreads(1)
        self.limits = Limits(params.min_face, params.min_library, params.memory)

    def run(self, batch: Sequence[Shot]) -> list[Made | Exception]:
        from dubd.engines.mouths_film import sync

        return each(partial(sync, self.limits), batch)
