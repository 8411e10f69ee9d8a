"""On which kind of file system a folder lies, and whether others can change it without this machine hearing of it."""

from __future__ import annotations

import os
import re
from pathlib import Path

TABLE = Path("/proc/self/mountinfo")  # proc(5)

_NETWORK = frozenset(
    [
        *("9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "drvfs", "gfs2", "glusterfs", "lustre", "ncpfs"),
        *("nfs", "nfs4", "ocfs2", "orangefs", "prl_fs", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs"),
        *(
            "fuse.ceph",
            "fuse.curlftpfs",
            "fuse.davfs",
            "fuse.gcsfuse",
            "fuse.glusterfs",
            "fuse.goofys",
            "fuse.gvfsd-fuse",
        ),
        *(
            "fuse.rclone",
            "fuse.s3fs",
            "fuse.sshfs",
            "fuse.vmhgfs-fuse",
            "fuse.mount-s3",
            "fuse.smbnetfs",
            "fuse.juicefs",
        ),
    ]
)
_ESCAPED = re.compile(rb"\\([0-7]{3})")


def kind(path: Path, table: Path = TABLE) -> str:
    """The type of the file system that holds `path` (`ext4`, `nfs4`), which need not exist yet.

    Empty where `table`, in the form of /proc/self/mountinfo, cannot be read or has no mount above it.
    """
    wanted = os.fsencode(os.path.realpath(path))
    try:
        lines = table.read_bytes().splitlines()
    except OSError:
        return ""
    found, length = "", -1
    for line in lines:
        before, _, after = line.partition(b" - ")
        words, kinds = before.split(b" "), after.split(b" ")
        if len(words) < 5 or not kinds[0]:
            continue
        point = _ESCAPED.sub(lambda code: bytes([int(code[1], 8)]), words[4])
        inside = wanted == point or wanted.startswith(point.rstrip(b"/") + b"/")
        if inside and len(point) >= length:  # of several at one point the last one is on top
            found, length = kinds[0].decode(errors="replace"), len(point)
    return found


def is_network(kind: str) -> bool:
    """Whether such a file system is shared with other machines: their changes raise no event here, locks are not sure.

    An unknown kind counts as local, and so do the fuse file systems that only show what lies on this machine.
    """
    return kind in _NETWORK
