"""What must hold after a soak; each check returns its figures and appends what is wrong to a list."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.soak_events import Events
from benchmarks.soak_home import RULES, Home, descriptors, resident
from dubd.graph.state import owner

_RAN = re.compile(r"^\S+ \S+ (\S+) ran (\S+)s (.*)$")
_ONCE = ("extract", "transcribe", "voice", "translate", "faces")
_NO_CAUSE = re.compile(r"never built|is missing")
_UP = 45.0  # s that a daemon has to start and to begin its first build on a busy machine
_GROWTH = 8.0  # MiB that a daemon's RSS may grow over the last nine tenths of a life: 5.8 were measured in 12 minutes
_SLOPE = 0.8  # MiB/min over the second half of a long life, once all code is loaded: 0.5 were measured under events
_LONG = 600.0  # s of a life from which half says more than the noise


@dataclass
class Lives:
    """RSS of each life of the daemon over time, in MiB."""

    lives: list[list[tuple[float, float]]] = field(default_factory=list)
    _pid: int = 0
    _when: float = 0.0

    def sample(self, pid: int) -> None:
        """At most every 2 s."""
        now = time.monotonic()
        if now - self._when < 2.0 or not (mib := resident(pid)):
            return
        self._when = now
        if pid != self._pid:
            self._pid = pid
            self.lives.append([])
        self.lives[-1].append((now, mib))

    def figures(self, wrong: list[str]) -> list[str]:
        """A line for each life of two minutes and more, from when it was up."""
        found = []
        for number, whole in enumerate(self.lives, 1):
            life = [point for point in whole if point[0] - whole[0][0] >= _UP]
            if not life:
                continue
            seconds = life[-1][0] - life[0][0]
            if seconds < 120:
                continue
            at = {share: life[min(len(life) - 1, len(life) * share // 100)][1] for share in (10, 50, 100)}
            late = [point for point in life if point[0] - life[0][0] >= seconds / 10]
            slope = _slope(late) * 60
            words = ", ".join(f"{mib:.1f} MiB at {share} %" for share, mib in at.items())
            found.append(f"life {number}, {seconds / 60:.1f} min: {words}; slope {slope:+.2f} MiB/min")
            half = [point for point in life if point[0] - life[0][0] >= seconds / 2]
            if at[100] - at[10] > _GROWTH or (seconds >= _LONG and _slope(half) * 60 > _SLOPE):
                wrong.append(f"the daemon grew: {found[-1]}")
        return found


def _slope(points: list[tuple[float, float]]) -> float:
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread if spread else 0.0


def standing(home: Home) -> Mapping[str, Mapping[str, Any]]:
    """`dubd status --json` by video."""
    command = [sys.executable, "-m", "dubd", "status", "--json"]
    done = subprocess.run(command, env=home.environ, cwd="/", capture_output=True, text=True, timeout=300, check=True)
    return {video["video"]: video for video in json.loads(done.stdout)["videos"]}


def rest(home: Home, events: Events, minutes: float = 4.0) -> Mapping[str, Mapping[str, Any]]:
    """Wait until every surviving drop is dubbed and nothing is built, for 40 s on end; then how it stands.

    What the daemon tries again by itself it has tried after 60 s. A video that has failed then waits for somebody, as
    it may where a worker was killed twice in a row: SIGHUP is that somebody, once, and `dubs` has the reason.
    """
    end, since, idle, asked = time.monotonic() + minutes * 60, 0.0, 0.0, False
    while True:
        found = standing(home)
        wanted = {events.drop_of(path) for path in events.drops}
        done = all(name in found and found[name]["state"] == "done" for name in wanted)
        building = any(video["pid"] is not None for video in found.values())
        now = time.monotonic()
        idle = 0.0 if building else idle or now
        since = since or now if done and idle else 0.0
        if (since and now - since > 40) or now > end:
            return found
        if not asked and not done and idle and now - idle > 90:
            events.stuck += [found[name] for name in wanted if name in found and found[name]["state"] == "failed"]
            home.signal(signal.SIGHUP)
            asked, idle = True, 0.0
        time.sleep(4)


def dubs(home: Home, events: Events, found: Mapping[str, Mapping[str, Any]], wrong: list[str]) -> int:
    """Every surviving drop is dubbed; how many videos these are."""
    for stuck in events.stuck:
        said = [str(failed["reason"]) for failed in stuck["failed"] if "not tried" not in failed["reason"]]
        if not all("in a row" in reason for reason in said):
            wrong.append(f"{stuck['video']} was not tried again: {said}")
    wanted = sorted({events.drop_of(path) for path in events.drops})
    for name in wanted:
        state = found.get(name, {}).get("state", "not there")
        if state != "done":
            why = json.dumps({key: found.get(name, {}).get(key) for key in ("failed", "waiting", "drop")})[:900]
            wrong.append(f"{name}: {state} at the end: {why}")
    for (video, path), data in events.edits.items():
        file = home.workspace / video / path
        if file.exists() and file.read_bytes() != data:
            wrong.append(f"{video}: the hand edit of {path} is lost")
    return len(wanted)


def undisturbed(side: Path, home: Home, events: Events, wrong: list[str]) -> int:
    """Build the same drops in a fresh home, put the same edits in, build again: how many results are equal."""
    fresh = Home(side, disk=False)
    try:
        for name in RULES:
            shutil.copy(home.rules / f"{name}.yaml", fresh.rules / f"{name}.yaml")
        for path in events.drops:
            title = events.drop_of(path).rpartition("-")[0].replace("-", " ")  # the first name, which the dub bears
            for each in (path, path.with_suffix(".srt")):
                if each.exists():
                    target = fresh.inbox / path.parent.relative_to(home.inbox) / f"{title}{each.suffix}"
                    target.parent.mkdir(exist_ok=True)
                    shutil.copyfile(each, target)
        for edits in (False, True):
            for (video, name), data in events.edits.items():
                if edits and (folder := _like(fresh, video)):
                    (folder / name).write_bytes(data)
            if code := fresh.start("--until-idle").wait(1200):
                wrong.append(f"the undisturbed build ended with {code}: {fresh.said.read_text()[-900:]}")
        equal = 0
        for video in sorted({events.drop_of(path) for path in events.drops}):
            folder = _like(fresh, video)
            if folder is None or not (folder / "dubbed.es.mp4").exists():
                wrong.append(f"{video} has no undisturbed build")
                continue
            made_there = [path for word in ("*.es.*", "original.*") for path in folder.glob(word)]
            for made in sorted(made_there):
                ours = home.workspace / video / made.name
                if ours.exists() and ours.read_bytes() == made.read_bytes():
                    equal += 1
                else:
                    wrong.append(f"{video}/{made.name} {'differs' if ours.exists() else 'is not there'}")
        return equal
    finally:
        fresh.close()


def _like(fresh: Home, video: str) -> Path | None:
    """The video of the same content in another home, where its drop may have another name."""
    return next(fresh.workspace.glob(f"*-{video.rpartition('-')[2]}"), None)


def once(home: Home, events: Events, wrong: list[str]) -> Counter[str]:
    """How many tasks ran, and ran again and why; what comes before the sound may run once only."""
    counts: Counter[str] = Counter()
    for log in sorted(home.workspace.glob("*/log/build.log")):
        video = log.parent.parent.name
        before: set[str] = set()
        for line in log.read_text(errors="replace").splitlines():
            if not (match := _RAN.match(line)):
                continue
            task, why = match[1], match[3].strip()
            counts["tasks ran"] += 1
            if task in before:
                cause = "edited by hand" if "by hand" in why else "a rule or an input changed"
                cause = "a run that did not finish" if "did not finish" in why else cause
                counts[f"again for {cause}"] += 1
                stage = task.rpartition("/")[2].rpartition(":")[2]
                if video not in events.overwritten and (
                    task.startswith("plan:") or stage in _ONCE or _NO_CAUSE.search(why)
                ):
                    wrong.append(f"{task} ran again: {why}")
            before.add(task)
    return counts


def leftovers(home: Home, wrong: list[str]) -> None:
    """After the daemon has ended: processes, temporary files, locks, leases."""
    end = time.monotonic() + 30
    while (alive := home.processes()) and time.monotonic() < end:
        time.sleep(0.5)
    wrong += [f"still runs after the daemon: {pid} {line}" for pid, (_, line) in alive.items()]
    stray = [path for path in home.root.rglob("*") if path.name.startswith(".tmp-") or path.name.endswith(".part")]
    stray += list((home.side / "tmp").iterdir())
    wrong += [f"left behind: {path}" for path in stray]
    wrong += [
        f"still locked: {folder}"
        for folder in home.workspace.iterdir()
        if folder.is_dir() and owner(folder) is not None
    ]
    command = [sys.executable, "-m", "dubd", "gpu", "--json"]
    done = subprocess.run(command, env=home.environ, cwd="/", capture_output=True, text=True, timeout=120, check=True)
    for device in json.loads(done.stdout)["devices"]:
        wrong += [f"a lease is left: {lease}" for lease in device["leases"]]


def files_open(old: Counter[str], new: Counter[str], wrong: list[str]) -> str:
    """The descriptors of a daemon that has lived long against those of one that has just done a little."""
    for kind in old:
        workers = 6 if kind in ("pipe", "anon_inode:[pidfd]") else 2  # a few workers more may be warm
        if old[kind] > new[kind] + workers:
            wrong.append(f"descriptors leak: {old[kind]} {kind} at rest, {new[kind]} in a fresh daemon")
    return f"{sum(old.values())} at rest ({_kinds(old)}), {sum(new.values())} in a fresh daemon ({_kinds(new)})"


def _kinds(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))


def open_now(home: Home) -> Counter[str]:
    """Those of the daemon."""
    return descriptors(home.daemon.pid) if home.daemon else Counter()
