"""The rooms of the package: an import only ever points down the list of docs/architecture.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LISTED = re.findall(r"^\| `(\w+)/` \|", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE)
# Plans are made from rules and records, for cards with a margin; the graph itself needs only cost's ledger.
UP = {("cost", "graph"), ("cost", "schedule")}


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            parts = name.split(".")
            if parts[0] == "dubd" and len(parts) > 1:
                yield parts[1]


def test_every_room_is_listed() -> None:
    rooms = {path.parent.name for path in (ROOT / "dubd").glob("*/__init__.py")}
    assert rooms == set(LISTED)


@pytest.mark.parametrize("room", LISTED)
def test_a_room_imports_only_from_itself_and_below(room: str) -> None:
    below = LISTED[LISTED.index(room) :]
    for path in (ROOT / "dubd" / room).glob("*.py"):
        up = {name for name in imported(path) if name in LISTED and name not in below and (room, name) not in UP}
        assert not up, f"{path.name} imports from {up}"
