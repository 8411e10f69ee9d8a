"""Bring whole models: what is not here of each, file by file, within the room that there is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from dubd.errors import DubdError, Exit
from dubd.models import http, store
from dubd.models.download import Listener, NoNetwork, Silent, by_hand, download, require_room
from dubd.models.model import File, Model


def pull(
    models: Sequence[Model], listener: Listener, pause: Callable[[float], None] = time.sleep
) -> Iterator[DubdError]:
    """Load what these models lack. Yields a fault for each file that could not be had; the others are loaded.

    Where the network or the disk is at fault there is one line, and nothing more is tried. A server that gave no byte
    of a file however often it was asked is not asked for the others.
    """
    wanted = [(model, file) for model in models for file in store.lacking(model)]
    try:
        left = sum(_left(model, file) for model, file in wanted if file.url)
        require_room(store.root(), left, f"{', '.join(dict.fromkeys(model.name for model, _ in wanted))}:")
    except DubdError as error:
        yield error
        return
    given_up: set[str] = set()
    for at, (model, file) in enumerate(wanted):
        if file.url and http.host(file.url) in given_up:
            continue
        if file.url is None:
            yield DubdError("has no direct link", file=f"{model.name}/{file.path}", remedy=by_hand(model, file))
            continue
        try:
            download(model, file, listener, pause)
        except Silent as error:
            given_up.add(host := http.host(file.url))
            others = sum(1 for _, other in wanted[at + 1 :] if other.url and http.host(other.url) == host)
            yield error.with_others(host, others) if others else error
        except DubdError as error:
            yield error
            if isinstance(error, NoNetwork) or error.exit == Exit.WORKSPACE:
                return


def _left(model: Model, file: File) -> int:
    """Bytes that are still to come, as far as their number is known."""
    return max(0, (file.size or 0) - store.begun(store.place(model) / file.path))
