"""A model as a value: its files, where they are had, what pins them, and on what terms they may be used."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

HUB = "https://huggingface.co"


@dataclass(frozen=True)
class File:
    """One file of a model. `path` is relative to the model's folder.

    `url` is None where the publisher offers no direct link. `size` in bytes and `sha256` are None where only the
    server tells them.
    """

    path: str
    url: str | None = None
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Model:
    """What an engine loads, as published. `name` is its folder in the store and its word in `dubd models`.

    `revision` is the publisher's own name of a state of the files that never changes, such as a commit of the hub;
    empty where the files' sha256 pin them. `home` is the page where a person reads about it, and gets it where there
    is no direct link. `commercial`: whether its terms allow commercial use, where `licence` is not one that
    dubd.models.licences knows.
    """

    name: str
    files: tuple[File, ...]
    licence: str
    home: str
    revision: str = ""
    commercial: bool | None = None


@dataclass(frozen=True)
class Own:
    """A model of the user's: a file or a folder, by its absolute path. Never downloaded, known by its content."""

    path: Path


Needed = Model | Own


def from_hub(name: str, repo: str, revision: str, files: tuple[File, ...], licence: str) -> Model:
    """A model of the Hugging Face hub, `repo` at commit `revision`; the links of `files` are filled in.

    HUB stands in the links; a download from elsewhere replaces it (`HF_ENDPOINT`, the hub library's own variable).
    """
    linked = tuple(
        File(file.path, f"{HUB}/{repo}/resolve/{revision}/{file.path}", file.size, file.sha256) for file in files
    )
    return Model(name, linked, licence, f"{HUB}/{repo}", revision)


def own(choice: str) -> Own | None:
    """A rule's word for a model where it is a path: it starts with /, ./, ../ or ~. None where it is a name."""
    if choice.startswith(("/", "./", "../", "~")):
        return Own(Path(choice).expanduser().absolute())
    return None


def one_file(published: Iterable[Model]) -> bool | None:
    """Whether each of these models is one file, or each a folder of several; None where they differ or are none.

    A model of the user's in their place is of the same kind.
    """
    kinds = {len(model.files) == 1 for model in published}
    return kinds.pop() if len(kinds) == 1 else None


def chosen(choice: str, published: Mapping[str, Model]) -> Needed:
    """The model that a rule's word stands for: a name in `published`, or a path of the user's own.

    Errors: ValueError with a did-you-mean.
    """
    if found := published.get(choice) or own(choice):
        return found
    close = difflib.get_close_matches(choice, published, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(published)}"
    raise ValueError(f"no model {choice!r}: {hint} (a path starts with / or ./)")
