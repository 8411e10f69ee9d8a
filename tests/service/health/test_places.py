"""What doctor says of the folders: room, permissions, the file system, and whether changes are heard."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dubd.folders import Folders
from dubd.schedule.room import RESERVE
from dubd.service import mounts, retries
from dubd.service.folder_watch import FolderWatch
from dubd.service.health import places
from dubd.service.health.finding import Finding

GIB = 1 << 30


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    made = [tmp_path / name for name in ("inbox", "workspace", "rules", "models")]
    for folder in made:
        folder.mkdir()
    return Folders(*made)


@pytest.fixture
def limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kernel's limits on watches, as large as they ship."""
    folder = tmp_path / "inotify"
    folder.mkdir()
    for name, value in (("max_user_watches", 8192), ("max_user_instances", 128)):
        (folder / name).write_text(f"{value}\n")
    monkeypatch.setattr(places, "INOTIFY", folder)
    return folder


def of(folders: Folders, what: str) -> list[Finding]:
    return [finding for finding in places.findings(folders) if finding.what == what]


def free(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(places, "free", lambda _: size)


class TestRoom:
    def test_enough_is_good(self, folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
        free(monkeypatch, 20 * GIB)
        (found,) = of(folders, "workspace")
        assert (found.level, found.says) == ("good", f"{folders.workspace}, 20.0 GiB free")

    def test_less_than_an_hour_of_video_takes_is_a_note(
        self, folders: Folders, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        free(monkeypatch, 2 * GIB)
        (found,) = of(folders, "workspace")
        assert (found.level, found.remedy) == ("note", "dubd clean")
        assert "only 2.0 GiB free; an hour of 1080p takes 10.0 GiB and more" in found.says

    def test_less_than_the_reserve_is_bad(self, folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
        free(monkeypatch, RESERVE - 1)
        (found,) = of(folders, "workspace")
        assert (found.level, found.remedy) == ("bad", "dubd clean")
        assert "nothing starts below 256.0 MiB" in found.says


class TestPermissions:
    @pytest.fixture
    def read_only(self, folders: Folders) -> Iterator[Path]:
        """A workspace that nobody may write to: root's are bind mounts, for all else is open to root."""
        folder = folders.workspace
        if os.geteuid():
            folder.chmod(0o555)
            yield folder
            folder.chmod(0o755)
            return
        mount = shutil.which("mount")
        if not mount or subprocess.run([mount, "--bind", folder, folder], check=False).returncode:
            pytest.skip("nothing can be mounted here")
        subprocess.run([mount, "-o", "remount,ro,bind", folder], check=True)
        yield folder
        subprocess.run(["umount", folder], check=True)

    def test_a_read_only_workspace_is_named_with_what_makes_it_writable(
        self, folders: Folders, read_only: Path
    ) -> None:
        (found,) = of(folders, "workspace")
        assert found.level == "bad"
        if os.geteuid():
            assert (found.says, found.remedy) == (
                f"{read_only} cannot be written",
                f"chown -R {os.getuid()} {read_only}",
            )
        else:
            assert found.says == f"{read_only} lies on a read-only file system"
            subprocess.run(["sh", "-c", found.remedy], check=True)
            assert [found.level for found in of(folders, "workspace")] != ["bad"]

    def test_a_folder_that_is_to_be_made_goes_by_the_one_above(self, folders: Folders) -> None:
        folders.workspace.rmdir()
        assert [found.level for found in of(folders, "workspace")] != ["bad"]

    def test_a_folder_that_cannot_be_made_leaves_the_one_above_to_its_owner(
        self, folders: Folders, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folders.inbox.rmdir()
        above = folders.inbox.parent
        monkeypatch.setattr(os, "access", lambda path, _: Path(path) != above)
        (found,) = of(folders, "inbox")
        assert (found.level, found.says) == ("bad", f"{folders.inbox} cannot be made: {above} cannot be written")
        assert found.remedy == f"install -d -o {os.getuid()} {folders.inbox}"

    def test_a_file_in_the_place_of_a_folder(self, folders: Folders) -> None:
        folders.inbox.rmdir()
        folders.inbox.write_text("no folder")
        (found,) = of(folders, "inbox")
        assert found.remedy == f"mv {folders.inbox} {folders.inbox}.old"

    def test_what_is_to_be_typed_holds_for_any_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        root = tmp_path / "films (old) & new"
        root.mkdir()
        folders = Folders(*(root / name for name in ("inbox", "workspace", "rules", "models")))
        folders.inbox.write_text("no folder")
        video = folders.workspace / "talk-1"
        video.mkdir(parents=True)
        (video / "rule.yaml").touch()
        (video / ".state.sqlite").touch()
        monkeypatch.setattr(os, "access", lambda path, _: Path(path).name != ".state.sqlite")
        (inbox,) = of(folders, "inbox")
        subprocess.run(["sh", "-c", inbox.remedy], check=True)
        assert (root / "inbox.old").read_text() == "no folder"
        records = next(found for found in of(folders, "workspace") if found.level == "bad")
        subprocess.run(["sh", "-c", records.remedy], check=True)
        assert f"'{video}'" in records.remedy

    def test_a_read_only_file_system_is_found_whatever_the_folder_is_called(
        self, folders: Folders, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        odd = folders.workspace / "it's here"
        odd.mkdir()
        read_only = os.statvfs_result((*os.statvfs(odd)[:8], os.ST_RDONLY, *os.statvfs(odd)[9:]))
        monkeypatch.setattr(os, "access", lambda *_: False)
        monkeypatch.setattr(os, "statvfs", lambda _: read_only)
        (found,) = of(Folders(odd, *(folders.workspace, folders.rules, folders.models)), "inbox")
        command = found.remedy.replace("mount -o remount,rw", "echo", 1)
        said = subprocess.run(["sh", "-c", command], check=True, capture_output=True, text=True).stdout
        assert Path(said.strip()).is_mount()


class TestNetwork:
    def mounted(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *points: Path) -> None:
        lines = ["20 1 8:1 / / rw - ext4 /dev/sda1 rw"]
        lines += [f"{30 + at} 20 0:{at} / {point} rw - nfs4 nas:/films rw" for at, point in enumerate(points)]
        table = tmp_path / "mountinfo"
        table.write_text("\n".join(lines) + "\n")
        monkeypatch.setattr(mounts, "TABLE", table)

    def test_a_workspace_there_is_bad(self, folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.mounted(monkeypatch, tmp_path, folders.workspace)
        (found,) = of(folders, "workspace")
        assert found.level == "bad"
        assert "network file system (nfs4)" in found.says
        assert found.remedy.startswith("set DUBD_WORKSPACE to a folder on a disk of this machine")

    def test_an_inbox_there_is_fine(self, folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.mounted(monkeypatch, tmp_path, folders.inbox)
        (found,) = of(folders, "inbox")
        assert found.level == "good"
        assert "on nfs4" in found.says

    def test_its_folders_there_are_not_watched_and_take_none_of_the_limit(
        self, folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(5):
            (folders.inbox / f"rule{number}").mkdir()
        self.mounted(monkeypatch, tmp_path, folders.inbox)
        (found,) = of(folders, "inotify")
        assert found.says == "3 folders can be watched"


class TestWatching:
    def test_limits_that_suffice_are_good(self, folders: Folders, limits: Path) -> None:
        assert limits.is_dir()
        (found,) = of(folders, "inotify")
        assert (found.level, found.says) == ("good", "4 folders can be watched")

    def test_a_limit_of_one_watch_is_named_with_the_setting(self, folders: Folders, limits: Path) -> None:
        (limits / "max_user_watches").write_text("1\n")
        (found,) = of(folders, "inotify")
        assert found == Finding(
            "inotify",
            "note",
            "max_user_watches is 1, 4 are needed: "
            "changes are found only by looking, at the inbox every 5 s, at many videos in rounds",
            "sysctl -w fs.inotify.max_user_watches=524288",
        )

    def test_a_limit_of_one_instance_is_named_too(self, folders: Folders, limits: Path) -> None:
        (limits / "max_user_instances").write_text("1\n")
        (found,) = of(folders, "inotify")
        assert found.remedy == "sysctl -w fs.inotify.max_user_instances=1024"

    def test_folders_of_every_video_count_where_people_edit(self, folders: Folders, limits: Path) -> None:
        (limits / "max_user_watches").write_text("100\n")
        for number in range(200):
            (folders.workspace / f"talk-{number}" / "segments" / "000" / "lipsync").mkdir(parents=True)
            (folders.workspace / f"talk-{number}" / "rule.yaml").touch()
        (found,) = of(folders, "inotify")
        assert "604 are needed" in found.says

    @pytest.mark.usefixtures("limits")
    def test_as_many_are_counted_as_the_daemon_really_watches(self, folders: Folders) -> None:
        for name in ("kannada-hindi/2024/june", "kannada-hindi/.hidden", "english/a", "english/b"):
            (folders.inbox / name).mkdir(parents=True)
        (folders.inbox / "link").symlink_to(folders.rules)
        video, marks = folders.workspace / "talk-1", folders.workspace / retries.MARKS
        for folder in (marks, video / "segments" / "000" / "restore", video / "segments" / "001"):
            folder.mkdir(parents=True)
        (video / "rule.yaml").touch()
        with FolderWatch([folders.inbox, folders.rules], threading.Event(), flat=[folders.workspace, marks]) as watch:
            watch.rest(video)
            infos = [path.read_text() for path in Path("/proc/self/fdinfo").iterdir() if path.exists()]
            watches = sum(info.count("inotify wd:") for info in infos)
        (found,) = of(folders, "inotify")
        assert found.says == f"{watches} folders can be watched"
