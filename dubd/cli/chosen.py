"""Which video is meant: by its id, the start of one, its folder, or the file that was dropped."""

from __future__ import annotations

import difflib
from pathlib import Path

from dubd.errors import DubdError, Exit
from dubd.folders import Folders


def chosen(text: str, folders: Folders) -> Path:
    """The folder of the video that `text` names. Errors: DubdError(Exit.USAGE) where it is none or several."""
    from dubd.graph.video import content_key, slug, videos

    known = list(videos(folders.workspace))
    path = Path(text).absolute()
    for folder in known:
        if folder.name == text or path == folder or (path.is_dir() and path.resolve() == folder.resolve()):
            return folder
    if path.is_file():
        whole = f"{slug(path.stem)}-{content_key(path)}"
        found = [folder for folder in known if folder.name == whole]
        found = found or [folder for folder in known if path.is_relative_to(folder)]
    else:
        found = [folder for folder in known if folder.name.startswith(text)]
    if len(found) == 1:
        return found[0]
    names = [folder.name for folder in known]
    if found:
        remedy = f"did you mean {' or '.join(folder.name for folder in found[:4])}?"
        raise DubdError("names several videos", file=text, remedy=remedy, exit=Exit.USAGE)
    close = difflib.get_close_matches(text, names, n=1)
    if close:
        remedy = f"did you mean {close[0]}?"
    elif path.is_file():
        remedy = f"dub it first: dubd run {text}"
    else:
        remedy = "see dubd status" if known else f"{folders.workspace} is empty: dubd run VIDEO"
    raise DubdError("no such video in the workspace", file=text, remedy=remedy, exit=Exit.USAGE)


def complete(incomplete: str) -> list[str]:
    """The ids that the shell may complete to."""
    workspace = Folders.find().workspace
    if not workspace.is_dir():
        return []
    return sorted(folder.name for folder in workspace.iterdir() if folder.name.startswith(incomplete or ""))
