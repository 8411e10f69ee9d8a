"""Tables that fit their terminal: figures are whole at any width, and what matters least is left out first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.table import Table

_BETWEEN = 2  # characters, of two cells


@dataclass(frozen=True)
class Column:
    """A column of a table. `title` may have several lines.

    `least`: characters to which its cells may be wrapped, None where they may not. `drop`: those of the largest are
    left out first, together; those of 0 never are.
    """

    title: str
    right: bool = False
    least: int | None = None
    drop: int = 0


def fitting(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> Table:
    """The table with as many of its columns as have room in `width` characters."""
    from rich.box import SIMPLE_HEAD
    from rich.cells import cell_len
    from rich.markup import escape
    from rich.table import Table

    def needs(index: int) -> int:
        texts = (*columns[index].title.split("\n"), *(row[index] for row in rows))
        longest = max(cell_len(text) for text in texts)
        least = columns[index].least
        return longest if least is None else min(longest, least)

    kept = list(range(len(columns)))
    while sum(needs(index) + _BETWEEN for index in kept) - _BETWEEN > width:
        last = max(columns[index].drop for index in kept)
        if not last:
            break
        kept = [index for index in kept if columns[index].drop < last]
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 0, 0, 1))
    for index in kept:
        column = columns[index]
        justify: Literal["left", "right"] = "right" if column.right else "left"
        least = None if column.least is None else needs(index)
        table.add_column(column.title, justify=justify, min_width=least, no_wrap=least is None, overflow="fold")
    for row in rows:
        table.add_row(*(escape(row[index]) for index in kept))
    return table
