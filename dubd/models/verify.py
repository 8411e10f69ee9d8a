"""Every byte of what is here, read again and held against its sum."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from dubd.models import store, sums
from dubd.models.model import Needed, Own

State = Literal["good", "bad", "partial", "absent", "unsummed"]


@dataclass(frozen=True)
class Checked:
    """One file. `unsummed`: it is here, but neither the table nor its download has left a sum to hold it against."""

    model: str
    path: str
    state: State
    says: str = ""
    remedy: str = ""


def verify(models: Iterable[Needed]) -> Iterator[Checked]:
    """A line for each file of these models, one after the other, as it takes seconds for each GiB."""
    for model in models:
        if isinstance(model, Own):
            there = model.path.exists()
            yield Checked(
                str(model.path),
                "",
                "unsummed" if there else "absent",
                "is your own, there is no sum to hold it against" if there else "is named by a rule and not there",
                "" if there else "bring it back, or edit the rule",
            )
            continue
        for file in model.files:
            path = store.place(model) / file.path
            anew = f"rm {path} && dubd models pull {model.name}"
            if not path.exists():
                state: State = "partial" if store.begun(path) else "absent"
                yield Checked(model.name, file.path, state, "is not here", f"dubd models pull {model.name}")
            elif not store.here(path, file):
                size = path.stat().st_size
                yield Checked(model.name, file.path, "bad", f"has {size} bytes, not {file.size}", anew)
            elif not (wanted := sums.known(path, file)):
                yield Checked(model.name, file.path, "unsummed", "no sum is known to hold it against")
            elif (found := sums.digest(path)) != wanted:
                yield Checked(model.name, file.path, "bad", f"has sha256 {found}, not {wanted}", anew)
            else:
                yield Checked(model.name, file.path, "good")
