"""A real Ray cluster on this machine: its head, which stands for the machine of `dubd`, and nodes that come and go."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dubd.schedule.gpu import Device
from dubd.schedule.ledger import MARGIN
from dubd.schedule.simulated import simulate
from tests.schedule.cards import Machine, wait_until

pytest.importorskip("ray", reason="pip install 'dubd[ray]'")

_STORE = 80 << 20  # bytes of a node's object store: the least that Ray takes is 75 MiB
HEAD = {
    "num_cpus": 1,
    "include_dashboard": False,
    "object_store_memory": _STORE,
    "_system_config": {  # a node that was killed is known to be dead within seconds, not 14
        "health_check_initial_delay_ms": 0,
        "health_check_period_ms": 400,
        "health_check_timeout_ms": 10_000,
        "health_check_failure_threshold": 3,
    },
}


@dataclass
class Grid:
    """The cluster; each node has folders, leases and simulated cards of its own, as machines have."""

    cluster: Any
    root: Path
    site: Path  # where the tests' engine is installed
    nodes: list[Any] = field(default_factory=list)

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def join(self, slots: int = 1, *leasable: int, **environ: str) -> Any:
        """Another node with cards of so many MiB that can be leased. `environ`: further variables of its own."""
        home = self.root / f"node-{len(self.nodes)}"
        simulate(home / "cards", [Device(f"GPU-{n}", "Paper 1", MARGIN + mib) for n, mib in enumerate(leasable)])
        own = {
            "XDG_CACHE_HOME": str(home / "cache"),
            "DUBD_RUNTIME": str(home / "runtime"),
            "DUBD_SIMULATED_GPUS": str(home / "cards"),
            "DUBD_MODELS": str(home / "models"),
            "PYTHONPATH": os.pathsep.join((str(self.site), str(Path(__file__).parents[2]))),
        }
        node = self.cluster.add_node(num_cpus=slots, object_store_memory=_STORE, env_vars=own | environ)
        self.nodes.append(node)
        node.home = home
        return node

    def kill(self, node: Any) -> None:
        """As when a machine loses its power."""
        with suppress(Exception):
            self.cluster.remove_node(node, allow_graceful=False)

    def clear(self) -> None:
        """Only the head is left."""
        import ray

        from dubd.cluster.connection import Connection

        for node in self.nodes:
            if node in self.cluster.worker_nodes:
                self.kill(node)
        gone = {node.node_id for node in self.nodes}
        connection = Connection(self.address)
        assert wait_until(lambda: not any(node["Alive"] and node["NodeID"] in gone for node in ray.nodes()))
        connection.close()


@pytest.fixture(scope="session")
def _grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    from ray.cluster_utils import Cluster

    root = tmp_path_factory.mktemp("grid")
    site = Machine(tmp_path_factory.mktemp("engine"), 1).site
    temporary = tempfile.mkdtemp(prefix="dubd-ray-")  # short: the path of a socket has 107 characters
    cluster = Cluster(initialize_head=True, head_node_args={**HEAD, "temp_dir": temporary})
    try:
        yield Grid(cluster, root, site)
    finally:
        cluster.shutdown()
        shutil.rmtree(temporary, ignore_errors=True)


@pytest.fixture
def grid(_grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Grid]:
    """The cluster with no node but its head, whose machine has no card; nodes of a test go with it."""
    monkeypatch.setenv("DUBD_SIMULATED_GPUS", str(tmp_path / "none"))
    monkeypatch.setenv("DUBD_RUNTIME", str(tmp_path / "runtime"))
    monkeypatch.setenv("DUBD_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("RAY_ADDRESS", _grid.address)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(_grid.site), str(Path(__file__).parents[2]))))
    yield _grid
    _grid.clear()
