"""What a rule says of a lip-sync program in an environment of its own, and how its words are filled in."""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from string import Formatter

from dubd.engines import registry
from dubd.engines.contract import refuse
from dubd.models.model import Own

WORDS = ("face", "audio", "out", "job", "name", "frames", "rate", "seconds", "device", "repo")
"""What may stand in braces in `args`, `env`, `files`, `leaves` and `check`."""

_NO_RUN = ("name", "device", "repo")  # known without a piece of video


@dataclass(frozen=True)
class ExternalParams:
    """What a rule may set. In `args` and the like, words in braces stand for what WORDS names."""

    repo: str  # the checkout, in which the program runs
    args: tuple[str, ...]  # of the interpreter: a script of the checkout and its options, one entry an argument
    python: str = "python3"  # the interpreter of the program's own environment: a path, or a name on PATH
    env: dict[str, str] = field(default_factory=dict)  # further variables
    files: dict[str, str] = field(default_factory=dict)  # written into {job} before each run: name and content
    needs: tuple[str, ...] = ()  # files of the checkout without which it cannot run; their contents are in the key
    leaves: tuple[str, ...] = ()  # what it leaves in the checkout, as globs with {name}: removed after each run
    check: tuple[str, ...] = ()  # arguments of the interpreter with which it must end well before the first run
    alone: bool = False  # two runs in one checkout would spoil each other
    fps: float = 0.0  # frames a second of the video that it is given; 0: as the source has
    audio_rate: int = 16000  # Hz
    pad: float = 0.2  # seconds of quiet after the sound
    context: float = 1.0  # face sizes around the face that it is shown; 0: the whole picture
    min_face: int = 64  # pixels from ear to ear under which a face is left alone
    max_seconds: float = 15.0  # the longest piece of video that it is given
    timeout: float = 600.0  # the shortest time limit of a run, seconds
    timeout_factor: float = 90.0  # seconds of a run's limit for each second of its video
    threshold: float = 4.0  # levels (0..255) by which a spot must differ to count as changed
    fallback: str = "mouths"  # the engine that does what the program could not; none: the task fails
    gpu: int = 0  # MiB of a GPU that the program takes; 0: it needs none


def values(params: ExternalParams, device: str, name: str = "") -> dict[str, str]:
    """The words that are known before there is a piece of video."""
    return {"name": name, "device": device.partition(":")[0], "repo": params.repo}


def filled(text: str, given: Mapping[str, str]) -> str:
    """`text` with its words in braces replaced; {{ and }} are braces. ValueError, with a did-you-mean, elsewhere."""
    made = []
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}; write {{{{ or }}}} for a brace") from error
    for before, word, form, conversion in parts:
        made.append(before)
        if word is None:
            continue
        if word not in given or form or conversion:
            close = difflib.get_close_matches(word, given, n=1)
            hint = f"did you mean {{{close[0]}}}?" if close else f"known: {', '.join(f'{{{w}}}' for w in given)}"
            raise ValueError(f"{text!r}: no {{{word}}} here; {hint} ({{{{ and }}}} stand for braces)")
        made.append(given[word])
    return "".join(made)


def check(params: ExternalParams) -> None:
    """ValueError with a line for each thing in a rule that can never work, whatever lies in the checkout."""
    refuse(_faults(params))


def _faults(params: ExternalParams) -> Iterator[str]:
    filled_in = (*params.args, *params.env.values(), *params.files.values())
    for words, texts in ((WORDS, filled_in), (_NO_RUN, (*params.check, *params.leaves))):
        for text in texts:
            try:
                filled(text, dict.fromkeys(words, "x"))
            except ValueError as error:
                yield str(error)
    if not any("{out}" in text.replace("{{", "") for text in filled_in):
        yield "the program is not told where to write: {out} stands in no argument"
    for name in params.files:
        if name != PurePath(name).name or name in ("", ".", ".."):
            yield f"files: {name!r} is not the name of a file: it is written into {{job}}"
    for glob in params.leaves:
        if "{name}" not in glob or not _inside(glob):
            yield f"leaves: {glob!r} could remove more than one run's files: it needs {{name}}, and no .."
    for path in params.needs:
        if not _inside(path):
            yield f"needs: {path!r} is not relative to the checkout"
    for key, path in (("repo", params.repo), ("python", params.python)):
        if not Path(path).is_absolute() and (key == "repo" or "/" in path):
            yield f"{key}: {path!r} is relative to nothing; begin it with /, ./, ../ or ~"
    for key in ("timeout", "max_seconds", "audio_rate"):
        if getattr(params, key) <= 0:
            yield f"{key} is more than 0, not {getattr(params, key):g}"
    for key in ("timeout_factor", "fps", "pad", "context", "min_face", "threshold", "gpu"):
        if getattr(params, key) < 0:
            yield f"{key} is 0 or more, not {getattr(params, key):g}"
    yield from _fallback(params.fallback)


def _inside(path: str) -> bool:
    return not PurePath(path).is_absolute() and ".." not in PurePath(path).parts


def _fallback(name: str) -> Iterator[str]:
    names = registry.names("lipsync")
    if name != "none" and name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known: none, {', '.join(names)}"
        yield f"fallback: no engine {name!r} for lipsync; {hint}"
    elif name != "none" and issubclass(registry.find("lipsync", name).Params, ExternalParams):
        yield f"fallback: {name} is a program of the same kind; name an engine such as mouths, or none"


def content(params: ExternalParams) -> tuple[Own, ...]:
    """The files whose contents say which program it is: the commit, files named in `args`, and `needs`.

    The checkout as a whole would be wrong: programs write into it.
    """
    repo = Path(params.repo)
    named = (repo / text for text in params.args if "{" not in text and not text.startswith("-") and _inside(text))
    found = [path for path in named if path.is_file()]
    commit = _commit(repo)
    found += [repo / path for path in params.needs]
    return tuple(Own(path) for path in dict.fromkeys([*([commit] if commit else []), *found]))


def _commit(repo: Path) -> Path | None:
    """The file of a git checkout that changes with its commit; None where there is none."""
    head = repo / ".git" / "HEAD"
    try:
        word, _, ref = head.read_text("utf-8").strip().partition(" ")
    except (OSError, ValueError):
        return None
    if word != "ref:":
        return head  # no branch: the commit itself
    packed = repo / ".git" / "packed-refs"
    return next((path for path in (repo / ".git" / ref, packed) if path.is_file()), None)


def lacks(params: ExternalParams) -> str:
    """What is not there that a run needs, as a line. Empty where all of it is."""
    repo = Path(params.repo)
    if not repo.is_dir():
        return f"no checkout at {repo}"
    if shutil.which(params.python) is None:
        return f"no interpreter that can be run at {params.python}"
    script = params.args[0] if params.args else ""
    if script.endswith(".py") and not (repo / script).is_file():
        return f"no {script} in the checkout {repo}"
    missing = [path for path in params.needs if not (repo / path).exists()]
    return f"the checkout {repo} lacks {_list(missing)}" if missing else ""


def _list(paths: Iterable[str]) -> str:
    first, *rest = paths
    return f"{first} and {len(rest)} more files" if len(rest) > 2 else ", ".join((first, *rest))
