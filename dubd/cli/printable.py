"""Text from outside as it may be printed: a file's name forges no line, and drives no terminal."""

from __future__ import annotations

import logging
import re

# Control characters, line and paragraph ends, marks that turn the direction of writing, bytes that are no text. The
# joiners of Indic scripts (U+200C, U+200D) are letters' business and stay.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def printable(text: str) -> str:
    """`text` on one line, what cannot be printed written as in Python: \\n, \\x1b, \\u202e."""
    return _UNPRINTABLE.sub(_written, text)


def printable_json(text: str) -> str:
    """A JSON document that says the same, all of it printable."""
    return _IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class OneLine(logging.Formatter):
    """A record is one line; of a traceback, every line is set in."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  its name in logging
        """The line itself."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: object) -> str:  # noqa: N802  its name in logging
        """The traceback below it."""
        lines = super().formatException(ei).splitlines()  # type: ignore[arg-type]
        return "\n".join(f"    {printable(line)}" for line in lines)


def _written(found: re.Match[str]) -> str:
    byte = ord(found[0]) - 0xDC00
    if 0x80 <= byte <= 0xFF:
        return f"\\x{byte:02x}"  # a byte of a name that is not UTF-8
    return found[0].encode("unicode_escape").decode("ascii")
