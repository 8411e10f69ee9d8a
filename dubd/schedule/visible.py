"""Which cards CUDA_VISIBLE_DEVICES leaves to us: what the user, Slurm or a container runtime gave this process."""

from __future__ import annotations

from collections.abc import Sequence

VARIABLE = "CUDA_VISIBLE_DEVICES"


def visible(named: str | None, cards: Sequence[Sequence[str]]) -> set[str]:
    """The UUIDs that may be used of `cards`: for each one, in PCI order, its own and those of its MIG instances.

    `named` is a list of indices and UUIDs, which may be cut short; a card stands for its instances. As in CUDA what
    comes after a name that fits nothing does not count. None: everything.
    """
    if named is None:
        return {uuid for uuids in cards for uuid in uuids}
    found: set[str] = set()
    for name in map(str.strip, named.split(",")):
        if name.isdecimal():
            fits = set(cards[int(name)]) if int(name) < len(cards) else set[str]()
        else:
            fits = {uuid for uuids in cards for uuid in _fitting(name, uuids)}
        if not fits:
            break
        found |= fits
    return found


def _fitting(name: str, uuids: Sequence[str]) -> Sequence[str]:
    if not name.startswith(("GPU-", "MIG-")):
        return ()
    return uuids if uuids[0].startswith(name) else [uuid for uuid in uuids[1:] if uuid.startswith(name)]
