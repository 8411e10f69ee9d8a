"""What XTTS speaks and how a text must look for it: languages, limits, digits, money and signs. Imports no model."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from dubd.engines import hindi

LIMITS: Final = {
    "en": 250, "es": 239, "fr": 273, "de": 253, "it": 213, "pt": 203, "pl": 224, "tr": 226, "ru": 182,
    "nl": 251, "cs": 186, "ar": 166, "zh-cn": 82, "hu": 224, "ko": 95, "ja": 71, "hi": 150,
}  # fmt: skip
"""Characters that the model takes at once, by its own language codes (coqui-tts 0.28.0, `VoiceBpeTokenizer`)."""

_READERS: Final = {"ja": ("cutlet", "ja"), "zh-cn": ("pypinyin", "zh")}  # what coqui-tts reads a language's script with

_RUPEES: Final = {
    "en": "rupees", "es": "rupias", "fr": "roupies", "de": "Rupien", "it": "rupie", "pt": "rúpias", "pl": "rupii",
    "tr": "rupi", "ru": "рупий", "nl": "roepie", "cs": "rupií", "ar": "روبية", "zh-cn": "卢比", "hu": "rúpia",
    "ko": "루피", "ja": "ルピー",
}  # fmt: skip
_SAME: Final = str.maketrans("’‘“”„«»–−\u00a0", '\'\'"""""-- ', "") | {ord("…"): "..."}
_HIDDEN: Final = re.compile(r"[\u200b\u2060\ufeff\u00ad\ufe0e\ufe0f]|[\x00-\x08\x0b-\x1f\x7f]")
_RUPEE_BEFORE: Final = re.compile(r"₹\s*(\d+(?:[.,]\d+)*)")


def code(language: str) -> str | None:
    """XTTS's own code for a language, None where it has not learnt it: pt-BR is pt, zh is zh-cn."""
    base = language.split("-")[0].lower()
    base = "zh-cn" if base == "zh" else base
    return base if base in LIMITS else None


def reader(language: str) -> tuple[str, str] | None:
    """The module that this language (XTTS's code) is read with, and coqui-tts's extra that brings it."""
    return _READERS.get(language)


def readable(text: str, language: str) -> str:
    """`text` with plain quotes and digits, and in words what the library's own cleaners do not put into words.

    Those do numbers, money, percent and abbreviations by num2words, which has no Hindi: there, everything is done here.
    """
    text = _HIDDEN.sub("", unicodedata.normalize("NFC", text)).translate(_SAME)
    text = "".join(str(unicodedata.digit(one)) if one.isdecimal() else one for one in text)
    if language == "hi":
        return hindi.spelled(text)
    word = _RUPEES[language]
    return " ".join(_RUPEE_BEFORE.sub(rf"\1 {word}", text).replace("₹", f" {word} ").split())


def says_something(text: str) -> bool:
    """Whether there is anything to pronounce."""
    return any(unicodedata.category(one)[0] in "LN" for one in text)
