"""Which executor a command uses: this machine's pool, or a Ray cluster, as the command or the environment says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from dubd.cluster.probe import parted
from dubd.errors import DubdError, Exit

if TYPE_CHECKING:
    from dubd.cluster.executor import RayExecutor
    from dubd.schedule.executor import LocalExecutor

EXECUTOR, STORAGE = "DUBD_EXECUTOR", "DUBD_STORAGE"
_EXECUTORS, _STORAGES = ("local", "ray"), ("value", "shared")


@dataclass(frozen=True)
class Choice:
    """`executor` is local or ray, `storage` (of ray) value or shared."""

    executor: str = "local"
    address: str = "auto"
    storage: str = "value"

    @classmethod
    def of(
        cls,
        executor: str | None = None,
        address: str | None = None,
        storage: str | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> Choice:
        """What was asked for, else what the environment says. Errors: DubdError where a word is not one of them."""
        made = cls(
            _word(executor or environ.get(EXECUTOR) or "local", _EXECUTORS, f"--executor or {EXECUTOR}"),
            address or "auto",
            _word(storage or environ.get(STORAGE) or "value", _STORAGES, f"--storage or {STORAGE}"),
        )
        for option, word in (("--address", address), ("--storage", storage)):
            if word and not made.far:
                raise DubdError(f"{option} is for a cluster", remedy="add --executor ray", exit=Exit.USAGE)
        if made.far and made.address != "auto":
            parted(made.address)
        return made

    @property
    def far(self) -> bool:
        """Whether tasks may run on other machines."""
        return self.executor == "ray"

    def guard(self) -> None:
        """Where Ray may end this process: go on in a child (`dubd.cluster.guard`). Before threads, locks, records."""
        if self.far:
            from dubd.cluster.guard import guard

            guard()

    def open(self, logs: Path, slots: int | None) -> AbstractContextManager[LocalExecutor | RayExecutor]:
        """The executor, to be used with `with`. Errors: DubdError where Ray or the cluster is not there."""
        if not self.far:
            from dubd.schedule.executor import LocalExecutor

            return LocalExecutor(logs, slots)
        if find_spec("ray") is None:
            raise DubdError("--executor ray needs Ray", remedy="pip install 'dubd[ray]'", exit=Exit.USAGE)
        from dubd.cluster.executor import RayExecutor

        return RayExecutor(logs, slots, self.address, shared=self.storage == "shared")


def _word(word: str, known: tuple[str, ...], where: str) -> str:
    if word not in known:
        raise DubdError(f"{where}: {word!r} is none of {', '.join(known)}", exit=Exit.USAGE)
    return word
