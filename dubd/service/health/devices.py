"""The GPUs: what the driver says of them, whether CUDA runs here, and where the leases lie."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from dubd.service.gpus import machine, size
from dubd.service.health.finding import Finding, Level

PCI = Path("/sys/bus/pci/devices")
_NVIDIA: Final = "0x10de"  # PCI vendor
_DISPLAY: Final = "0x03"  # PCI class of display controllers: a card's sound is a device of its own
_PATIENCE: Final = 120.0  # s: torch alone takes 20 on a cold disk
_TRY: Final = "dubd.engines.cuda_try"


def findings(needed: Callable[[], bool]) -> Iterator[Finding]:
    """Each device, or why there is none; then the leases and CUDA. `needed`: whether the default rule wants a GPU."""
    found = machine()
    if found.why:
        none = f"none, every engine runs on the CPU: {found.why}"
        if _card():
            yield Finding("gpu", "note", f"{none}, though there is an NVIDIA card", "apt install nvidia-driver")
        else:
            remedy = "none is needed for the embedded engines; in a container: docker run --gpus all"
            yield Finding("gpu", "note", none, remedy)
        return
    for seen in found.seen:
        name = f"{seen.device.name} ({seen.device.uuid})"
        if seen.view:
            now = f"{size(seen.view.free)} free, {size(seen.view.foreign)} in use by others"
            yield Finding("gpu", "good", f"{name}, {size(seen.device.total)}: {now}")
        else:
            yield Finding("gpu", "note", f"{name}, {size(seen.device.total)}: {seen.fault}", "nvidia-smi tells more")
    if found.ledger is None or not os.access(found.ledger, os.W_OK | os.X_OK):
        says = f"{found.ledger} cannot be written" if found.ledger else str(found.seen[0].fault)
        yield Finding("gpu leases", "bad", says, "make it writable, or set DUBD_RUNTIME")
    else:
        yield Finding("gpu leases", "good", f"{found.ledger}, shared by every dubd process that uses this folder")
    if find_spec("torch"):
        yield _cuda("bad" if needed() else "note")


def _cuda(level: Level) -> Finding:
    """Whether PyTorch can use a card, tried in a process of its own: CUDA cannot be let go of in this one."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", _TRY], capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("cuda", level, f"could not be tried: {error}", "nvidia-smi tells more")
    if done.returncode == 0:
        return Finding("cuda", "good", done.stdout.strip())
    said = [line for line in done.stderr.splitlines() if line.strip()]
    says = said[-1].strip() if said else f"PyTorch was killed by signal {-done.returncode}"
    if "without CUDA" in says:
        return Finding("cuda", level, says, "pip install --force-reinstall torch")
    driver = any(word in line for line in said for word in ("driver", "no kernel image", "PTX"))
    remedy = "pip install a torch for the CUDA version that nvidia-smi shows, or update the driver"
    return Finding("cuda", level, f"PyTorch cannot use the GPU: {says}", remedy if driver else "nvidia-smi tells more")


def _card() -> bool:
    """Whether an NVIDIA card is on the bus, with a driver or without."""
    for vendor in PCI.glob("*/vendor"):
        try:
            display = (vendor.parent / "class").read_text(encoding="ascii").startswith(_DISPLAY)
            if display and vendor.read_text(encoding="ascii").strip() == _NVIDIA:
                return True
        except OSError:
            continue
    return False
