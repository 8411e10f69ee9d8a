"""The languages that Whisper knows, and which of its codes a rule's language tag stands for."""

from __future__ import annotations

from typing import Final

# whisper.tokenizer.LANGUAGES of 20250625; yue (Cantonese) came with large-v3, the 99 before it are in every
# multilingual model.
_CODES: Final = """
    en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg lt la mi ml
    cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be tg sd gu am
    yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su yue
"""
_KNOWN: Final = frozenset(_CODES.split())
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
