"""What is printed of names that other people gave: one line, and nothing that a terminal obeys."""

from __future__ import annotations

import json
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubd.cli.printable import OneLine, printable, printable_json


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("talk.mp4", "talk.mp4"),
        ("ನಮಸ್ಕಾರ\u200c.mp4", "ನಮಸ್ಕಾರ\u200c.mp4"),
        ("a\nb\rc\td", r"a\nb\rc\td"),
        ("\x1b[2J\x9b\x07", r"\x1b[2J\x9b\x07"),
        ("\u202e4pm", r"\u202e4pm"),
        ("caf\udce9", r"caf\xe9"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(name: str, shown: str) -> None:
    assert printable(name) == shown


_ODD = st.characters(categories=["Cc", "Cf", "Zl", "Zp"])
_BYTES = st.characters(categories=["Cs"], min_codepoint=0xDC80, max_codepoint=0xDCFF)  # of a name that is no UTF-8


@given(st.text() | st.text(_ODD | _BYTES))
def test_any_text_can_be_written_as_one_line_and_json_keeps_it(text: str) -> None:
    assert len(printable(text).encode().decode().splitlines()) <= 1
    document = printable_json(json.dumps({"file": text}, ensure_ascii=False))
    assert json.loads(document.encode()) == {"file": text}
    assert len(document.splitlines()) == 1


def test_a_record_forges_no_other() -> None:
    try:
        raise ValueError("one\n2026-01-01 dubd forged")
    except ValueError:
        record = logging.LogRecord("dubd", 40, __file__, 1, "%s", ("a\nb",), sys.exc_info())
    first, *rest = OneLine("%(name)s %(message)s").format(record).splitlines()
    assert first == r"dubd a\nb"
    assert rest
    assert all(line.startswith("    ") for line in rest)
