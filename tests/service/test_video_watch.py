"""Videos at rest are heard at once where people edit; what builds write is not heard at all."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dubd.service.inotify import Inotify
from dubd.service.video_watch import VideoWatch, watched

SOON = 5.0  # s
NEVER = 0.3  # s


@pytest.fixture
def wake() -> threading.Event:
    return threading.Event()


@pytest.fixture
def watch(wake: threading.Event) -> Iterator[VideoWatch]:
    watch = VideoWatch(wake)
    yield watch
    watch.close()


@pytest.fixture
def video(tmp_path: Path) -> Path:
    folder = tmp_path / "talk-1"
    (folder / "segments" / "000" / "lipsync").mkdir(parents=True)
    (folder / "segments" / "000" / "fr").mkdir()
    (folder / "voice").mkdir()
    return folder


@pytest.mark.parametrize(
    "name", ["plan.json", "voice/speakers.json", "segments/000/translation.json", "segments/000/fr/translation.json"]
)
def test_an_edit_of_a_video_at_rest_wakes_and_names_it(
    watch: VideoWatch, wake: threading.Event, video: Path, name: str
) -> None:
    watch.rest(video)
    (video / name).write_text("mine")
    assert wake.wait(SOON)
    assert watch.stirred() == {video}
    assert watch.stirred() == set()


def test_an_editor_that_renames_over_the_file_is_heard(watch: VideoWatch, wake: threading.Event, video: Path) -> None:
    (video / ".plan.json.swp").write_text("mine")
    watch.rest(video)
    (video / ".plan.json.swp").rename(video / "plan.json")
    assert wake.wait(SOON)


@pytest.mark.parametrize("name", [".state.sqlite-wal", "report.json", "report.html", ".tmp-1-report.json"])
def test_records_and_reports_wake_nobody(watch: VideoWatch, wake: threading.Event, video: Path, name: str) -> None:
    watch.rest(video)
    (video / name).write_text("ours")
    assert not wake.wait(NEVER)


def test_a_video_that_is_being_built_wakes_nobody_until_it_rests(
    watch: VideoWatch, wake: threading.Event, video: Path
) -> None:
    watch.rest(video)
    watch.hold(video)
    (video / "plan.json").write_text("ours")
    assert not wake.wait(NEVER)
    watch.rest(video)
    (video / "plan.json").write_text("mine")
    assert wake.wait(SOON)


def test_a_segment_that_a_build_has_made_is_watched_once_the_video_rests(
    watch: VideoWatch, wake: threading.Event, video: Path
) -> None:
    watch.rest(video)
    watch.hold(video)
    (video / "segments" / "001").mkdir()
    watch.rest(video)
    (video / "segments" / "001" / "translation.json").write_text("mine")
    assert wake.wait(SOON)


def test_a_video_that_is_removed_is_heard_once_and_forgotten(
    watch: VideoWatch, wake: threading.Event, video: Path
) -> None:
    watch.rest(video)
    shutil.rmtree(video)
    assert wake.wait(SOON)
    watch.hold(video)
    watch.rest(video)  # it is no fault that there is nothing
    assert not watch.blind


def test_a_folder_that_took_a_watched_ones_place_is_watched_when_all_are_renewed(
    watch: VideoWatch, wake: threading.Event, video: Path
) -> None:
    watch.rest(video)
    video.rename(video.with_name("away"))
    shutil.copytree(video.with_name("away"), video)
    watch.renew(all_of_them=True)
    wake.clear()
    (video / "plan.json").write_text("mine")
    assert wake.wait(SOON)


def test_without_watches_to_be_had_it_says_so_and_tries_again(
    watch: VideoWatch, wake: threading.Event, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as limit:
        limit.setattr(Inotify, "add", refuse)
        watch.rest(video)
        assert watch.blind
    watch.renew(all_of_them=False)
    assert not watch.blind
    (video / "plan.json").write_text("mine")
    assert wake.wait(SOON)


def test_events_that_were_lost_stir_every_video(watch: VideoWatch, wake: threading.Event, video: Path) -> None:
    watch.rest(video)
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    with watch._guard:  # its reader waits
        for number in range(most + 10):
            (video / f"edit-{number % 2}").touch()
            (video / f"edit-{number % 2}").unlink()
    assert wake.wait(SOON)
    assert watch.stirred() == {video}


def test_without_watches_it_tries_one_video_after_another_and_not_all_each_time(
    watch: VideoWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[object] = []
    monkeypatch.setattr(Inotify, "add", lambda *given: tried.append(given) or refuse())
    for name in "abc":
        (tmp_path / name).mkdir()
        watch.rest(tmp_path / name)
    tried.clear()
    watch.renew(all_of_them=False)
    assert len(tried) == 1


def test_what_was_heard_before_watches_were_renewed_is_not_lost(
    watch: VideoWatch, wake: threading.Event, video: Path
) -> None:
    watch.rest(video)
    (video / "plan.json").write_text("mine")
    assert wake.wait(SOON)
    watch.rest(video)
    assert watch.stirred() == {video}


def test_a_folder_that_may_not_be_watched_keeps_none_of_the_others_from_it(
    watch: VideoWatch, wake: threading.Event, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = Inotify.add

    def add_others(self: Inotify, folder: str, mask: int) -> int:
        if folder == str(video):
            raise PermissionError(13, "Permission denied")
        return add(self, folder, mask)

    monkeypatch.setattr(Inotify, "add", add_others)
    watch.rest(video)
    assert not watch.blind
    (video / "segments" / "000" / "translation.json").write_text("mine")
    assert wake.wait(SOON)


def refuse(*_: object) -> int:
    raise OSError(28, "No space left on device")


def test_folders_of_patches_take_no_watch(video: Path) -> None:
    found = [Path(path).relative_to(video).as_posix() for path in watched(video)]
    assert sorted(found) == [".", "segments", "segments/000", "segments/000/fr", "voice"]
