"""What a machine computes with: dubd's code, engines, libraries and model files, as sums that two machines compare."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

import dubd
from dubd.engines import landmarks, registry
from dubd.errors import DubdError
from dubd.models import store
from dubd.models.digests import digest

# What computes an artifact's bytes beside the engines, whose revisions are in every task's key.
_LIBRARIES = (
    *("numpy", "scipy", "soundfile", "opencv-python-headless", "dlib-bin", "pysubs2"),
    *("torch", "torchaudio", "ctranslate2", "sentencepiece"),
)
_LANDMARKS = "68 landmarks of dlib"  # what its model is called here: each distribution has a place of its own for it

Versions = Mapping[str, Mapping[str, str]]
"""By what it is (code, library, engine, model) and by name: a sum or a version. Plain, so that any dubd can read it."""


def versions() -> Versions:
    """Those of this machine. Large model files are read once, and not by each process."""
    return {"code": {"dubd": code()}, "library": _libraries(), "engine": _engines(), "model": dict(_models())}


def code(package: Path = Path(dubd.__file__).parent) -> str:
    """sha256 over the package's sources: the names and bytes of all its .py files."""
    made = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        data = path.read_bytes()
        made.update(f"{path.relative_to(package)} {len(data)}\n".encode() + data)
    return made.hexdigest()


def differences(ours: Versions, theirs: Versions) -> list[str]:
    """What both have and is not the same, in words, the most telling first. What only one has is no difference."""
    found = []
    for what, known in ours.items():
        there = theirs.get(what, {})
        for name in sorted(known.keys() & there.keys()):
            if known[name] != there[name]:
                found.append(_said(what, name, known[name], there[name]))
    return found


def _said(what: str, name: str, ours: str, theirs: str) -> str:
    if what == "code":
        return f"its dubd has other sources than the one here ({theirs[:8]}, here {ours[:8]})"
    if what == "model":
        return f"its {name} has other bytes than the one here (sha256 {theirs[:8]}, here {ours[:8]})"
    return f"its {name} is {theirs}, here {ours}"


def _libraries() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name).partition("+")[0]  # +cpu and +cu128 are one release
        except metadata.PackageNotFoundError:
            continue
    try:
        said = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True).stdout
        found["ffmpeg"] = said.split()[2]
    except (OSError, subprocess.CalledProcessError, IndexError):
        found["ffmpeg"] = "none"
    return found


def _engines() -> dict[str, str]:
    """Revisions of the engines that can run here."""
    found = {}
    for stage in registry.STAGES:
        for name in registry.names(stage):
            try:
                engine = registry.find(stage, name)
                if engine.missing() is None:
                    found[f"{stage} engine {name}"] = engine.revision()
            except (DubdError, OSError):  # not for this machine
                continue
    return found


def _models() -> Iterator[tuple[str, str]]:
    root = store.root()
    for path in sorted(root.rglob("*")) if root.is_dir() else ():
        inside = path.relative_to(root)
        if path.is_file() and not any(part.startswith(".") for part in inside.parts):
            yield str(inside), digest(path, root / ".digests")
    if found := landmarks.model():
        yield _LANDMARKS, digest(found, root / ".digests")
