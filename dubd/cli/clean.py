"""dubd clean: free the disk of what can be made again."""

from __future__ import annotations

import re
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from dubd.cli.chosen import chosen, complete
from dubd.cli.console import say, show_json
from dubd.errors import DubdError, Exit
from dubd.folders import Folders

_UNITS = {"": 86400, "h": 3600, "d": 86400, "w": 7 * 86400}


class Keep(StrEnum):
    """What stays of a video."""

    final = "final"
    nothing = "nothing"


def clean(
    videos: Annotated[
        list[str] | None, typer.Argument(metavar="VIDEO...", help="All by default.", autocompletion=complete)
    ] = None,
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="AGE", help="Finished that long ago: 12h, 30d, 4w.")
    ] = "0d",
    keep: Annotated[
        Keep,
        typer.Option("--keep", help="final: the dub, subtitles, report, texts, hand edits, source. nothing: no video."),
    ] = Keep.final,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only tell what would be freed.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Free the disk of what can be made again. Only finished videos are touched, and no hand's work.

    A cleaned video counts as done. An edit of one of its texts makes again what follows from it, and only that.
    """
    from dubd.graph.video import videos as all_videos
    from dubd.service.cleaning import cleaned
    from dubd.service.gpus import size

    folders = Folders.find()
    older = _seconds(older_than)
    wanted = [chosen(name, folders) for name in videos] if videos else list(all_videos(folders.workspace))
    done = [cleaned(folder, keep.value, older, folders.inbox, dry=dry_run) for folder in wanted]
    if json:
        show_json([asdict(one) for one in done])
        return
    for one in done:
        if one.left:
            say(f"{one.video}: left as it is: {one.left}", "yellow")
        else:
            verb = "would free" if dry_run else "freed"
            say(f"{one.video}: {verb} {size(one.bytes >> 20)} in {one.files} {'file' if one.files == 1 else 'files'}")


def _seconds(text: str) -> float:
    """An age such as 12h, 30d or 4w in seconds; a bare number is days."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([hdw]?)", text)
    if not found:
        raise DubdError(f"no age in {text!r}", remedy="write 12h, 30d or 4w", exit=Exit.USAGE)
    return float(found[1]) * _UNITS[found[2]]
