"""The connection to a Ray cluster, quiet, with its faults as lines that a person can act on."""

from __future__ import annotations

import logging
import os
import socket

import ray

from dubd.errors import DubdError, Exit

_ANSWER = 5.0  # s that the head of a cluster has to accept a connection


class Connection:
    """To the cluster at `address`: "auto" (or $RAY_ADDRESS), or the HOST:PORT of its head."""

    def __init__(self, address: str) -> None:
        """Errors: DubdError where there is none, or none that this machine is a node of."""
        self._ours = not ray.is_initialized()
        if not self._ours:
            return
        _require_answer(address)
        # Ray would put "0 CPUs, no GPU" warnings and each lost task on the terminal; dubd tells what came of them.
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        logging.getLogger("ray").setLevel(logging.CRITICAL)
        if hasattr(ray._private.worker, "print_to_stdstream"):
            ray._private.worker.print_to_stdstream = lambda *_, **__: None
        try:
            ray.init(address=address, namespace="dubd", log_to_driver=False, logging_level=logging.CRITICAL)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise _absent(address, error) from error

    def close(self) -> None:
        """Actors of this process end with it."""
        if self._ours:
            ray.shutdown()


def _require_answer(address: str) -> None:
    """Ray itself tries a host that does not answer for minutes."""
    named = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address
    host, colon, port = named.rpartition(":")
    if not colon or not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWER).close()
    except OSError as error:
        raise _absent(named, error) from error


def _absent(address: str, error: Exception) -> DubdError:
    return DubdError(
        f"no Ray cluster {'here' if address == 'auto' else f'at {address}'}: {_line(error)}",
        remedy="start one with `ray start --head`, or join one with `ray start --address=HOST:6379`",
        exit=Exit.USAGE,
    )


def _line(error: Exception) -> str:
    """The first sentence: what follows is Ray's own advice."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).strip().splitlines() or [type(error).__name__])[0].partition(". ")[0]
