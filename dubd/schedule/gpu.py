"""What the scheduler asks of the GPUs of this machine, whoever answers: the driver, or a simulated card.

All sizes are whole MiB. A device is named by its UUID, which is also what CUDA_VISIBLE_DEVICES takes.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

SIMULATED = "DUBD_SIMULATED_GPUS"  # names a folder of simulated cards: tests and benchmarks on a machine without one


@dataclass(frozen=True)
class Device:
    """A card, or a MIG instance of one. `total` is what processes may have, in MiB: without the driver's reserve."""

    uuid: str
    name: str
    total: int


class GpuError(Exception):
    """The driver did not answer; the message is in its words."""


class Gpu(Protocol):
    """The devices of a machine and what is in use on them, across all of its processes."""

    @property
    def why(self) -> str | None:
        """Why there is no device at all, as one line for status and log; None where there are devices."""

    def devices(self) -> Sequence[Device]:
        """Those that were last seen; a driver that is lost meanwhile shows in `used`, not here. () where none."""

    def used(self, uuid: str) -> int:
        """MiB in use by every process, as the driver tells it. GpuError where it does not."""

    def processes(self, uuid: str) -> Mapping[int, int] | None:
        """MiB by pid. None where the driver does not tell, or where its pids are not ours. GpuError."""


def gpu() -> Gpu:
    """The GPUs of this machine: simulated where $DUBD_SIMULATED_GPUS names a folder, else those NVML tells of."""
    if folder := os.environ.get(SIMULATED):
        from dubd.schedule.simulated import Simulated

        return Simulated(Path(folder))
    return _driver()


_further: Callable[[], Sequence[Device]] = tuple


def reach_further(devices: Callable[[], Sequence[Device]] | None) -> None:
    """From now on tasks may also run on the devices of other machines, as `devices` tells them; None: no longer."""
    global _further
    _further = devices or tuple


def reachable() -> tuple[Sequence[Device], str | None]:
    """The devices that tasks may run on, those of other machines too; and why there is none, where there is none."""
    here = gpu()
    found = (*here.devices(), *_further())
    return found, None if found else here.why


@functools.cache
def _driver() -> Gpu:
    from dubd.schedule.nvml import Nvml

    return Nvml()
