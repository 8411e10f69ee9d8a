"""A worker's place on a card: its lease, what it may do there, and what it was seen to take."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from dubd.schedule.gpu import Device, Gpu, GpuError
from dubd.schedule.lease import Lease


class Seat:
    """Holds the lease until a worker has it; from then on the lease is the worker's, and ends with its process."""

    def __init__(self, lease: Lease, device: Device, gpu: Gpu, batch: int, context: int) -> None:
        self.device, self.mib, self.batch = device, lease.mib, batch
        self.peak = 0  # MiB with the context, 0 while nobody knows
        self.items = 0  # the most that a call could hold so far: the peak may be of that one
        self._lease, self._gpu, self._context = lease, gpu, context

    def fileno(self) -> int:
        """The descriptor of the lease, for the worker to inherit."""
        return self._lease.fileno()

    def first(self) -> dict[str, Any]:
        """What the worker must know before it loads."""
        environ = {"CUDA_VISIBLE_DEVICES": self.device.uuid, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        return {"device": "cuda:0", "mib": self.mib, "context": self._context, "environ": environ}

    def taken(self, pid: int) -> None:
        """The worker holds the lease: our copy of the descriptor is closed."""
        self._lease.hand_to(pid)
        self._lease.release()

    def told(self, pid: int, memory: Sequence[int] | None) -> None:
        """The worker is idle and has said what it holds now and held at most, in MiB without the context, if it knows.

        The ledger needs a lower bound of what it holds, so that half of the declared context is claimed (300 to 400
        MiB are usual, 250 were seen); the measured peak needs an upper one.
        """
        now, most = memory or (0, 0)
        try:
            seen = (self._gpu.processes(self.device.uuid) or {}).get(pid, 0)
        except GpuError:
            seen = 0
        self.peak = max(self.peak, most + self._context if most else 0, seen)
        with suppress(GpuError, OSError):  # the record cannot be read or written: the ledger says so to whoever asks
            self._lease.settled(now + self._context // 2 if now else seen)

    def close(self) -> None:
        """Give the lease back where no worker got it. Safe to call twice."""
        self._lease.close()
