"""dubd report: of a video that is not done it says so, and shows no figures that are not there."""

from __future__ import annotations

import pytest

from dubd.cli.report import report
from dubd.errors import DubdError
from dubd.graph.report import report as make
from dubd.graph.report_page import page
from tests.graph.stand import Desk


@pytest.fixture
def desk(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = Desk(tmp_path_factory.mktemp("desk"))
    for name in ("inbox", "workspace", "rules", "models"):
        monkeypatch.setenv(f"DUBD_{name.upper()}", str(desk.root / name))
    return desk


def said(desk: Desk, capsys: pytest.CaptureFixture[str]) -> list[str]:
    report(desk.folder.name)
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(("task", "named"), [("plan:{}", "plan"), ("{}:001/speak", "001/speak")])
def test_a_failed_video_says_what_failed_and_what_to_do(
    desk: Desk, capsys: pytest.CaptureFixture[str], task: str, named: str
) -> None:
    video = desk.claim()
    desk.stand.fail[task.format(video.id)] = DubdError("mumbles", remedy="speak up")
    desk.build()
    lines = said(desk, capsys)
    assert lines[0].startswith(f"{video.id}: failed,")
    assert lines[1] == f"failed  {named}: {desk.source}: mumbles; speak up"
    assert not [line for line in lines if line.strip() == "Figures"]
    assert "es: no dub yet" in lines
    data = make(desk.folder)
    assert data["state"] == "failed"
    html = page(data)
    assert "failed, " in html
    assert "mumbles; speak up" in html
    assert 'class="card"' not in html


def test_a_video_that_was_not_begun_says_how_to_go_on(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    video = desk.claim()
    lines = said(desk, capsys)
    assert lines[:2] == [
        f"{video.id}: unfinished, rule lite",
        f"not finished; go on with: dubd run {video.id}",
    ]
    assert "Work" not in lines


def test_a_video_that_changed_since_says_so_and_a_whole_one_does_not(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.build()
    assert said(desk, capsys)[0].startswith(f"{desk.folder.name}: done, 20.0 s")
    (desk.folder / "segments" / "000" / "translation.json").write_text("{}")
    assert said(desk, capsys)[0].startswith(f"{desk.folder.name}: changed, 20.0 s")
