"""What a video is made of at a glance, and whether a hand has changed it since."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from dubd.engines import registry
from dubd.errors import DubdError
from dubd.graph import content
from dubd.graph.needed import active, of_rule, own_paths
from dubd.graph.promote import beside_name, edited
from dubd.graph.rules import load
from dubd.graph.state import State
from dubd.graph.video import NEWER, RULE, Video

Known = tuple[str, int, int, int]
Signature = tuple[Known, ...]

OURS = ("report.json", "report.html", "log")  # written around a build: they make nothing stale


def signature(folder: Path) -> Signature:
    """(path, inode, size, mtime in ns) of every file that a person may have changed, sorted."""
    found: list[Known] = []
    folders = [str(folder)]
    while folders:
        try:
            entries = list(os.scandir(folders.pop()))
        except OSError:
            continue  # vanished meanwhile
        for entry in entries:
            if entry.name.startswith(".") or entry.name in OURS:
                continue
            try:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    stat = entry.stat(follow_symlinks=False)
                    found.append((entry.path, stat.st_ino, stat.st_size, stat.st_mtime_ns))
            except OSError:
                continue
    return tuple(sorted(found))


def of_video(folder: Path) -> Signature:
    """The signature of a video's folder, and of its rule's glossary and own models, which may lie anywhere.

    A newer rule beside one that was edited by hand does not count: the edited one does.
    """
    beside = str(folder / NEWER)
    found = {known for known in signature(folder) if known[0] != beside}
    outside = filter(None, map(stamp, named(folder)))
    return tuple(sorted({*found, *outside}))


def named(folder: Path) -> set[Path]:
    """The files that a video's rule names, wherever they lie: its glossary and own models, also those that lack."""
    try:
        if not _points_outside(folder / RULE, content.stamp(str(folder / RULE))):
            return set()
        rule = Video.open(folder).rule
        paths = own_paths(model for models in of_rule(rule).values() for model in models)
    except DubdError as error:
        return {Path(absent) for each in error.each() for absent in each.absent}
    except Exception:  # whatever is wrong with the rule, its build says it
        return set()
    if rule.stages.translate.glossary:
        paths.add(rule.stages.translate.glossary)
    return paths


def stamp(path: Path, *, follow: bool = True) -> Known | None:
    """What a signature says of a file; None where it is not there now."""
    try:
        stat = os.stat(path, follow_symlinks=follow)
    except (OSError, ValueError):  # also what no path can be is not there
        return None
    return str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns


@lru_cache(maxsize=1 << 16)  # of 300 bytes each; a rule that was read is read again once its file is another
def _points_outside(path: Path, _stamp: tuple[int, int, int] | None) -> bool:
    """Whether a rule may name files outside of its video's folder, as few do. Errors: DubdError."""
    rule = load(path, ready=False)
    engines = [registry.find(stage, chosen.engine) for stage, chosen in active(rule)]
    mine = own_paths(model for models in of_rule(rule).values() for model in models)
    return bool(rule.stages.translate.glossary or mine or any(engine.operator_params for engine in engines))


def by_hand(folder: Path, before: Signature, after: Signature) -> bool:
    """Whether anything but the machine's own artifacts changed between two looks at a video."""
    changed = {path for path, *_ in set(before) ^ set(after)}
    if not changed or not folder.is_dir():
        return False
    state = State(folder)
    try:
        made = {state.absolute(path) for path, _, _ in state.all_made()}
        ours = {path for path in made if path in changed and os.path.exists(path) and not edited(state, path)}
    finally:
        state.close()
    return bool(changed - ours - {beside_name(path) for path in made})
