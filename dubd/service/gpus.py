"""How the GPUs of this machine stand: its devices, who was promised how much of them, and what others use.

Any process may look: the driver and the ledger of leases are asked, not the daemon. All sizes are whole MiB.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubd.errors import DubdError
from dubd.schedule.gpu import Device, Gpu, GpuError, gpu
from dubd.schedule.ledger import MARGIN, Held, Ledger, View, promised
from dubd.schedule.runtime import runtime
from dubd.schedule.wanted import Wanted

_SHORT = 12  # characters of a UUID that are shown: "GPU-8932f937…"


@dataclass(frozen=True)
class Seen:
    """A device at one moment: its `view`, or the `fault` for which there is none.

    `leases` are those of the ledger, which needs no driver; None where it cannot be read.
    """

    device: Device
    short: str  # the start of its UUID, with as much of the end as it takes to tell it from the others
    view: View | None = None
    fault: str | None = None
    leases: tuple[Held, ...] | None = None

    @property
    def held(self) -> tuple[Held, ...] | None:
        """Who was promised how much of it; None where nobody can tell."""
        return self.view.held if self.view else self.leases

    @property
    def promised(self) -> int | None:
        """MiB that its leases may come to."""
        return None if self.held is None else promised(self.held)

    @property
    def largest(self) -> int:
        """What can ever be leased."""
        return self.view.largest if self.view else max(0, self.device.total - MARGIN)


@dataclass(frozen=True)
class Machine:
    """Every device at one moment; `why` there is none, as one line, and `ledger`, the folder of leases, if any.

    With `why`, `seen` are devices that other dubd processes still count on: the driver was lost since they started.
    """

    why: str | None
    seen: tuple[Seen, ...] = ()
    ledger: Path | None = None

    @property
    def cards(self) -> tuple[tuple[str, int], ...]:
        """What estimates are made for: each device's name and largest lease."""
        return tuple((seen.device.name, seen.largest) for seen in self.seen)

    def to_json(self) -> dict[str, Any]:
        """The document that `dubd gpu --json` prints; docs/cli.md describes it."""
        ledger = str(self.ledger) if self.ledger else None
        return {"why": self.why, "ledger": ledger, "devices": [_device(seen) for seen in self.seen]}


def machine(*, building: bool = True) -> Machine:
    """Look once. Never raises: what cannot be told of a device is its `fault`.

    Without a device the ledger is looked at only where something may be `building`, and so may wait for one.
    """
    found = gpu()
    if why := found.why:
        return Machine(why, tuple(_lost(found, why)) if building else ())
    devices = found.devices()
    names = dict(zip([device.uuid for device in devices], shortened(device.uuid for device in devices), strict=True))
    try:
        ledger = Ledger(folder := runtime(), found)
    except (DubdError, OSError) as error:
        fault = f"the ledger of leases cannot be read: {error}"
        return Machine(None, tuple(Seen(device, names[device.uuid], None, fault) for device in devices))
    return Machine(None, tuple(_look(ledger, device, names[device.uuid]) for device in devices), folder)


def shortened(uuids: Iterable[str]) -> list[str]:
    """The start of each, as people are used to it; where that is the same, with what tells them apart at the end.

    A longer start would fill a terminal: what older drivers name MIG instances differs in the last characters alone.
    """
    whole = list(uuids)
    for end in range(max(map(len, whole), default=0)):
        found = [_cut(uuid, end) for uuid in whole]
        if len(set(found)) == len(set(whole)):
            return found
    return whole


def _cut(uuid: str, end: int) -> str:
    return uuid if len(uuid) <= _SHORT + end + 1 else f"{uuid[:_SHORT]}…{uuid[len(uuid) - end :]}"


def _lost(driver: Gpu, why: str) -> Iterator[Seen]:
    """Devices that the driver no longer tells a fresh process of, but that a dubd process holds or waits for."""
    try:
        folder = runtime()
        wanted, ledger = Wanted(folder), Ledger(folder, driver)
        uuids = sorted(place.name for place in (folder / "vram").iterdir())
        for uuid, short in zip(uuids, shortened(uuids), strict=True):
            held = ledger.held(uuid)
            if held or wanted.by_others(uuid):
                some = f"; {len(held)} lease{'s' if len(held) > 1 else ''} held" if held else "; tasks wait for it"
                yield Seen(Device(uuid, "GPU", 0), short, None, f"the driver has lost it: {why}{some}", held)
    except (DubdError, GpuError, OSError):  # no ledger: nobody has used a device here
        return


def _look(ledger: Ledger, device: Device, short: str) -> Seen:
    try:
        try:
            return Seen(device, short, ledger.view(device.uuid))
        except GpuError as error:
            fault = f"the driver does not answer: {error}"
        return Seen(device, short, None, fault, ledger.held(device.uuid))
    except (GpuError, OSError) as error:
        return Seen(device, short, None, f"the ledger of leases cannot be read: {error}")


def _device(seen: Seen) -> dict[str, Any]:
    view = seen.view
    return {
        "name": seen.device.name,
        "uuid": seen.device.uuid,
        "total": seen.device.total or None,
        "largest": seen.largest or None,
        "used": view.used if view else None,
        "foreign": view.foreign if view else None,
        "promised": seen.promised,
        "free": view.free if view else None,
        "fault": seen.fault,
        "leases": [_lease(held) for held in seen.held or ()],
    }


def _lease(held: Held) -> dict[str, Any]:
    """One lease as JSON; `seconds` since it was taken."""
    return {
        "what": held.what,
        "pid": held.pid,
        "mib": held.mib,
        "held": held.allocated,
        "seconds": round(max(0.0, time.monotonic() - held.since), 1),
        "loading": held.loading,
    }


def size(mib: int) -> str:
    """MiB as people write it: 512 MiB, 17.5 GiB."""
    return f"{mib} MiB" if mib < 1024 else f"{mib / 1024:.1f} GiB"
