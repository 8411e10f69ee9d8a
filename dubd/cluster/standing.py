"""How the nodes of a cluster stand, as the process that uses them has written it down: any other may look."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

STANDING = "cluster.json"  # in the workspace's log folder


def standing(logs: Path) -> list[dict[str, Any]]:
    """A node each, by name: joined, refused or lost; () where no process that lives uses a cluster."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        told = json.loads((logs / STANDING).read_text(encoding="utf-8"))
        os.kill(int(told["pid"]), 0)
        return sorted(told["nodes"], key=lambda node: str(node["name"]))
    return []


def teller(logs: Path) -> int | None:
    """The process that has written it down, while it lives: of several that use a cluster, the first."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        pid = int(json.loads((logs / STANDING).read_text(encoding="utf-8"))["pid"])
        os.kill(pid, 0)
        return pid
    return None


def lines(nodes: list[dict[str, Any]]) -> Iterator[str]:
    """The same in words."""
    for node in nodes:
        if node["state"] == "joined":
            gpus = ", ".join(node["gpus"]) or "no GPU"
            yield f"node {node['name']} ({node['address']}): {node['busy']} of {node['slots']} slots busy, {gpus}"
            for why in node["unfit"]:
                yield f"  {why}"
        else:
            yield f"node {node['name']} is {node['state']}{': ' + node['why'] if node['why'] else ''}"
