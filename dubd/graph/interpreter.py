"""Whether what a rule names as `python:` is an interpreter that a worker can run by."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess

OLDEST = (3, 11)  # as in pyproject.toml: a worker is this package, lent to that interpreter

_ASK = "import sys; print(*sys.version_info[:2])"
_PATIENCE = 20.0  # s: an environment on a network folder takes seconds to start when it is first used


def refusal(program: str) -> str:
    """Why the program, a path or a name on PATH, is no such interpreter. Empty where it is."""
    found = shutil.which(program)
    if found is None:
        return f"no program that can be run at {program}"
    try:
        version = _version(found, os.stat(found).st_mtime_ns)
    except (OSError, ValueError, subprocess.SubprocessError):
        return f"{program} is no Python that starts"
    if version < OLDEST:
        return f"{program} is Python {_dotted(version)}; at least {_dotted(OLDEST)} is needed"
    return ""


@functools.lru_cache(maxsize=64)  # rules are read again and again; what fails is asked again
def _version(program: str, changed: int) -> tuple[int, ...]:  # noqa: ARG001
    asked = [program, "-I", "-S", "-c", _ASK]
    done = subprocess.run(asked, capture_output=True, stdin=subprocess.DEVNULL, timeout=_PATIENCE, check=True)
    major, minor = done.stdout.split()
    return int(major), int(minor)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
