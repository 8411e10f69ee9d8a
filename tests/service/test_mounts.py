"""Which file system a folder lies on, from a made table of mounts and from the real one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dubd.service.mounts import is_network, kind

TABLE = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
40 27 0:40 / /mnt rw shared:7 master:3 - autofs systemd-1 rw,fd=29
41 40 0:41 / /mnt/films rw,relatime shared:8 - nfs4 nas:/films rw,vers=4.2
42 41 0:42 / /mnt/films/local rw,relatime - xfs /dev/vdb rw
43 27 0:43 /sub /srv/my\040films rw - cifs //nas/films rw
44 27 0:44 / /srv/tar rw - fuse.sshfs me@host:/tar rw
45 27 0:45 / /over rw - ext4 /dev/vdc rw
46 45 0:46 / /over rw - 9p host rw
a line that is none
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "mountinfo"
    path.write_text(TABLE)
    return path


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/home/me/inbox", "ext4"),
        ("/mnt/films", "nfs4"),
        ("/mnt/films/new/inbox", "nfs4"),
        ("/mnt/films/local/inbox", "xfs"),
        ("/mnt/filmsnot", "autofs"),
        ("/srv/my films/inbox", "cifs"),
        ("/srv/tar", "fuse.sshfs"),
        ("/over/inbox", "9p"),
    ],
)
def test_the_innermost_mount_counts_and_of_several_at_one_point_the_last(table: Path, path: str, found: str) -> None:
    assert kind(Path(path), table) == found


def test_a_symbolic_link_lies_where_it_leads(table: Path, tmp_path: Path) -> None:
    link = tmp_path / "inbox"
    link.symlink_to("/mnt/films/drops")
    assert kind(link, table) == "nfs4"


def test_without_a_table_nothing_is_known_and_that_is_no_network(tmp_path: Path) -> None:
    assert kind(tmp_path, tmp_path / "none") == ""
    assert not is_network("")


@pytest.mark.parametrize("name", ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "ceph", "fuse.rclone"])
def test_what_other_machines_write_to_is_a_network(name: str) -> None:
    assert is_network(name)


@pytest.mark.parametrize("name", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuseblk", "fuse.mergerfs"])
def test_what_only_this_machine_writes_to_is_none(name: str) -> None:
    assert not is_network(name)


@pytest.mark.skipif(not Path("/proc/self/mountinfo").exists(), reason="no /proc here")
def test_the_table_of_this_machine() -> None:
    assert kind(Path("/proc/self")) == "proc"
    assert kind(Path(os.getcwd())) not in ("", "proc")
