"""A third-party engine package whose models lie on a server of the test: `translate: {engine: weighed}`."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

WEIGHTS = os.urandom(1_500_000)
HIDDEN = b"what only a person can get"
CARD = b'{"layers": 2}'

_ENGINE = '''
"""Translates by the length of its weights."""

from dataclasses import dataclass

from dubd.engines.contract import Engine, Translation
from dubd.models import store
from dubd.models.model import File, Model, chosen, from_hub

SMALL = Model("weighed/small", (File("w.bin", "{url}/w.bin", {size}, "{sum}"),), "MIT", "http://weighed.example")
HUB = from_hub("weighed/hub", "some/repo", "f00d", (File("card.json"),), "CC-BY-NC-4.0")
HIDDEN = Model("weighed/hidden", (File("h.bin", None, {hidden_size}, "{hidden_sum}"),), "Acme-1.0",
               "http://weighed.example/ask")


@dataclass(frozen=True)
class Params:
    model: str = "small"


class Weighed(Engine):
    name = "weighed"
    stage = "translate"
    summary = "every text with the size of the weights"
    licence = "Apache-2.0"
    Params = Params
    model_params = ("model",)
    published = {{"small": SMALL, "hub": HUB, "hidden": HIDDEN}}

    @classmethod
    def models(cls, params):
        return (chosen(params.model, cls.published),)

    def load(self, device, params):
        (model,) = self.models(params)
        self.weights = len(store.file(model, "w.bin").read_bytes())

    def run(self, batch):
        return [Translation(f"{{sentence.text}} {{self.weights}}") for sentence in batch]
'''
RULE = """\
default: true
languages: {source: en, target: es}
stages:
  translate: {engine: weighed, model: %s}
  lipsync: {engine: none}
  restore: {engine: none}
"""


def install(folder: Path, url: str) -> Path:
    """The folder for PYTHONPATH; its models are at `url`."""
    folder.mkdir()
    text = _ENGINE.format(
        url=url,
        size=len(WEIGHTS),
        sum=hashlib.sha256(WEIGHTS).hexdigest(),
        hidden_size=len(HIDDEN),
        hidden_sum=hashlib.sha256(HIDDEN).hexdigest(),
    )
    (folder / "dubd_weighed.py").write_text(text)
    info = folder / "dubd_weighed-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dubd-weighed\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[dubd.translate]\nweighed = dubd_weighed:Weighed\n")
    return folder


def use(patch: pytest.MonkeyPatch, site: Path, url: str) -> None:
    """What is started from now on finds the package, and `url` in place of the hub."""
    patch.setenv("PYTHONPATH", str(site))
    patch.setenv("HF_ENDPOINT", url)
