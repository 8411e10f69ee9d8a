"""Which cluster is meant where none is named, and the sentence where it does not answer."""

from __future__ import annotations

import socket

import pytest

pytest.importorskip("ray", reason="pip install 'dubd[ray]'")

from ray._private import services

from dubd.cluster import probe
from dubd.cluster.connection import Connection
from dubd.errors import DubdError, Exit


@pytest.fixture(autouse=True)
def _unnamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(probe, "_ANSWER", 0.3)


def test_a_head_that_auto_finds_and_that_hangs_is_told_of_by_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((services.get_node_ip_address(), 0)) as silent:
        host, port = silent.getsockname()
        monkeypatch.setattr(services, "find_gcs_addresses", lambda: {f"{host}:{port}"})
        with pytest.raises(DubdError) as found:
            Connection("auto")
    assert found.value.exit == Exit.CLUSTER
    assert found.value.reason == f"no Ray cluster at {host}:{port}, where auto finds one: no answer for 0.3 s"


def test_no_cluster_on_this_machine_is_told_of_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "find_gcs_addresses", set)
    monkeypatch.setattr(services, "find_bootstrap_address", lambda _: None)
    with pytest.raises(DubdError) as found:
        Connection("auto")
    assert found.value.exit == Exit.CLUSTER
    assert found.value.reason == "no Ray cluster here: Could not find any running Ray instance"
