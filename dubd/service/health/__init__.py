"""Whether this machine can dub: tools, devices, folders, rules with their models, and engines."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from dubd import __version__
from dubd.folders import Folders
from dubd.service.health import devices, places, rules, tools
from dubd.service.health.finding import Finding, Level

__all__ = ["Finding", "Level", "findings"]


def findings(folders: Folders) -> Iterator[Finding]:
    """Everything that a dub needs, one finding each; what depends on the rules goes by those that are good."""
    yield Finding(
        "dubd", "good", f"{__version__} on Python {platform.python_version()}, {platform.platform(terse=True)}"
    )
    yield from tools.findings()
    yield from devices.findings(lambda: rules.default_uses_a_gpu(folders))
    yield from places.findings(folders)
    yield from rules.findings(folders)
