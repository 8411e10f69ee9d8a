"""Which videos a look goes to: what was heard of at once, the others in turn, and no more of them than a round may."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from dubd.service.rest import Rest
from dubd.service.signature import of_video
from tests.graph.stand import Desk

FILES = 10  # of each video


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Videos of ten files each."""
    found = [tmp_path / f"talk-{number:02d}" for number in range(20)]
    for folder in found:
        folder.mkdir()
        for number in range(FILES):
            (folder / f"{number}.json").write_text("{}")
    return found


@pytest.fixture
def rest(folders: list[Path]) -> Rest:
    """All of them at rest."""
    rest = Rest(1.0)
    for folder in folders:
        rest.leave(folder, of_video(folder))
    look(rest, folders, 0)
    return rest


def look(rest: Rest, folders: list[Path], files: int, heard: tuple[Path, ...] = ()) -> list[Path]:
    wanted = rest.wanted(folders, heard, files)
    return [folder for folder in wanted if rest.at_rest(folder, of_video(folder), 0.0)]


def test_one_that_no_build_left_is_wanted_at_every_look(folders: list[Path]) -> None:
    rest = Rest(1.0)
    assert rest.wanted(folders, (), 0) == rest.wanted(folders, (), 0) == folders


def test_one_that_a_build_left_is_looked_at_once_more(folders: list[Path], rest: Rest) -> None:
    rest.leave(folders[3], of_video(folders[3]))
    assert look(rest, folders, 0) == [folders[3]]
    assert look(rest, folders, 0) == []


def test_one_that_was_heard_of_is_looked_at_and_no_other(folders: list[Path], rest: Rest) -> None:
    assert look(rest, folders, 0, heard=(folders[7],)) == [folders[7]]
    assert look(rest, folders, 0) == []


def test_what_was_heard_of_is_no_video_and_wants_none(folders: list[Path], rest: Rest) -> None:
    assert look(rest, folders, 0, heard=(folders[0].parent / "log", Path("/srv/inbox/a.mp4"))) == []


def test_a_round_goes_to_no_more_files_than_it_may_and_the_rounds_to_all_alike(folders: list[Path], rest: Rest) -> None:
    rounds = [look(rest, folders, 5 * FILES) for _ in range(12)]
    assert [len(seen) for seen in rounds] == [5] * 12
    assert Counter(folder for seen in rounds for folder in seen) == Counter(dict.fromkeys(folders, 3))


def test_a_video_larger_than_a_round_is_paid_for_by_the_next_ones(folders: list[Path], rest: Rest) -> None:
    rounds = [look(rest, folders, FILES // 5) for _ in range(100)]
    assert max(map(len, rounds)) == 1
    assert sum(map(len, rounds)) == 20
    assert {folder for seen in rounds for folder in seen} == set(folders)


def test_few_videos_are_all_looked_at_in_every_round(folders: list[Path], rest: Rest) -> None:
    assert look(rest, folders, 1000) == look(rest, folders, 1000) == folders


def test_an_edit_is_looked_at_until_it_has_come_to_rest(folders: list[Path], rest: Rest) -> None:
    edited = folders[4]
    (edited / "3.json").write_text('{"text": "corr')
    assert rest.wanted(folders, [edited], 0) == [edited]
    assert rest.at_rest(edited, of_video(edited), 10.0)
    (edited / "3.json").write_text('{"text": "corrected"}')
    for now in (10.5, 11.4):  # it began to move anew at 10.5
        assert rest.wanted(folders, (), 0) == [edited]
        assert rest.at_rest(edited, of_video(edited), now)
    assert rest.due == [11.5]
    assert not rest.at_rest(edited, of_video(edited), 11.5)
    assert not rest.moving


def test_one_that_is_gone_is_forgotten_and_named_once(folders: list[Path], rest: Rest) -> None:
    assert rest.gone(folders[1:]) == {folders[0]}
    assert rest.gone(folders[1:]) == set()
    assert folders[0] not in rest


def test_a_film_that_is_overwritten_through_its_other_name_is_seen_without_an_event(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.build()
    rest = at_rest(desk)
    assert look(rest, [desk.folder], 0) == []
    desk.source.write_text("another film")
    assert rest.wanted([desk.folder], (), 0) == [desk.folder]


@pytest.mark.parametrize("change", ["edited", "removed", "brought back"])
def test_a_glossary_is_looked_at_wherever_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    monkeypatch.setenv("DUBD_TRUST_SIDECARS", "1")
    desk = Desk(tmp_path)
    glossary = tmp_path / "words.csv"
    glossary.write_text("dub,doblar\n")
    rule = f"languages: {{source: en, target: es}}\nstages: {{translate: {{glossary: {glossary}}}}}\ndefault: true\n"
    (desk.folders.rules / "lite.yaml").write_text(rule)
    desk.claim()
    if change == "brought back":
        glossary.unlink()
    rest = at_rest(desk)
    assert rest.wanted([desk.folder], (), 0) == []
    if change == "removed":
        glossary.unlink()
    else:
        glossary.write_text("dub,doblaje\n")
    assert rest.wanted([desk.folder], (), 0) == [desk.folder]


def at_rest(desk: Desk) -> Rest:
    """The desk's one video, as it is now."""
    rest = Rest(1.0)
    rest.leave(desk.folder, of_video(desk.folder))
    assert look(rest, [desk.folder], 0) == [desk.folder]
    return rest
