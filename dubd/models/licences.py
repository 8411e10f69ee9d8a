"""Whether a licence allows commercial use, for the licences that engines and models here name. Data, and no advice."""

from __future__ import annotations

import re
from collections.abc import Iterable

# By the name as it stands in `licence`. What is asked is use for money, not passing on: the GPL allows the former.
COMMERCIAL = {
    "Apache-2.0": True,
    "BSD-2-Clause": True,
    "BSD-3-Clause": True,
    "BSL-1.0": True,
    "CC-BY-4.0": True,
    "CC-BY-NC-4.0": False,
    "CC-BY-NC-SA-4.0": False,
    "CC-BY-SA-4.0": True,
    "CC0-1.0": True,
    "CPML-1.0": False,  # Coqui Public Model License
    "GPL-2.0-or-later": True,
    "GPL-3.0-only": True,
    "GPL-3.0-or-later": True,
    "ISC": True,
    "LGPL-2.1-or-later": True,
    "LGPL-3.0-or-later": True,
    "MIT": True,
    "MPL-2.0": True,
    "S-Lab-1.0": False,
    "Unlicense": True,
}

_PARTS = re.compile(r"\s*(?:[,;]|\bAND\b|\band\b)\s*")
_OF = re.compile(r"^(?:code|model|models|weights|data)\s*:?\s+")
_WEIGHTS = re.compile(r"\s*[,;]\s*(?:models?|weights)\b")
_REMARK = re.compile(r"\s*\([^)]*\)")


def commercial(licence: str, said: bool | None = None) -> bool | None:
    """May it be used commercially, as far as the licence says? None where that is not known.

    `said` by the engine or model itself goes first. A licence of several parts ("code BSL-1.0, model CC0-1.0") allows
    it where each of them does. What says in words that it is non-commercial is taken at its word.
    """
    if said is not None:
        return said
    if re.search(r"non-?\s?commercial|research[ -](?:use )?only", licence, re.IGNORECASE):
        return False
    parts = [_OF.sub("", part) for part in _PARTS.split(_REMARK.sub("", licence).strip())]
    return together(COMMERCIAL.get(part) for part in parts)


def of_code(licence: str) -> str:
    """An engine's licence without what it says of the published weights, for where others are loaded.

    Of "code MPL-2.0; model CPML-1.0: non-commercial" it is "code MPL-2.0"; "MIT (code and models)" stays as it is.
    """
    return _WEIGHTS.split(licence)[0]


def together(answers: Iterable[bool | None]) -> bool | None:
    """No where one is no, yes where all are yes, else not known."""
    found = list(answers)
    if False in found:
        return False
    return None if None in found else True
