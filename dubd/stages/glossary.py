"""A glossary: how a person wants terms rendered, as a .csv file of source and target."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from dubd import regular
from dubd.errors import DubdError

_MOST = 16 << 20  # bytes
_HEADERS = {"source", "term", "from", "original"}
_PIVOT = "pivot"


@dataclass(frozen=True)
class Glossary:
    """(source term, target term) pairs in the file's order, and (source term, pivot term) where there is one."""

    terms: tuple[tuple[str, str], ...] = ()
    pivots: tuple[tuple[str, str], ...] = ()


def read(path: Path) -> Glossary:
    """The terms of `path`.

    A line is `source,target[,note]`; a header `source,target` may come first, lines with # are comments. A column that
    the header calls `pivot`, before the target's or after it, has the terms in the language in between, where a person
    wants them so. Raises DubdError with the line where a column is missing, or a term is given two renderings.
    """
    try:
        text = regular.read(path, _MOST).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DubdError("not UTF-8 text", file=path, remedy="save the glossary as UTF-8 .csv") from error
    pairs: dict[str, tuple[str, str, int]] = {}
    pivots: dict[str, tuple[str, str]] = {}
    column, pivot = 1, 0  # of the target, and of the pivot where there is one
    lines = text.splitlines()
    first = next((line for line in lines if line.strip() and not line.lstrip().startswith("#")), "")
    delimiter = next((mark for mark in ",;\t" if mark in first), ",")
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            row = [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, strict=True))]
        except csv.Error as error:
            raise DubdError(f"line {number}: {error}", file=path, remedy="see to the quotes") from error
        if line is first and row[0].lower() in _HEADERS:
            names = [name.lower() for name in row]
            pivot = names.index(_PIVOT, 1) if _PIVOT in names[1:] else 0
            column = 2 if pivot == 1 else 1
            continue
        if len(row) <= column or not row[0] or not row[column]:
            raise DubdError(
                f"line {number}: no source and target in {line.strip()[:60]!r}",
                file=path,
                remedy="write source,target on each line",
            )
        source, target = row[0], row[column]
        said = row[pivot] if pivot and row[pivot:] else ""
        known = pairs.get(source.casefold())
        between = pivots.get(source.casefold(), (source, ""))[1]
        if known and (known[1] != target or (said and between and said != between)):
            raise DubdError(
                f"line {number}: {source!r} has another rendering on line {known[2]}", file=path, remedy="keep one"
            )
        pairs[source.casefold()] = (source, target, number)
        if said:
            pivots[source.casefold()] = (source, said)
    return Glossary(tuple((source, target) for source, target, _ in pairs.values()), tuple(pivots.values()))
