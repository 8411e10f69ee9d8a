"""Videos that wait for models: found once when one is here, told once of each."""

from __future__ import annotations

from pathlib import Path

from dubd.graph.needed import Lack
from dubd.models.model import Own
from dubd.service.waits import Waits


def test_a_video_is_named_once_when_a_model_of_it_has_come(tmp_path: Path) -> None:
    clock = [0.0]
    waits = Waits(lambda: clock[0])
    first, second, video = Own(tmp_path / "a"), Own(tmp_path / "b"), tmp_path / "video"
    waits.keep(video, [Lack("speak", (first,), "needs a", ""), Lack("lipsync", (second,), "needs b", "")])

    def later() -> list[Path]:
        clock[0] += 10
        return waits.arrived()

    assert later() == []
    second.path.touch()
    assert waits.arrived() == []  # it has just looked
    assert later() == [video]
    assert later() == []
    waits.keep(video, [Lack("speak", (first,), "needs a", "")])
    first.path.touch()
    assert later() == [video]


def test_what_is_told_is_told_again_only_after_it_was_over(tmp_path: Path) -> None:
    waits = Waits(lambda: 0.0)
    lack = Lack("speak", (Own(tmp_path / "a"),), "needs a", "")
    assert waits.news(tmp_path, "needs a")
    waits.keep(tmp_path, [lack])
    assert not waits.news(tmp_path, "needs a")
    waits.keep(tmp_path, [])
    assert waits.news(tmp_path, "needs a")
