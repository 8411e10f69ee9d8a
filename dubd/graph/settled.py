"""Is a video as it was left: one stat per file instead of a walk over its graph."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from doit.task import Task

from dubd.engines import registry
from dubd.errors import DubdError
from dubd.graph import content, steps
from dubd.graph.catalogue import VERSIONS
from dubd.graph.needed import own_paths
from dubd.graph.state import State
from dubd.graph.video import RULE, SUBTITLES
from dubd.models import store

_NOTE = "settled"


@dataclass(frozen=True)
class Settled:
    """A finished build: its task names with their stages, in order."""

    tasks: Sequence[tuple[str, str]]


def settled(state: State) -> Settled | None:
    """What was built, where no file, engine or stage has changed since; None where a build must look closer."""
    note = state.note(_NOTE)
    if note is None:
        return None
    if not note.get("cleaned"):  # what was cleaned away is not made again for a newer engine's sake
        try:
            known = {(stage, name): revision for stage, name, revision in note["engines"]}
            if note["code"] != _code() or any(registry.find(*one).revision() != was for one, was in known.items()):
                return None
        except DubdError:
            return None
    if _signature(state, note["files"]) != note["signature"]:
        return None
    return Settled([(name, stage) for name, stage in note["tasks"]])


def tasks(state: State) -> frozenset[str]:
    """The tasks of the last finished build; none where it is not finished."""
    return frozenset(name for name, _ in (state.note(_NOTE) or {"tasks": ()})["tasks"])


def untouched(state: State) -> bool:
    """Whether everything was built and no file has changed since; engines and versions are not asked."""
    note = state.note(_NOTE)
    return note is not None and bool(_signature(state, note["files"]) == note["signature"])


Stamp = tuple[int, int, int] | None


def stamps(state: State) -> dict[str, Stamp]:
    """The files that a build is made from before its first task is: taken before they are read."""
    return {name: content.stamp(state.absolute(name)) for name in (RULE, *SUBTITLES)}


def settle(state: State, tasks: Iterable[Task], read: Mapping[str, Stamp]) -> None:
    """Remember that everything is built, and from what; a sidecar that is not there counts as well.

    Not where a file is no longer as its tasks used it (`read` has those that no task's record has): it was edited
    while the build went on, and the next build must look closer.
    """
    made = [task for task in tasks if task.meta]
    if any(content.stamp(state.absolute(name)) != stamp for name, stamp in read.items()):
        return
    files = set(read)
    for task in made:
        for path in task.file_dep:
            known, found = state.get(task.name, path), content.stamp(path)
            if known is None or found is None or (known[0], known[1]) != (found[2], found[1]):
                return
        files.update(state.relative(path) for path in (*task.file_dep, *task.targets))
        if mine := own_paths(task.meta["ticket"].models):
            used = task.uptodate[0][0].key["engine"]["models"]
            if used != [store.identity(model) for model in task.meta["ticket"].models]:
                return
            files.update(state.relative(str(path)) for path in mine)
    engines = set()
    for task in made:
        if (ticket := task.meta["ticket"]).engine:
            helpers = task.uptodate[0][0].key["engine"].get("helpers", ())
            engines |= {(ticket.stage, name) for name in (ticket.engine, *helpers)}
    ordered = sorted(files)
    state.set_note(
        _NOTE,
        {
            "code": _code(),
            "engines": [[stage, name, registry.find(stage, name).revision()] for stage, name in sorted(engines)],
            "files": ordered,
            "signature": _signature(state, ordered),
            "tasks": [[task.name, task.meta["ticket"].stage] for task in made],
        },
    )


def clean(state: State, gone: Set[str]) -> None:
    """The files `gone` (relative to the folder) are about to be removed: the video is as it was left without them.

    What is left keeps it settled: an edit, another rule or another sidecar makes it whole again, from its source.
    """
    note = state.note(_NOTE)
    files = [path for path in note["files"] if path not in gone]
    state.set_note(_NOTE, note | {"files": files, "signature": _signature(state, files), "cleaned": True})


def unsettle(state: State) -> None:
    """A build is about to change something."""
    state.set_note(_NOTE, None)


def _code() -> str:
    """Changes with the versions of the stages and with the code that makes keys of rules and plans."""
    return f"{sorted(VERSIONS.items())} {content.digest(steps.__file__)}"


def _signature(state: State, files: Iterable[str]) -> str:
    signature = hashlib.sha256()
    for path in files:
        found = content.stamp(state.absolute(path))
        signature.update(f"{path}\0{found and found[1:]}\n".encode())  # not the inode: a moved workspace is the same
    return signature.hexdigest()
