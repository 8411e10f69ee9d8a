"""The languages that Whisper knows, and which of its codes a rule's language tag stands for."""

from __future__ import annotations

import json
from collections.abc import Container
from pathlib import Path
from typing import Final

from dubd import regular
from dubd.errors import DubdError
from dubd.models.model import own

# whisper.tokenizer.LANGUAGES of 20250625; yue (Cantonese) came with large-v3, the 99 before it are in every
# multilingual model.
_CODES: Final = """
    en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg lt la mi ml
    cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be tg sd gu am
    yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su yue
"""
_KNOWN: Final = frozenset(_CODES.split())
_MULTILINGUAL: Final = 51_865  # words of a vocabulary from which on CTranslate2 too takes it for multilingual
_MOST: Final = 16 << 20  # bytes of a vocabulary
# Tags of today for what Whisper has under another code.
_SAME: Final = {"nb": "no", "jv": "jw", "iw": "he", "in": "id", "fil": "tl", "cmn": "zh", "ji": "yi", "mo": "ro"}


def code(tag: str) -> str | None:
    """Whisper's code of a language tag ("pt-BR" is "pt", "nb" is "no"); None where it lacks the language."""
    primary = tag.replace("_", "-").split("-")[0].lower()
    found = _SAME.get(primary, primary)
    return found if found in _KNOWN else None


def refusal(engine: str, tag: str) -> str | None:
    """Why no Whisper model can hear this language; None where one can."""
    if code(tag):
        return None
    return f"{engine} does not know the language {tag!r}: use another engine, or put subtitles beside the video"


def unfit(model: str, tag: str, published: Container[str]) -> tuple[str, str, str] | None:
    """Where a rule's `model` hears English alone and another language is spoken: the parameter, why, the remedy."""
    if code(tag) == "en" or not english_alone(model):
        return None
    other = model.removesuffix(".en") if own(model) is None else ""
    remedy = f"model: {other}" if other in published else "choose a model without .en (dubd models list)"
    return "model", f"{Path(model).name} hears English alone, and languages.source is {tag}", remedy


def english_alone(model: str) -> bool:
    """Whether a rule's word is a model for English: a name by its .en, a converted folder by its vocabulary.

    The own .pt of a user is not opened here, as that takes torch: it is refused when it is loaded.
    """
    place = own(model)
    if place is None:
        return model.endswith(".en")
    return 0 < _words(place.path) < _MULTILINGUAL


def _words(folder: Path) -> int:
    """How many a converted model knows; 0 where that cannot be told."""
    for name in ("vocabulary.json", "vocabulary.txt"):
        try:
            text = regular.read(folder / name, _MOST).decode("utf-8")
            lines = text.removesuffix("\n").count("\n") + bool(text)  # one word is empty
            return len(json.loads(text)) if name.endswith("json") else lines
        except (OSError, DubdError, ValueError, TypeError, RecursionError):
            continue
    return 0
