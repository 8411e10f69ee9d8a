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
_VERSION: Final = re.compile(r"(?<!\w)(?:v\.?|versi\w+|versão|release)\s+$", re.IGNORECASE)
_NAME: Final = re.compile(r"[\w,]\s+[A-ZÀ-Þ]\w*[a-zß-ÿ]\s+$")  # capitalised, and not the first word of a sentence
_SWAPPED: Final = str.maketrans(".,", ",.")


def localised(text: str, source: str, target: str) -> str:
    """`text` with numbers that stand in it as `source` writes them as `target` does (language codes).

    Where the custom of one of both is not known, or it is the same, the text is as it was. Times, dates and numbers
    of three parts (10:30, 3/4, 2.0.1) are no such numbers, and versions of two parts stay too where they can be told:
    after a word for version, or after a capitalised name within a sentence (with Ubuntu 22.04), except in German,
    where every noun is capitalised. At the start of a sentence a name cannot be told from any other word.
    """
    was, wanted = (language.split("-")[0].lower() for language in (source, target))
    if not ((was in _COMMA and wanted in _POINT) or (was in _POINT and wanted in _COMMA)):
        return text

    def written(found: re.Match[str]) -> str:
        number, before = found.group(), text[: found.start()]
        named = _VERSION.search(before) or (wanted != "de" and _NAME.search(before))
        version = named and was in _POINT and "," not in number  # where a comma marks decimals, 1.234 is a count
        return number if version else number.translate(_SWAPPED)

    return _WRITTEN[was in _COMMA].sub(written, text)
