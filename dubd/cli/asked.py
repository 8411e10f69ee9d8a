"""Which rule is meant: by its name, its file, or a video that has one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dubd.errors import DubdError, Exit
from dubd.folders import Folders

if TYPE_CHECKING:
    from dubd.graph.rule import Rule


def asked(text: str, folders: Folders) -> Rule:
    """The rule that `text` names, read; whether its engines can run here is not asked.

    Errors: DubdError; `also` has further faults of the rule.
    """
    from dubd.graph.rules import load

    return load(file_of(text, folders), ready=False)


def file_of(text: str, folders: Folders) -> Path:
    """The rule file that `text` names: in the rules folder, by its path, or that of a video in the workspace.

    Errors: DubdError where it is none of these.
    """
    from dubd.graph.rules import SUFFIXES, Rules
    from dubd.graph.video import RULE, videos

    rules = Rules(folders.rules)
    if text.endswith(SUFFIXES):
        return Path(text)
    for path in rules.paths():
        if path.stem == text:
            return path
    found = [folder for folder in videos(folders.workspace) if text and folder.name.startswith(text)]
    if len(found) == 1 or any(folder.name == text for folder in found):
        return folders.workspace / (text if len(found) > 1 else found[0].name) / RULE
    raise _none(text, [path.stem for path in rules.paths()], folders)


def _none(text: str, known: list[str], folders: Folders) -> DubdError:
    import difflib

    close = difflib.get_close_matches(text, known, n=1)
    remedy = f"did you mean {close[0]}?" if close else f"known: {', '.join(known) or 'none'}"
    return DubdError(f"no rule {text!r} in {folders.rules}", remedy=remedy, exit=Exit.USAGE)


def readable(folders: Folders) -> list[Rule]:
    """Every rule of the folder that can be read; `dubd rules check` tells of the others."""
    from dubd.graph.rules import Rules, check

    found = (check(path, ready=False)[0] for path in Rules(folders.rules).paths())
    return [rule for rule in found if rule is not None]
