"""The rules that are shipped, whether their models are here or not."""

from __future__ import annotations

from pathlib import Path

from dubd.graph.rule import Rule
from dubd.graph.rules import check

RULES = Path(__file__).parents[2] / "rules"


def shipped(name: str) -> Rule:
    """A rule by its name."""
    rule, faults = check(RULES / f"{name}.yaml", ready=False)
    assert rule, faults
    return rule
