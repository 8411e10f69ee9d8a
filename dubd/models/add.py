"""A file that a person has got: recognised by its bytes, and put where its model wants it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from dubd.errors import DubdError, Exit
from dubd.models import store, sums
from dubd.models.download import require_room
from dubd.models.model import File, Model
from dubd.models.part import held
from dubd.models.store import bytes_of

_BLOCK = 1 << 20


def add(
    path: Path, published: Iterable[Model], wanted: Model | None = None, waits: Callable[[], None] = lambda: None
) -> list[Path]:
    """Copy the file at `path` to every place where a published model has it; the places.

    `wanted` says which model it is of where the publisher gives no sum: then its name must be that of the file, and
    its size where that is known. Bytes that are not the published ones never take a published model's name: they
    would pass for it in every task's key. Errors: DubdError.
    """
    try:
        size, sha256 = path.stat().st_size, sums.digest(path)
    except OSError as error:
        raise DubdError(
            f"cannot be read: {error.strerror}", file=path, remedy="check the path", exit=Exit.USAGE
        ) from error
    models = [wanted] if wanted else list(published)
    places = [(model, file) for model in models for file in model.files if file.sha256 == sha256]
    if not places and wanted:
        places = [(wanted, file) for file in wanted.files if _takes(file, path, size)]
    if not places:
        raise _stranger(path, sha256, size, models)
    return [_put(path, store.place(model) / file.path, file, sha256, size, waits) for model, file in places]


def _takes(file: File, path: Path, size: int) -> bool:
    return file.sha256 is None and Path(file.path).name == path.name and file.size in (None, size)


def _put(path: Path, target: Path, file: File, sha256: str, size: int, waits: Callable[[], None]) -> Path:
    if target.exists() and target.samefile(path):
        return target
    try:
        with held(target, waits) as part:
            part.empty()
            require_room(target.parent, size, f"{path.name} has")
            with path.open("rb") as source:
                while block := source.read(_BLOCK):
                    part.write(block)
            if part.sha256 != sha256:
                part.drop()
                raise DubdError("changed while it was copied", file=path, remedy="add it again", exit=Exit.FAILED)
            if not file.sha256:
                sums.remember(target, sha256)
            part.finish(target)
    except OSError as error:
        raise DubdError(
            f"cannot be copied to {target}: {os.strerror(error.errno or 0)}",
            file=path,
            remedy="free some space, or make DUBD_MODELS writable",
            exit=Exit.WORKSPACE,
        ) from error
    return target


def _stranger(path: Path, sha256: str, size: int, models: Iterable[Model]) -> DubdError:
    """Neither known by its sum, nor claimed with a name that has none."""
    alike = [(model, file) for model in models for file in model.files if Path(file.path).name == path.name]
    summed = [(model, file) for model, file in alike if file.sha256]
    unsummed = [model.name for model, file in alike if file.sha256 is None and file.size in (None, size)]
    said = f"{bytes_of(size)} with sha256 {sha256}: not the bytes of any published model"
    if len(summed) == 1:
        model, file = summed[0]
        said += f"; {model.name}/{file.path} has {file.sha256}"
    elif summed:
        said += f"; {len(summed)} of them have another {path.name} (dubd models list --json has the sums)"
    if len(unsummed) == 1:
        remedy = f"if it is that model's, whose publisher gives no sum, say so with --as {unsummed[0]}"
    elif unsummed:
        remedy = f"if its publisher gives no sum, say whose it is with --as MODEL: {', '.join(unsummed)}"
    else:
        remedy = f"load it as your own, with model: {path.absolute()} in the rule"
    return DubdError(said, file=path, remedy=remedy, exit=Exit.USAGE)
