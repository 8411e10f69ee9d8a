"""One comparison of a benchmark of engines: handed from the process that measured it to the one that prints all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

PLACE = "BENCHMARK_ROWS"  # the file that a part of benchmarks.engines adds to; without it a part only prints


@dataclass(frozen=True)
class Row:
    """`before` and `after` are two ways to do the same, or one at two lengths, or a claim and what was measured."""

    what: str
    unit: str
    before: float
    after: float

    @property
    def ratio(self) -> float:
        """How many times `after` goes into `before`."""
        return self.before / self.after


def hand(*rows: Row) -> None:
    """Add them to the file of this run, where there is one."""
    if place := os.environ.get(PLACE):
        with Path(place).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(row)) + "\n" for row in rows)


def handed(place: Path) -> list[Row]:
    """All that were handed."""
    return [Row(**json.loads(line)) for line in place.read_text(encoding="utf-8").splitlines()]


def table(rows: Iterable[Row]) -> str:
    """One line each."""
    head = f"{'':58} {'':6} {'before':>9} {'after':>9} {'ratio':>6}"
    return "\n".join(
        [head, *(f"{row.what:58} {row.unit:6} {row.before:9.2f} {row.after:9.2f} {row.ratio:6.2f}" for row in rows)]
    )
