"""The connection to a Ray cluster, quiet, with its faults as lines that a person can act on."""

from __future__ import annotations

import logging
import os
import threading

import ray
from ray._private import services

from dubd.cluster import guard, probe
from dubd.errors import DubdError, Exit

_CONNECTED = 60.0  # s that Ray may take to connect: twice what it gives a raylet that does not answer


class Connection:
    """To the cluster at `address`: "auto" (or $RAY_ADDRESS), or the HOST:PORT of its head."""

    def __init__(self, address: str) -> None:
        """Errors: DubdError where there is none, or none that this machine is a node of."""
        self._ours = not ray.is_initialized()
        if not self._ours:
            return
        self._address, named = _found(address)
        if why := probe.silence(self._address):
            raise _absent(named, why)
        guard.connecting(self._address)
        # Ray would put "0 CPUs, no GPU" warnings and each lost task on the terminal; dubd tells what came of them.
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        if hasattr(ray._private.worker, "print_to_stdstream"):
            ray._private.worker.print_to_stdstream = lambda *_, **__: None
        self._fault: Exception | None = None
        connecting = threading.Thread(target=self._connect, name="connecting", daemon=True)
        connecting.start()  # not here: nothing interrupts Ray's core while it tries, no signal either
        connecting.join(_CONNECTED)
        if connecting.is_alive():
            raise _shut(named, f"no connection in {_CONNECTED:g} s")
        if self._fault:
            raise _shut(named, _line(self._fault)) from self._fault
        guard.connected()

    def close(self) -> None:
        """Actors of this process end with it."""
        if self._ours:
            ray.shutdown()

    def _connect(self) -> None:
        try:
            ray.init(address=self._address, namespace="dubd", log_to_driver=False, logging_level=logging.CRITICAL)
        except Exception as error:
            self._fault = error


def _found(address: str) -> tuple[str, str]:
    """HOST:PORT of the cluster that is meant, as Ray finds it, and how a person knows it."""
    named = (os.environ.get("RAY_ADDRESS") or address) if address == "auto" else address
    if named != "auto":
        probe.parted(named)
    logging.getLogger("ray").setLevel(logging.CRITICAL)  # it would count the clusters of this machine aloud
    try:
        found = str(services.canonicalize_bootstrap_address(named))
    except (ConnectionError, ValueError, OSError) as error:
        raise _absent("here" if named == "auto" else f"at {named}", _line(error)) from error
    return found, f"at {found}, where auto finds one" if named == "auto" else f"at {named}"


def _absent(named: str, why: str) -> DubdError:
    return DubdError(
        f"no Ray cluster {named}: {why}",
        remedy="start one with `ray start --head`, or join one with `ray start --address=HOST:6379`",
        exit=Exit.CLUSTER,
    )


def _shut(named: str, why: str) -> DubdError:
    return DubdError(
        f"the Ray cluster {named} answers, but dubd cannot use it: {why}",
        remedy="join it with `ray start --address=HOST:6379` on this machine; where it was started with a token, set "
        "RAY_AUTH_MODE=token for dubd too",
        exit=Exit.CLUSTER,
    )


def _line(error: Exception) -> str:
    """The first sentence: what follows is Ray's own advice."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).strip().splitlines() or [type(error).__name__])[0].partition(". ")[0]
