"""What may happen to a daemon, at random, and the ledger of what should be there in the end."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from benchmarks import soak_clips as clips
from benchmarks.soak_home import Home
from dubd.graph.video import content_key, slug

_TAKEN = ("Buenos días a todos.", "Hace mucho frío.", "El perro es pequeño.", "Vamos a la ciudad.", "Gracias.")
_LOUDNESS = ("-16", "-18", "-20")
_MOST = 20  # drops in the inbox at once


class Events:
    """Each method without an underscore that is named in `weights` is one event; None says that it could not be now."""

    weights: ClassVar = {
        "drop": 14, "drop_slowly": 3, "drop_again": 3, "rename": 5, "remove": 4, "replace": 4, "overwrite": 2,
        "touch": 5, "edit_rule": 4, "edit_translation": 9, "kill_daemon": 5, "stop_and_start": 2, "hold": 3,
        "kill_worker": 9, "kill_program": 9, "kill_nursery": 4, "fill_disk": 3, "lose_card": 5, "status": 4,
        "run": 3, "doit": 3, "kill_beside": 3, "hang_up": 2,
    }  # fmt: skip

    def __init__(self, home: Home, pool: Path, dice: random.Random) -> None:
        self.home, self.dice, self.pool = home, dice, pool
        self.drops: dict[Path, Path] = {}  # in the inbox: the clip that it is a copy of
        self.edits: dict[tuple[str, str], bytes] = {}  # (video, path in its folder): what a hand wrote there
        self.overwritten: set[str] = set()  # videos whose source was, once
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.stuck: list[Mapping[str, Any]] = []  # videos that waited for somebody in the end
        self.steady = False  # no end of the daemon any more
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._beside: list[tuple[str, subprocess.Popen[bytes], Path]] = []
        self._number = 0
        self._full = self._held = False

    def happen(self) -> str | None:
        """One event by its weight; its name, where it could be."""
        name = self.dice.choices(list(self.weights), list(self.weights.values()))[0]
        if self.steady and name in ("kill_daemon", "stop_and_start"):
            return None
        try:
            if not getattr(self, name)():
                return None
        except OSError:  # the disk is full, or the daemon was quicker
            name = f"{name} (in vain)"
        self.counts[name] += 1
        return name

    def tick(self) -> None:
        """What was put off, and what has ended beside the daemon."""
        now = time.monotonic()
        for when, action in list(self._later):
            if when <= now:
                self._later.remove((when, action))
                action()
        for name, process, out in list(self._beside):
            if process.poll() is not None:
                self._beside.remove((name, process, out))
                text = out.read_text(errors="replace")
                if "Traceback" in text and process.returncode != -signal.SIGKILL:
                    self.wrong.append(f"{name} ended with a traceback: {text[-1500:]}")
                out.unlink()

    def calm(self) -> None:
        """Everything that was put off happens now; commands beside the daemon end."""
        while self._later:
            self._later.pop()[1]()
        end = time.monotonic() + 180
        while self._beside and time.monotonic() < end:
            self.tick()
            time.sleep(0.5)
        self.wrong += [f"{name} never ended" for name, *_ in self._beside]

    def drop_of(self, path: Path) -> str:
        """The video that a drop is, or should become: that of its content, which keeps the first drop's name."""
        key = content_key(self.drops[path])
        made = sorted(folder.name for folder in self.home.workspace.glob(f"*-{key}"))
        if len(made) > 1 and (fault := f"one content, several videos: {', '.join(made)}") not in self.wrong:
            self.wrong.append(fault)
        return made[0] if made else f"{slug(path.stem)}-{key}"

    # Drops.

    def drop(self, *, slowly: bool = False) -> bool:
        """A new one, mostly for the quick rule."""
        if len(self.drops) >= _MOST:
            return False
        kind = self.dice.choices(("quick", "card", "lips"), (7, 3, 1))[0]
        path = self.home.inbox / ("" if kind == "quick" else kind) / f"{kind} {self._fresh()}.mp4"
        clip = self._clip("face" if kind == "lips" else "drawn")
        if slowly:
            if clip.with_suffix(".srt").exists():
                shutil.copyfile(clip.with_suffix(".srt"), path.with_suffix(".srt"))
            data = clip.read_bytes()
            with path.open("wb", buffering=0) as file:
                file.write(data[: len(data) // 2])
                time.sleep(2.5)
                file.write(data[len(data) // 2 :])
        else:
            clips.put(clip, path)
        self.drops[path] = clip
        return True

    def drop_slowly(self) -> bool:
        return not self._full and self.drop(slowly=True)

    def drop_again(self) -> bool:
        """The same content in another folder: one and the same video."""
        if not (path := self._any(lambda path: path.parent == self.home.inbox)) or len(self.drops) >= _MOST:
            return False
        twin = self.home.inbox / f"again {self._fresh()}" / path.name
        twin.parent.mkdir()
        clips.put(self.drops[path], twin)
        self.drops[twin] = self.drops[path]
        return True

    def rename(self) -> bool:
        if not (path := self._any()):
            return False
        new = path.with_name(f"{path.stem.partition(' ')[0]} {self._fresh()}.mp4")
        for suffix in (".srt", ".mp4"):
            with suppress(FileNotFoundError):
                path.with_suffix(suffix).rename(new.with_suffix(suffix))
        self.drops[new] = self.drops.pop(path)
        return True

    def remove(self) -> bool:
        if len(self.drops) < 8 or not (path := self._any()):
            return False
        for suffix in (".mp4", ".srt"):
            path.with_suffix(suffix).unlink(missing_ok=True)
        del self.drops[path]
        return True

    def replace(self) -> bool:
        """Another film under the same name, a file of its own: a new video."""
        if not (path := self._any()):
            return False
        clip = self._clip("face" if path.parent.name == "lips" else "drawn")
        clips.put(clip, path)
        self.drops[path] = clip
        return True

    def overwrite(self) -> bool:
        """Another film into the same file, which is the source of the video that was made of it."""
        if not (path := self._any(self._alone)) or self._full:
            return False
        clip = self._clip("face" if path.parent.name == "lips" else "drawn")
        self.overwritten.add(self.drop_of(path))
        path.with_suffix(".srt").unlink(missing_ok=True)
        with path.open("r+b", buffering=0) as file:
            file.truncate(0)
            file.write(clip.read_bytes())
        if clip.with_suffix(".srt").exists():
            shutil.copyfile(clip.with_suffix(".srt"), path.with_suffix(".srt"))
        self.drops[path] = clip
        return True

    def touch(self) -> bool:
        """A drop, and something that was made of it."""
        if not (path := self._any()):
            return False
        path.touch()
        made = list((self.home.workspace / self.drop_of(path)).glob("segments/*/*"))
        if made:
            self.dice.choice(made).touch()
        return True

    # Hands.

    def edit_rule(self) -> bool:
        path = self.home.rules / f"{self.dice.choice(('quick', 'card', 'lips'))}.yaml"
        lines = path.read_text().splitlines()
        lines[-1] = f"output: {{loudness: {self.dice.choice(_LOUDNESS)}}}"
        return self._save(path, "\n".join(lines).encode() + b"\n")

    def edit_translation(self) -> bool:
        """One line of a finished video."""
        if not (path := self._any()) or self._full:
            return False
        folder = self.home.workspace / self.drop_of(path)
        made = sorted(folder.glob("segments/*/translation.json"))
        if not (folder / "dubbed.es.mp4").exists() or not made:
            return False
        chosen = self.dice.choice(made)
        document = json.loads(chosen.read_text())
        if not document["utterances"]:
            return False
        self.dice.choice(document["utterances"])["text"] = self.dice.choice(_TAKEN)
        data = json.dumps(document, ensure_ascii=False, indent=2).encode()
        if not self._save(chosen, data):
            return False
        self.edits[folder.name, str(chosen.relative_to(folder))] = data
        return True

    # The machine.

    def kill_daemon(self) -> bool:
        """kill -9; what it leaves alive has 20 s to go."""
        orphans = {pid for pid, (parent, _) in self.home.processes().items() if parent != os.getpid()}
        self.home.signal(signal.SIGKILL)
        assert self.home.daemon
        self.home.daemon.wait()
        self._after(20.0, lambda: self._gone(orphans))
        self._held = False
        self.home.start()
        return True

    def stop_and_start(self) -> bool:
        young = time.monotonic() - self.home.began < 30  # a signal may come before it is heeded
        if (code := self.home.stop()) and not (young and code == -signal.SIGTERM):
            self.wrong.append(f"after SIGTERM the daemon ended with {code}")
        self._held = False
        self.home.start()
        return True

    def hold(self) -> bool:
        """SIGSTOP for a while."""
        if self._held:
            return False
        self._held = True
        self.home.signal(signal.SIGSTOP)
        self._after(self.dice.uniform(1.0, 8.0), self._go_on)
        return True

    def hang_up(self) -> bool:
        """SIGHUP, once the daemon is up: before, it ends any process."""
        if time.monotonic() - self.home.began < 30 or self._held:
            return False
        self.home.signal(signal.SIGHUP)
        return True

    def kill_worker(self) -> bool:
        """A worker is a fork of its nursery, and looks like it."""
        known = self.home.processes()
        alike = {pid: parent for pid, (parent, line) in known.items() if ".nursery" in line}
        return self._kill([pid for pid, parent in alike.items() if parent in alike])

    def kill_program(self) -> bool:
        """One that a worker runs, as the kernel may do that is short of memory."""
        known = self.home.processes()
        names = ("ffmpeg ", "ffprobe ", "lt-proc ", "apertium", "/usr/bin/env bash", "espeak")
        return self._kill([pid for pid, (_, line) in known.items() if any(name in line for name in names)])

    def kill_nursery(self) -> bool:
        known = self.home.processes()
        daemon = self.home.daemon.pid if self.home.daemon else 0
        return self._kill([p for p, (parent, line) in known.items() if parent == daemon and ".nursery" in line])

    def fill_disk(self) -> bool:
        if self._full or not self.home.mounted:
            return False
        self._full = True
        self.home.fill()
        self._after(self.dice.uniform(3.0, 15.0), self._free)
        return True

    def lose_card(self) -> bool:
        """The driver does not answer, or tells of no card at all; later it is back."""
        gone = self.dice.random() < 0.5
        self.home.machine.simulate(*([] if gone else [400]), lost=not gone)
        self._after(self.dice.uniform(3.0, 20.0), lambda: self.home.machine.simulate(400))
        return True

    # Beside the daemon.

    def status(self) -> bool:
        return self._run("dubd status", ["dubd", "status"])

    def run(self) -> bool:
        path = self._any()
        return bool(path) and self._run("dubd run", ["dubd", "run", str(path)])

    def doit(self) -> bool:
        return self._run("doit", ["doit", "run", "--continue"])

    def kill_beside(self) -> bool:
        return self._kill([process.pid for _, process, _ in self._beside])

    # Within.

    def _any(self, wanted: Callable[[Path], bool] = lambda _: True) -> Path | None:
        found = [path for path in self.drops if wanted(path)]
        return self.dice.choice(found) if found else None

    def _alone(self, path: Path) -> bool:
        """Whether no other drop's video is made of this file."""
        mine = [self.drop_of(other) for other in self.drops].count(self.drop_of(path))
        return mine == 1 and path.stat().st_nlink <= 2

    def _clip(self, kind: str) -> Path:
        """One of the pool's, as a film of its own: the same content twice is one video, whatever its names."""
        return clips.apart(self.dice.choice(sorted(self.pool.glob(f"{kind}*.mp4"))), self._fresh())

    def _fresh(self) -> int:
        self._number += 1
        return self._number

    def _save(self, path: Path, data: bytes) -> bool:
        """As an editor does: a new file in the place of the old one, or into the old one."""
        if self._full:
            return False
        if self.dice.random() < 0.5:
            path.write_bytes(data)
            return True
        part = path.with_name(f".{path.name}.swp")
        part.write_bytes(data)
        part.replace(path)
        return True

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        self._later.append((time.monotonic() + seconds, action))

    def _free(self) -> None:
        self.home.free()
        self._full = False

    def _go_on(self) -> None:
        self.home.signal(signal.SIGCONT)
        self._held = False

    def _gone(self, pids: set[int]) -> None:
        for pid, (parent, line) in self.home.processes().items():
            if pid in pids and parent == 1:
                self.wrong.append(f"20 s after a kill -9 of the daemon this still runs: {pid} {line}")

    def _kill(self, pids: list[int]) -> bool:
        if not pids:
            return False
        with suppress(ProcessLookupError):
            os.kill(self.dice.choice(pids), signal.SIGKILL)
        return True

    def _run(self, name: str, words: list[str]) -> bool:
        if len(self._beside) >= 2:
            return False
        out = self.home.side / f"beside-{self._fresh()}.log"
        self._beside.append((name, self.home.command(words, out), out))
        return True
