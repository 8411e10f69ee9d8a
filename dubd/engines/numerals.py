"""Write a text's numbers as its language does: a Spanish voice reads "1,000" as one point zero zero zero."""

from __future__ import annotations

import re
from typing import Final

_COMMA: Final = frozenset(("ca", "de", "es", "fr", "gl", "it", "nl", "oc", "pt", "ro", "sv"))
"""Languages that write 1.234,5. Regions are not asked: all of a language's voices read its own way."""

_POINT: Final = frozenset(("en", "he", "hi", "ja", "kn", "ko", "zh"))  # 1,234.5

_NUMBER: Final = r"(?<![\w.,:/])(?:\d{{1,3}}(?:{group}\d{{3}})+(?:{mark}\d+)?|\d+{mark}\d+)(?![\w:/]|[.,]\d)"
_WRITTEN: Final = {
    True: re.compile(_NUMBER.format(group=r"\.", mark=",")),
    False: re.compile(_NUMBER.format(group=",", mark=r"\.")),
}
_SWAPPED: Final = str.maketrans(".,", ",.")


def localised(text: str, source: str, target: str) -> str:
    """`text` with numbers that stand in it as `source` writes them as `target` does (language codes).

    Where the custom of one of both is not known, or it is the same, the text is as it was. Versions, times and dates
    (2.0.1, 10:30, 3/4) are no such numbers.
    """
    was, wanted = (language.split("-")[0].lower() for language in (source, target))
    if (was in _COMMA and wanted in _POINT) or (was in _POINT and wanted in _COMMA):
        return _WRITTEN[was in _COMMA].sub(lambda found: found.group().translate(_SWAPPED), text)
    return text
