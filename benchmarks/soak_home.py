"""A dubd of the soak's own: a disk that can be full, a card that can be lost, a daemon that can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tests.schedule.cards import Machine

ROOT = Path(__file__).parents[1]
DISK = 700  # MiB
_LEASABLE = 400  # MiB of the card
RULES = {
    "quick": """\
default: true
languages: {source: en, target: es}
stages: {lipsync: none, restore: none}
output: {loudness: -16}
""",
    "lips": """\
languages: {source: en, target: es}
stages: {lipsync: lite, restore: lite}
output: {loudness: -16}
""",
    "card": """\
languages: {source: en, target: es}
stages: {translate: {engine: allocating, log: /dev/null, host: false, seconds: 0.3}, lipsync: none, restore: none}
output: {loudness: -16}
""",
}


class Home:
    """Four folders, a machine with one card, and the commands that work on them."""

    def __init__(self, side: Path, *, disk: bool) -> None:
        """`disk` mounts a small file system of its own, where that is allowed; see `mounted`."""
        self.side, self.root = side, side / "disk"
        self.root.mkdir(parents=True)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}M", "dubd-soak", str(self.root)]
        self.mounted = disk and subprocess.run(mount, stderr=subprocess.DEVNULL, check=False).returncode == 0
        self.inbox, self.workspace, self.rules = (self.root / name for name in ("inbox", "workspace", "rules"))
        for folder in (self.inbox, self.workspace, self.rules, side / "tmp", *(self.inbox / n for n in RULES)):
            folder.mkdir()
        for name, text in RULES.items():
            (self.rules / f"{name}.yaml").write_text(text)
        self.machine = Machine(side / "machine", _LEASABLE)
        folders = {f"DUBD_{name.upper()}": str(self.root / name) for name in ("inbox", "workspace", "rules", "models")}
        more = {"TMPDIR": str(side / "tmp"), "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
        self.environ: Mapping[str, str] = {**os.environ, **folders, **self.machine.environ(), **more}
        self.said = side / "daemon.log"
        self.daemon: subprocess.Popen[bytes] | None = None
        self.began = 0.0

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """`dubd watch`; what it prints goes to `said`, which is not on the small disk."""
        with self.said.open("ab") as log:
            command = [sys.executable, "-m", "dubd", "watch", "--settle", "1", "--drain", "20", *words]
            self.daemon = subprocess.Popen(
                command, env=self.environ, cwd="/", stdout=log, stderr=log, start_new_session=True
            )
        self.began = time.monotonic()
        return self.daemon

    def stop(self) -> int:
        """SIGTERM, and the exit code; minus a signal where it took longer than anything allows."""
        assert self.daemon
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            return self.daemon.wait(120)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            return self.daemon.wait()

    def signal(self, number: signal.Signals) -> None:
        """To the daemon, where it lives."""
        if self.daemon and self.daemon.poll() is None:
            self.daemon.send_signal(number)

    def command(self, words: list[str], out: Path) -> subprocess.Popen[bytes]:
        """A dubd command or plain doit beside the daemon, its output in a file."""
        with out.open("wb") as log:
            command = [sys.executable, "-m", *words]
            return subprocess.Popen(command, env=self.environ, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)

    def processes(self) -> dict[int, tuple[int, str]]:
        """(parent, command line) of every process of this home by pid, told by its environment; no zombies."""
        mark, found = f"DUBD_WORKSPACE={self.workspace}\0".encode(), {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and int(folder.name) != os.getpid():
                with suppress(OSError):
                    if mark in (folder / "environ").read_bytes():
                        line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                        state = (folder / "stat").read_text().rpartition(")")[2].split()
                        if state[0] != "Z":
                            found[int(folder.name)] = int(state[1]), line
        return found

    def fill(self) -> None:
        """Leave no byte on the disk."""
        with suppress(OSError), (self.root / "ballast").open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * (1 << 16))

    def free(self) -> None:
        """Take the ballast away."""
        (self.root / "ballast").unlink(missing_ok=True)

    def close(self) -> None:
        """End everything that is left, by its pid, and let go of the disk."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.mounted:
            subprocess.run(["umount", "--lazy", str(self.root)], check=False)


def resident(pid: int) -> float:
    """RSS in MiB, 0 once it is gone."""
    with suppress(OSError):
        text = Path(f"/proc/{pid}/status").read_text()
        return next((int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmRSS:")), 0.0)
    return 0.0


def descriptors(pid: int) -> Counter[str]:
    """How many file descriptors of each kind a process has."""
    found: Counter[str] = Counter()
    with suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                target = os.readlink(entry)
                found["file" if target.startswith("/") else target.partition(":[")[0]] += 1
    return found
