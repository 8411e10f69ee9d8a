"""A third party's engine that really allocates: host memory, and as much of the simulated card its process was given.

Installed by a copy in a folder of its own with one entry point (see cards.py). It keeps what it has taken, as PyTorch's
allocator does, and takes no more than its lease. Imports nothing heavy, and no test.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubd.engines.contract import Engine, OutOfMemory, Sentence, Translation, Vram
from dubd.schedule.simulated import Allocation
from dubd.schedule.simulated import OutOfMemory as CardFull

_MIB = 1 << 20


@dataclass(frozen=True)
class Params:
    """Sizes in MiB; `declared` is what `vram` tells of an item, `per_item` what it takes."""

    log: str
    model: int = 40
    declared: int = 10
    per_item: int = 10
    context: int = 20
    host: bool = True  # with NumPy
    hang: str = ""  # a file: while it is there, a call never ends
    seconds: float = 0.0  # that a call takes


class Allocating(Engine[Sentence, Translation]):
    """Shouts every text."""

    name = "allocating"
    stage = "translate"
    summary = "upper case, and as much memory as asked for"
    licence = "CC0-1.0"
    Params = Params
    batch = 8

    @classmethod
    def vram(cls, params: Any, precision: str | None) -> Vram | None:
        return Vram(params.model, params.declared * (2 if precision == "fp32" else 1), params.context)

    def load(self, device: str, params: Any) -> None:
        self.params, self.device = params, device
        self.taken, self.blocks = 0, list[Any]()
        self.take(params.model)
        heavy = [name for name in ("numpy", "cv2", "pydantic") if importlib.util.find_spec(name)]
        self.say(f"load {device} {sys.prefix} {','.join(heavy) or 'nothing'}")

    def run(self, batch: Sequence[Sentence]) -> list[Translation | Exception]:
        self.say(f"run {len(batch)} of {self.room.batch}")
        while self.params.hang and Path(self.params.hang).exists():
            time.sleep(0.02)
        time.sleep(self.params.seconds)
        made: list[Translation | Exception] = []
        for start in range(0, len(batch), self.room.batch):
            turn = batch[start : start + self.room.batch]
            self.take(self.params.model + len(turn) * self.params.per_item - self.taken)
            made += [Translation(sentence.text.upper()) for sentence in turn]
        return made

    def peak(self) -> int | None:
        return self.taken if self.device != "cpu" else None

    def held(self) -> int | None:
        return self.peak()

    def take(self, mib: int) -> None:
        if mib <= 0 or self.device == "cpu":
            return
        assert self.room.mib is not None
        if self.taken + mib > self.room.mib - self.params.context:
            self.say(f"over its lease of {self.room.mib}")
            raise OutOfMemory(f"{self.taken} + {mib} MiB in {self.room.mib}")
        try:
            block = Allocation(Path(os.environ["DUBD_SIMULATED_GPUS"]), os.environ["CUDA_VISIBLE_DEVICES"], mib)
        except CardFull as error:
            self.say(f"card full: {error}")
            raise OutOfMemory(str(error)) from error
        memory = None
        if self.params.host:
            import numpy as np

            memory = np.ones(mib * _MIB, dtype=np.uint8)
        self.blocks.append((block, memory))
        self.taken += mib

    def say(self, text: str) -> None:
        """A line of the log that all workers of a test write."""
        with open(self.params.log, "a", encoding="utf-8") as log:
            log.write(f"{os.getpid()} {text}\n")
