"""How much of a dub's picture was changed: a video without a face is dubbed too, and has to say so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Shares = dict[str, float]
"""`faces` and `changed`: the shares of all frames with a face, and with changed lips, 0..1."""


def lips(
    runs: Mapping[str, Mapping[str, Any]], plan: Mapping[str, Any] | None, languages: Iterable[str]
) -> dict[str, Shares]:
    """The shares by language, of the last runs of the video's tasks and its plan.

    A language is left out where lips are not asked for, not done yet, or made by an engine that does not tell.
    """
    facts = {task.partition(":")[2]: run["facts"] for task, run in runs.items() if run["state"] == "ran"}
    segments = {segment["id"]: segment["frames"] for segment in (plan or {"segments": ()})["segments"]}
    total = sum(segments.values())
    found: dict[str, Shares] = {}
    for language in languages:
        own = any(f"{segment}/{language}/lipsync" in facts for segment in segments)  # the first one has no folder
        seen = changed = 0.0
        for segment, frames in segments.items():
            synced = facts.get(f"{segment}/{language}/lipsync" if own else f"{segment}/lipsync", {})
            faces = facts.get(f"{segment}/faces", {})
            if "seen" not in faces or ("changed" not in synced and faces["seen"] > 0):
                break
            seen += faces["seen"] * frames
            changed += synced.get("changed", 0)
        else:
            if total:
                found[language] = {"faces": seen / total, "changed": changed / total}  # not rounded: little is not none
    return found


def said(shares: Shares) -> str:
    """The shares as the end of a line about a dub."""
    faces, changed = shares["faces"], shares["changed"]
    if not faces:
        return "no face found: the picture is as it was"
    if not changed:
        return f"no lips changed, though a face is in {_percent(faces)} of the frames: the picture is as it was"
    return f"lips changed in {_percent(changed)} of the frames, a face is in {_percent(faces)}"


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else "under 1%"
