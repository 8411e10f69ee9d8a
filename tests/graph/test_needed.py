"""What a rule needs, and a build that lacks some of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dubd.engines import registry
from dubd.engines.espeak import Espeak
from dubd.engines.pocketsphinx import Pocketsphinx
from dubd.engines.sharpen import Sharpen
from dubd.errors import Exit
from dubd.graph import needed, rules
from dubd.graph.build import Event
from dubd.graph.video_build import VideoBuild
from dubd.models.model import File, Model, Needed, Own
from dubd.schedule.scheduler import Scheduler
from dubd.service.signature import by_hand, of_video
from tests.graph.stand import Desk

VOICE = Model("voice/big", (File("w.bin", "http://x/w.bin", 3 << 20, "0" * 64), File("c.json")), "MIT", "http://x")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("DUBD_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("DUBD_RULES", str(tmp_path / "rules"))
    return Desk(tmp_path)


def speaks_with(patch: pytest.MonkeyPatch, model: Needed) -> None:
    patch.setattr(Espeak, "models", classmethod(lambda _cls, _params: (model,)))


def bring(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "voice" / "big"
    folder.mkdir(parents=True)
    (folder / "w.bin").write_bytes(bytes(3 << 20))
    (folder / "c.json").write_text("{}")


def build(desk: Desk, during: Callable[[Event], None] = lambda _: None) -> VideoBuild:
    """One build to its end, closed."""
    desk.stand.ran.clear()
    desk.events.clear()

    def hear(event: Event) -> None:
        desk.events.append(event)
        during(event)

    with VideoBuild(desk.claim(), hear) as made:
        scheduler = Scheduler(desk.stand)
        scheduler.add(made)
        scheduler.run()
    return made


def test_only_the_tasks_of_the_stage_and_what_follows_wait_and_nothing_fails(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speaks_with(monkeypatch, VOICE)
    made = build(desk)
    assert {name.rpartition("/")[2] for name in desk.stand.ran} == {
        *("plan", "extract", "transcribe", "voice", "translate", "faces")
    }
    assert made.failed == []
    assert not made.settled
    (lack,) = made.waiting
    assert lack.says == "needs voice/big (at least 3.0 MiB)"  # one file's size is not known
    assert lack.remedy == "dubd models pull lite"
    assert lack.fault().exit == Exit.RULE
    bring(tmp_path)
    assert build(desk).settled
    assert {name.rpartition("/")[2] for name in desk.stand.ran} == {"speak", "lipsync", "restore", "render", "assemble"}


def test_a_model_that_comes_while_other_tasks_run_is_used_at_once(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speaks_with(monkeypatch, VOICE)

    def pulled(event: Event) -> None:
        if event.state == "waits" and not (tmp_path / "models").exists():
            bring(tmp_path)

    made = build(desk, pulled)
    assert made.settled
    assert made.waiting == ()
    assert build(desk).settled
    assert desk.stand.ran == []


def test_a_video_that_is_done_needs_its_models_no_more(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speaks_with(monkeypatch, VOICE)
    bring(tmp_path)
    build(desk)
    (tmp_path / "models" / "voice" / "big" / "w.bin").unlink()
    assert build(desk).settled


def test_ones_own_model_that_went_away_is_waited_for_by_its_path(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine.bin"
    speaks_with(monkeypatch, Own(mine))
    (lack,) = build(desk).waiting
    assert (lack.says, lack.remedy) == (f"needs {mine}", f"bring {mine} back, or edit the rule")
    mine.write_bytes(b"weights")
    assert build(desk).settled
    assert build(desk).settled
    assert desk.stand.ran == []


def test_ones_own_model_that_was_replaced_is_used_anew(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "w.bin").write_bytes(b"weights")
    speaks_with(monkeypatch, Own(mine))
    build(desk)
    before = of_video(desk.folder)
    (mine / "w.bin").write_bytes(b"better weights")
    assert by_hand(desk.folder, before, of_video(desk.folder))
    assert build(desk).settled
    assert [name for name in desk.stand.ran if name.endswith("speak")] == ["000/speak", "001/speak"]


def test_a_newer_release_of_an_engine_that_only_helped_builds_its_stage_anew(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry.find("speak", "espeak"), "helpers", classmethod(lambda _cls, _params: ("xtts",)))
    assert build(desk).settled
    assert build(desk).settled and desk.stand.ran == []
    monkeypatch.setattr(registry.find("speak", "xtts"), "revision", classmethod(lambda _cls: "newer"))

    assert build(desk).settled

    assert [name for name in desk.stand.ran if name.endswith("speak")] == ["000/speak", "001/speak"]


def test_subtitles_need_no_recogniser(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pocketsphinx, "models", classmethod(lambda _cls, _params: (VOICE,)))
    assert build(desk).waiting != ()
    desk.source.with_suffix(".srt").write_text("1\n00:00:00,300 --> 00:00:01,200\nGood morning.\n")
    assert build(desk).settled


def test_a_rule_needs_nothing_of_stages_that_its_videos_never_reach(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Sharpen, "models", classmethod(lambda _cls, _params: (VOICE,)))
    path = desk.folders.rules / "lite.yaml"
    assert needed.of_rule(rules.load(path, ready=False)) == {"restore": (VOICE,)}
    path.write_text("languages: {source: en, target: es}\nstages: {lipsync: {engine: none}}\n")
    assert needed.of_rule(rules.load(path, ready=False)) == {}
