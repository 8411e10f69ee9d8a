"""What a worker's interpreter finds: variables, and under `python:` dubd and the engine without our libraries."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import dubd
from dubd.engines import registry
from dubd.errors import DubdError

_PACKAGE = Path(dubd.__file__).resolve().parent
_HUGE_PAGES = "glibc.malloc.hugetlb=1"  # the landmark model is walked at random: an eighth less time with fewer pages
_LIBRARIES = ("OMP", "OPENBLAS", "MKL", "NUMBA")  # numba's threads are PyTorch's too, from its first call on
ONE_THREAD = (*(f"{library}_NUM_THREADS" for library in _LIBRARIES), "OPENCV_FOR_THREADS_NUM")


def own() -> dict[str, str]:
    """For this interpreter: this package, and one thread a library, since there are many workers."""
    return _environ(_PACKAGE.parent)


def lent(stage: str, engine: str | None, folder: Path) -> dict[str, str]:
    """For another interpreter: dubd, the engine's package and its entry point, by links in `folder`. Errors: OSError.

    Our site-packages as a whole would bring our NumPy, built for another Python.
    """
    links = {"dubd": _PACKAGE}
    found = None
    with suppress(DubdError):  # installed in that environment alone: it is found there, or the worker says so
        found = registry.find(stage, engine) if engine else None
    points = ""
    if found is not None:
        top = found.__module__.partition(".")[0]
        file = getattr(sys.modules.get(top), "__file__", None)
        if file:
            place = Path(file).resolve()
            place = place.parent if place.name == "__init__.py" else place
            links[place.name if place.is_dir() else top + place.suffix] = place
            points = f"[dubd.{stage}]\n{engine} = {found.__module__}:{found.__qualname__}\n"
    text = "".join(f"{name} {place}\n" for name, place in sorted(links.items())) + points
    made = folder / hashlib.sha256(text.encode()).hexdigest()[:16]
    if not made.is_dir():
        _make(made, links, points)
    return _environ(made)


def _make(folder: Path, links: dict[str, Path], points: str) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".part-"))
    for name, place in links.items():
        (part / name).symlink_to(place)
    info = part / "dubd_lent-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dubd-lent\nVersion: 0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(points, encoding="utf-8")
    with suppress(FileExistsError, OSError):  # another process was quicker, with the same links
        part.rename(folder)


def _environ(first: Path) -> dict[str, str]:
    path = os.pathsep.join(filter(None, (str(first), os.environ.get("PYTHONPATH"))))
    return {**dict.fromkeys(ONE_THREAD, "1"), "GLIBC_TUNABLES": _HUGE_PAGES, **os.environ, "PYTHONPATH": path}
