"""A daemon under everything that can happen to it, for half an hour; then: is all as if nothing had happened?

    python -m benchmarks.soak [--minutes 30] [--seed 1] [--keep FOLDER]

`dubd watch` works in a folder of its own, on a small disk of its own where root allows that, with a simulated GPU.
Small clips are dropped, renamed, replaced, removed; daemon, workers and nursery are killed; the disk is full and free
again, the GPU lost and back; rules and translations are edited; `dubd run`, `dubd status` and plain doit run beside it.
In the last two fifths of the time the daemon itself is left alive, to see whether it grows. In the end every drop that
is there must be dubbed once, byte for byte as by an undisturbed build, and nothing may be left over. Exits 1 otherwise.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks import soak_checks as checks
from benchmarks import soak_clips as clips
from benchmarks.soak_events import Events
from benchmarks.soak_home import Home

_BETWEEN = (0.5, 10.0)  # s from one event to the next
_STEADY = 0.6  # share of the time after which the daemon is not ended any more


def storm(home: Home, events: Events, lives: checks.Lives, minutes: float) -> None:
    """Event after event."""
    home.start()
    began = time.monotonic()
    end, following = began + minutes * 60, began + 5.0
    while (now := time.monotonic()) < end:
        events.tick()
        look(home, events, lives)
        events.steady = now - began > minutes * 60 * _STEADY
        if now >= following and (name := events.happen()):
            print(f"{now - began:7.1f} s  {name}", file=sys.stderr, flush=True)
            following = time.monotonic() + events.dice.uniform(*_BETWEEN)
        time.sleep(0.2)
    events.calm()


def look(home: Home, events: Events, lives: checks.Lives) -> None:
    """The daemon must be there; it is started again where it is not."""
    assert home.daemon
    if home.daemon.poll() is not None:
        events.wrong.append(f"the daemon ended by itself with {home.daemon.returncode}")
        home.start()
    lives.sample(home.daemon.pid)


def fresh(home: Home, events: Events) -> Counter[str]:
    """Descriptors of a new daemon, at rest after one clip of each kind."""
    if code := home.stop():
        events.wrong.append(f"at the end the daemon stopped with {code}")
    home.start()
    time.sleep(10)
    for number, (kind, name) in enumerate((("quick", "drawn0"), ("card", "drawn1"), ("lips", "face0"))):
        path = home.inbox / kind / f"last {number}.mp4"
        events.drops[path] = Path(events.pool, f"{name}.mp4")
        clips.put(events.drops[path], path)
    checks.rest(home, events)
    return checks.open_now(home)


def main() -> int:
    """The soak, the comparison, and a line for each figure."""
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--minutes", type=float, default=30.0)
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--keep", type=Path, help="copy what is left there, to look into it")
    asked = args.parse_args()
    dice, lives = random.Random(asked.seed), checks.Lives()
    with tempfile.TemporaryDirectory(prefix="dubd-soak-") as folder:
        pool = Path(folder, "clips")
        pool.mkdir()
        for number in range(24):
            clips.drawn(pool, number, dice)
        for number in range(4):
            clips.cut(pool, number)
        home = Home(Path(folder, "soaked"), disk=True)
        events = Events(home, pool, dice)
        wrong = events.wrong
        try:
            if not home.mounted:
                print("no disk of its own could be mounted: it is never full in this run")
            storm(home, events, lives, asked.minutes)
            found = checks.rest(home, events)
            look(home, events, lives)
            old = checks.open_now(home)
            new = fresh(home, events)
            found = checks.standing(home)
            videos = checks.dubs(home, events, found, wrong)
            if code := home.stop():
                wrong.append(f"at the very end the daemon stopped with {code}")
            descriptors = checks.files_open(old, new, wrong)
            checks.leftovers(home, wrong)
            ran = checks.once(home, events, wrong)
            said = home.said.read_text(errors="replace")
            if "Traceback" in said:
                wrong.append(f"the daemon printed a traceback: {said[said.index('Traceback') :][:2000]}")
            caught = tracebacks(home)
            equal = checks.undisturbed(Path(folder, "undisturbed"), home, events, wrong)
        finally:
            try:
                if asked.keep:
                    shutil.copytree(home.root, asked.keep / "home", symlinks=True)
                    shutil.copy(home.said, asked.keep / "daemon.log")
            finally:
                home.close()
    print(f"{asked.minutes:g} min, seed {asked.seed}: {sum(events.counts.values())} events")
    print("  " + ", ".join(f"{count} {name}" for name, count in sorted(events.counts.items())))
    print(f"{len(events.drops)} drops at the end, {videos} videos of theirs; of {len(found)} videos in all")
    print(f"{len(events.stuck)} of them failed before and waited for somebody: a worker was killed twice in a row")
    print(f"{equal} results equal to an undisturbed build; {len(events.edits)} hand edits")
    print(", ".join(f"{count} {name}" for name, count in sorted(ran.items(), reverse=True)))
    for line in lives.figures(wrong):
        print(f"RSS, {line}")
    print(f"descriptors: {descriptors}")
    for line, count in caught.most_common():
        print(f"caught in dubd.log: {count} x {line}")
    print(*(f"WRONG: {line}" for line in wrong), sep="\n")
    print(f"{len(wrong)} things went wrong")
    return int(bool(wrong))


def tracebacks(home: Home) -> Counter[str]:
    """The last line of each traceback that the daemon has logged."""
    found: Counter[str] = Counter()
    for log in (home.workspace / ".log").glob("dubd.log*"):
        text = log.read_text(errors="replace")
        for match in re.finditer(r"^Traceback .*?\n(?:[ \t].*\n)+(\S.*)", text, re.MULTILINE):
            found[re.sub(r"\d+", "N", match[1])[:160]] += 1
    return found


if __name__ == "__main__":
    sys.exit(main())
