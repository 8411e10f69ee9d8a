"""dubd retry: have the daemon try once more what failed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dubd.cli.chosen import chosen, complete
from dubd.cli.console import say
from dubd.errors import DubdError, Exit
from dubd.folders import Folders

_FAILED = ("failed", "broken")
_REMEDIES = {
    "done": "edit an artifact or its rule to change it",
    "building": "wait for it: dubd status",
    "superseded": "another film lies in its drop's place; drop the first one again to have it dubbed",
    "removed": "its drop is gone; drop it again to have it dubbed",
    "kept": "its film is gone, and the dub stays; drop it again to have it dubbed anew",
}


def retry(
    videos: Annotated[
        list[str] | None,
        typer.Argument(metavar="VIDEO...", help="Videos, or drops that were refused.", autocompletion=complete),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Whatever failed.")] = False,
) -> None:
    """Try once more what failed: the daemon that is running does, keeping all that is finished.

    Without a daemon nothing is noted: the next dubd watch tries everything at its start.
    """
    from dubd.service import retries
    from dubd.service.standing import standing

    folders = Folders.find()
    if bool(videos) == everything:
        raise DubdError("which video?", remedy="name videos, or say --all", exit=Exit.USAGE)
    found = standing(folders)
    wanted = _failed(found) if everything else [_named(text, folders, found) for text in videos or ()]
    if not wanted:
        say("nothing has failed")
        return
    if not retries.watched(folders.workspace):
        names = ", ".join(path.name for path in wanted[:3])
        more = f" and {len(wanted) - 3} more" if len(wanted) > 3 else ""
        raise DubdError(
            f"no daemon watches {folders.workspace}",
            remedy=f"start dubd watch, which tries everything, or dubd run {names}{more}",
            exit=Exit.USAGE,
        )
    for path in wanted:
        try:
            retries.ask(folders.workspace, path)
        except OSError as error:
            raise DubdError(
                f"cannot be written: {error.strerror}",
                file=error.filename,
                remedy="make the workspace writable",
                exit=Exit.WORKSPACE,
            ) from error
        say(f"{path.name}: the daemon tries it again; dubd status tells how it goes")


def _failed(found: dict[str, Any]) -> list[Path]:
    videos = [Path(video["folder"]) for video in found["videos"] if video["state"] in _FAILED]
    return [*videos, *(Path(drop["file"]) for drop in found["drops"] if drop["error"])]


def _named(text: str, folders: Folders, found: dict[str, Any]) -> Path:
    """A video's folder, or a drop that has none. Errors: DubdError(Exit.USAGE) where there is nothing to try."""
    path = Path(text).absolute()
    if str(path) in [drop["file"] for drop in found["drops"]]:
        return path
    dropped = [video for video in found["videos"] if path == Path(str(video.get("drop")))]
    counts = min(dropped, key=lambda video: bool(video["state"] == "superseded"), default=None)
    folder = Path(counts["folder"]) if counts else chosen(text, folders)
    state = next((video["state"] for video in found["videos"] if video["folder"] == str(folder)), "")
    if remedy := _REMEDIES.get(state):
        raise DubdError(f"is {state}: there is nothing to try again", file=folder.name, remedy=remedy, exit=Exit.USAGE)
    return folder
