"""The connection to a Ray cluster, quiet, with its faults as lines that a person can act on."""

from __future__ import annotations

import logging
import os

import ray

from dubd.errors import DubdError, Exit


class Connection:
    """To the cluster at `address`: "auto" (or $RAY_ADDRESS), or the HOST:PORT of its head."""

    def __init__(self, address: str) -> None:
        """Errors: DubdError where there is none, or none that this machine is a node of."""
        self._ours = not ray.is_initialized()
        if not self._ours:
            return
        # Ray would put "0 CPUs, no GPU" warnings and each lost task on the terminal; dubd tells what came of them.
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        logging.getLogger("ray").setLevel(logging.CRITICAL)
        if hasattr(ray._private.worker, "print_to_stdstream"):
            ray._private.worker.print_to_stdstream = lambda *_, **__: None
        try:
            ray.init(address=address, namespace="dubd", log_to_driver=False, logging_level=logging.CRITICAL)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            where = "here" if address == "auto" else f"at {address}"
            raise DubdError(
                f"no Ray cluster {where}: {_line(error)}",
                remedy="start one with `ray start --head`, or join one with `ray start --address=HOST:6379`",
                exit=Exit.USAGE,
            ) from error

    def close(self) -> None:
        """Actors of this process end with it."""
        if self._ours:
            ray.shutdown()


def _line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
