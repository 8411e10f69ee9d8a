"""Rules: a folder of them, which one a drop gets, and what of them must be at hand."""

from __future__ import annotations

import difflib
import shlex
from fnmatch import fnmatch
from pathlib import Path

from dubd.engines import registry
from dubd.errors import DubdError, Exit
from dubd.graph import sidecar
from dubd.graph.marked import Marked
from dubd.graph.rule import Rule, dump, several, with_clip
from dubd.graph.rule_check import check, load, near

__all__ = ["SUFFIXES", "Rule", "Rules", "check", "dump", "load", "require_recogniser", "unrecognised", "with_clip"]

SUFFIXES = sidecar.RULES


def unrecognised(rule: Rule) -> str:
    """Why a video needs subtitles beside it: the rule's recogniser lacks its language. Empty where it does not."""
    chosen = rule.stages.transcribe
    engine = registry.find("transcribe", chosen.engine)
    if any(engine.refuses(rule.languages.source, target) for target in rule.languages.target):
        return f"{chosen.engine} cannot recognise {rule.languages.source!r}"
    return ""


def require_recogniser(rule: Rule, video: Path) -> None:
    """Refuse a video without subtitles whose language the rule's recogniser lacks. Errors: DubdError(Exit.RULE)."""
    if lack := unrecognised(rule):
        raise DubdError(
            lack,
            file=video,
            stage="transcribe",
            remedy=f"name an engine that can in the rule {rule.name}, or put {video.stem}.srt beside the video",
            exit=Exit.RULE,
        )


class Rules:
    """A folder of rule files; a rule's name is that of its file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def paths(self) -> list[Path]:
        """Every rule file, by name."""
        return sorted(path for path in self.folder.glob("*") if path.suffix in SUFFIXES and path.is_file())

    def all(self) -> list[Rule]:
        """Every rule. Errors: DubdError of the first that is wrong."""
        return [load(path) for path in self.paths()]

    def named(self, name: str) -> Rule:
        """The rule called `name`. Errors: DubdError with a did-you-mean."""
        found = self._find(name)
        if found is None:
            known = tuple(path.stem for path in self.paths())
            raise DubdError(f"no rule {name!r} in {self.folder}", remedy=near(name, known), exit=Exit.RULE)
        return load(found)

    def for_drop(self, path: Path, inbox: Path) -> Rule:
        """The rule of a drop: its sidecar, else its folder's name, else `match` globs, else the default.

        A folder whose name is nearly that of a rule is taken for a slip, not for a plain folder. A rule
        file that is wrong fails the drops that it would have been chosen for, and no others.
        Errors: DubdError(Exit.RULE).
        """
        if beside := sidecar.beside(path, SUFFIXES):
            return load(beside, beside=True, inside=inbox if path.is_relative_to(inbox) else None)
        inside = path.relative_to(inbox) if path.is_relative_to(inbox) else Path(path.name)
        for folder in reversed(inside.parts[:-1]):
            if found := self._find(folder):
                return load(found)
            if close := difflib.get_close_matches(folder, [rule.stem for rule in self.paths()], n=1, cutoff=0.8):
                raise DubdError(
                    f"no rule {folder!r} for this folder", file=path, remedy=f"did you mean {close[0]}?", exit=Exit.RULE
                )
        return self._chosen(inside, path)

    def require_kept(self, old: Rule, new: Rule, video: Path) -> None:
        """Refuse another rule for a video whose own one was taken out of the folder: it would be dubbed anew unasked.

        A rule from beside the video may go as it came; a file that got but another name is the same rule.
        Errors: DubdError(Exit.RULE).
        """
        if (
            old.name in (new.name, video.stem)
            or self._find(old.name)
            or old.model_copy(update={"name": new.name}) == new
        ):
            return
        raise DubdError(
            f"its rule {old.name} is no longer in {self.folder}, and by {new.name} it would be dubbed anew",
            file=video,
            remedy=f"put it back, or have it so: dubd run {shlex.quote(str(video))} --rule {new.name}",
            exit=Exit.RULE,
        )

    def clash(self) -> DubdError | None:
        """What is wrong with the rules together: more than one default."""
        rules = [(path, check(path, ready=False)[0]) for path in self.paths()]
        return self._clash([path for path, rule in rules if rule and rule.default])

    def _clash(self, default: list[Path]) -> DubdError | None:
        if len(default) < 2:
            return None
        names = " and ".join(path.name for path in default)
        return DubdError(f"{names} both say default: true", file=self.folder, remedy="keep one", exit=Exit.RULE)

    def _find(self, name: str) -> Path | None:
        return next((path for path in self.paths() if path.stem == name), None)

    def _chosen(self, inside: Path, drop: Path) -> Rule:
        default: list[Path] = []
        broken: list[DubdError] = []
        for path in self.paths():
            try:
                data = Marked(path).data
            except DubdError as error:
                broken.append(error)
                continue
            data = data if isinstance(data, dict) else {}
            globs = several(data.get("match") or ())
            if isinstance(globs, tuple) and any(
                fnmatch(text, str(glob)) for glob in globs for text in (inside.name, inside.as_posix())
            ):
                return load(path)
            if data.get("default") is True:
                default.append(path)
        if clash := self._clash(default):
            raise clash
        if default:
            return load(default[0])
        if broken:
            raise broken[0]
        raise DubdError(
            f"no rule in {self.folder} matches it, and none is the default",
            file=drop,
            remedy="add default: true to one rule, or put a .yaml beside the video",
            exit=Exit.RULE,
        )
