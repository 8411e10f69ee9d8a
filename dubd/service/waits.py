"""Which videos and drops wait for which models, when one of these is here, and what a person was told of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from dubd.graph.needed import Lack, lacking
from dubd.models.model import Needed, Own

_EVERY = 2.0  # s between looks: a look is one stat a file


class Waits:
    """Kept by the daemon from build to build."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._looked = now()
        self._lacks: dict[Path, tuple[Needed, ...]] = {}
        self._told: dict[Path, set[str]] = {}

    def keep(self, folder: Path, lacks: Sequence[Lack]) -> None:
        """What a build of the video left waiting; nothing where it lacked no model."""
        self._lacks.pop(folder, None)
        if lacks:
            self._lacks[folder] = tuple(dict.fromkeys(model for lack in lacks for model in lack.models))
        else:
            self.forget(folder)

    def look_for(self, drop: Path, absent: Sequence[Path]) -> None:
        """The drop was refused for want of these files of the operator's; none: for another reason."""
        self._lacks.pop(drop, None)
        if absent:
            self._lacks[drop] = tuple(Own(path) for path in absent)

    def forget(self, folder: Path) -> None:
        """The video is gone, or waits no more: whatever it waits for one day is told anew."""
        self._lacks.pop(folder, None)
        self._told.pop(folder, None)

    def news(self, folder: Path, text: str) -> bool:
        """Whether `text` was not yet told of the video."""
        told = self._told.setdefault(folder, set())
        fresh = text not in told
        told.add(text)
        return fresh

    def arrived(self) -> list[Path]:
        """The videos and drops of which a model or file is here now that was not: each is named once."""
        if not self._lacks or self._now() - self._looked < _EVERY:
            return []
        self._looked = self._now()
        found = [folder for folder, models in self._lacks.items() if lacking(models) != models]
        for folder in found:
            del self._lacks[folder]
        return found
