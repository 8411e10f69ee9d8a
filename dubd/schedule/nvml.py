"""The GPUs of this machine as the NVIDIA driver tells of them, through NVML.

A machine without the library, the driver or a device has no devices, and `why` says so; that is asked again now and
then, for a driver may come up after us. A device that was seen once stays: while it, or the driver, is lost, GpuError
is raised from what is asked of it. One bad card takes no other one along.
"""

from __future__ import annotations

import importlib
import logging
import math
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dubd.schedule.gpu import Device, GpuError
from dubd.schedule.visible import VARIABLE, visible

log = logging.getLogger("dubd.gpu")

AGAIN = 5.0  # s between two looks for devices: a first look may take a second where the driver must wake up
_MIB = 1 << 20
_FIRST_PID_SPACE = 0xEFFFFFFC  # PROC_PID_INIT_INO of linux/proc_ns.h: the inode of the machine's own pid namespace


@dataclass(frozen=True)
class _Found:
    device: Device
    handle: Any
    card: str  # the UUID of the card that it is, or is an instance of


class Nvml:
    """The driver's devices as a `Gpu`; MIG instances in place of their card. Any thread may ask."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._guard = threading.Lock()
        self._nvml: Any = None
        self._up = False
        self._looked = -math.inf
        self._found: dict[str, _Found] = {}
        self._fault: str | None = None  # of the driver
        self._faults: dict[str, str] = {}  # of single devices
        self._bad: dict[int, str] = {}  # why a card cannot be read, by its index

    @property
    def why(self) -> str | None:
        """Why there is no device, None where there are."""
        with self._guard:
            self._look()
            return None if self._found else self._fault or self._none()

    def devices(self) -> Sequence[Device]:
        """The devices at the last look, at most AGAIN seconds ago; as before where the driver is lost."""
        with self._guard:
            self._look()
            return [found.device for found in self._found.values()]

    def used(self, uuid: str) -> int:
        """MiB in use by every process. GpuError with the driver's words."""
        memory = self._ask(uuid, self._memory)
        return math.ceil(int(memory.used) / _MIB)

    def processes(self, uuid: str) -> Mapping[int, int] | None:
        """MiB by pid; None where the driver does not tell, or counts pids of another namespace. GpuError."""
        if not _first_pid_space():
            return None
        found: Mapping[int, int] | None = self._ask(uuid, self._by_process)
        return found

    def _none(self) -> str:
        said = list(self._bad.values())
        if (named := os.environ.get(VARIABLE)) is not None:
            said.append(f"{VARIABLE}={named} names no device that is here")
        return "; ".join(said) or "the NVIDIA driver has no device"

    def _ask(self, uuid: str, question: Callable[[Any], Any]) -> Any:
        with self._guard:
            self._look()
            if fault := self._fault or self._faults.get(uuid):
                raise GpuError(fault)
            if uuid not in self._found:
                raise GpuError(f"no GPU {uuid}")
            try:
                return question(self._found[uuid].handle)
            except self._nvml.NVMLError as error:
                self._faults[uuid], self._looked = str(error), self._now()
                raise GpuError(str(error)) from error

    def _look(self) -> None:
        """Ask for the devices anew where the last answer is old."""
        if self._now() - self._looked < AGAIN:
            return
        self._looked = self._now()
        try:
            self._nvml = self._nvml or importlib.import_module("pynvml")
        except ImportError:
            self._fault = "nvidia-ml-py is not installed"
            return
        if self._faults and self._found.keys() <= self._faults.keys():
            self._leave()
        try:
            if not self._up:
                self._nvml.nvmlInit()
                self._up = True
            self._see()
            self._fault = None
        except self._nvml.NVMLError_LibraryNotFound:
            self._fault = "no NVIDIA driver: libnvidia-ml is not here"
        except self._nvml.NVMLError as error:
            if self._fault != str(error):
                log.warning("the NVIDIA driver does not answer: %s", error)
            self._fault = str(error)
            self._leave()

    def _leave(self) -> None:
        """Start over: handles of a driver that failed are not to be trusted."""
        if self._up:
            self._up = False
            try:
                self._nvml.nvmlShutdown()
            except self._nvml.NVMLError:
                log.debug("nvmlShutdown failed too")

    def _see(self) -> None:
        """Take in what is there now; of what was there before only what was reconfigured goes. NVMLError."""
        cards, bad = self._cards()
        for index, said in bad.items():
            if self._bad.get(index) != said:
                log.warning("GPU %d cannot be read: %s", index, said)
        self._bad = bad
        named = visible(os.environ.get(VARIABLE), [[uuid, *(i.device.uuid for i in found)] for uuid, found in cards])
        read = {uuid for uuid, _ in cards}
        now = {one.device.uuid: one for _, found in cards for one in found if one.device.uuid in named}
        kept = {uuid: one for uuid, one in self._found.items() if uuid in now or one.card not in read}
        said = "; ".join(bad.values()) or "the NVIDIA driver does not show it any more"
        self._faults = dict.fromkeys(kept.keys() - now.keys(), said)
        self._found = {**kept, **now}

    def _cards(self) -> tuple[list[tuple[str, list[_Found]]], dict[int, str]]:
        """Each card's UUID and what can be had of it; and what was said of those that cannot be read."""
        nvml, cards, bad = self._nvml, list[tuple[str, list[_Found]]](), dict[int, str]()
        for index in range(nvml.nvmlDeviceGetCount()):
            try:
                card = nvml.nvmlDeviceGetHandleByIndex(index)
                uuid, handles = _text(nvml.nvmlDeviceGetUUID(card)), self._instances(card)
                found = [self._device(handle, uuid) for handle in ([card] if handles is None else handles)]
            except nvml.NVMLError as error:
                bad[index] = str(error)
                if not isinstance(error, nvml.NVMLError_NoPermission):  # kept from us by a cgroup: CUDA counts without
                    cards.append(("", []))
            else:
                cards.append((uuid, [one for one in found if one]))
        return cards, bad

    def _device(self, handle: Any, card: str) -> _Found | None:
        try:
            memory = self._memory(handle)
        except self._nvml.NVMLError_NotSupported:  # shares the host's memory, which is not ours to gate
            return None
        name = _text(self._nvml.nvmlDeviceGetName(handle))
        total = (memory.total - getattr(memory, "reserved", 0)) // _MIB
        return _Found(Device(_text(self._nvml.nvmlDeviceGetUUID(handle)), name, total), handle, card)

    def _instances(self, card: Any) -> list[Any] | None:
        """The MIG instances of a card, without which CUDA cannot use it; None where MIG is off or unknown to it."""
        nvml = self._nvml
        try:
            if nvml.nvmlDeviceGetMigMode(card)[0] != nvml.NVML_DEVICE_MIG_ENABLE:
                return None
        except (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound):
            return None
        found = []
        for index in range(nvml.nvmlDeviceGetMaxMigDeviceCount(card)):
            try:
                found.append(nvml.nvmlDeviceGetMigDeviceHandleByIndex(card, index))
            except nvml.NVMLError_NotFound:  # a place without an instance
                continue
        return found

    def _memory(self, handle: Any) -> Any:
        """Version 2 keeps the driver's reserve apart; version 1, of older drivers, counts it as used."""
        nvml = self._nvml
        try:
            return nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2)
        except (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound, nvml.NVMLError_ArgumentVersionMismatch):
            return nvml.nvmlDeviceGetMemoryInfo(handle)

    def _by_process(self, handle: Any) -> Mapping[int, int] | None:
        nvml = self._nvml
        found: Counter[int] = Counter()
        try:
            for ask in (nvml.nvmlDeviceGetComputeRunningProcesses, nvml.nvmlDeviceGetGraphicsRunningProcesses):
                for process in ask(handle):
                    if process.usedGpuMemory is None or not _exists(process.pid):
                        return None
                    found[process.pid] = max(found[process.pid], math.ceil(process.usedGpuMemory / _MIB))
        except (nvml.NVMLError_NotSupported, nvml.NVMLError_NoPermission, nvml.NVMLLibraryMismatchError):
            return None
        return found


def _first_pid_space() -> bool:
    """Whether our pids are the machine's, which are what the driver counts."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino == _FIRST_PID_SPACE
    except OSError:
        return False


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # not /proc/<pid>: a hardened unit does not see the processes of others
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
