"""Translate with Apertium, a rule-based system whose dictionaries come as small Debian packages."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from shutil import which
from typing import Any, Final

from dubd.engines.contract import Engine, Sentence, Translation

_MODES: Final = Path("/usr/share/apertium/modes")
_CODES: Final = {"en": "eng", "es": "spa", "ca": "cat", "gl": "glg", "pt": "por", "fr": "fra", "it": "ita"}
_TIMEOUT: Final = 120  # s


class Apertium(Engine[Sentence, Translation]):
    """Sentence by sentence, each on its own; a batch is one run of the pipeline."""

    name = "apertium"
    stage = "translate"
    summary = "Apertium's rules and dictionaries: fast and steady, rough beyond simple sentences"
    licence = "GPL-2.0-or-later"
    batch = 64

    @classmethod
    def revision(cls) -> str:
        """Sizes and times of the installed language data: a package upgrade changes them."""
        files = sorted(_MODES.parent.glob("apertium-*/*.bin"))
        return "1-" + "-".join(str(file.stat().st_size) for file in files)

    @classmethod
    def missing(cls) -> str | None:
        if which("apertium") and _mode("en", "es"):
            return None
        return "apt-get install apertium-eng-spa"

    @classmethod
    def refuses(cls, source: str, target: str) -> str | None:
        if _mode(source, target):
            return None
        pair = f"{_code(source)}-{_code(target)}"
        return f"no Apertium data for {pair} is installed: apt-get install apertium-{pair}, or use another engine"

    def load(self, device: str, params: Any) -> None:
        """Nothing to load: the pipeline starts in a quarter of a second."""

    def run(self, batch: Sequence[Sentence]) -> list[Translation | Exception]:
        return [self._attempt(sentence) for sentence in batch]

    def _attempt(self, sentence: Sentence) -> Translation | Exception:
        mode = _mode(sentence.source, sentence.target)
        if mode is None:
            return ValueError(self.refuses(sentence.source, sentence.target))
        done = subprocess.run(
            ["apertium", "-u", mode], input=sentence.text, text=True, capture_output=True, timeout=_TIMEOUT
        )
        if done.returncode:
            return ValueError(f"apertium failed: {done.stderr.strip()[-200:]}")
        return Translation(" ".join(done.stdout.split()))


def _code(language: str) -> str:
    primary = language.split("-")[0].lower()
    return _CODES.get(primary, primary)


def _mode(source: str, target: str) -> str | None:
    """The name of the installed translation mode, None where there is none."""
    name = f"{_code(source)}-{_code(target)}"
    return name if (_MODES / f"{name}.mode").is_file() else None
