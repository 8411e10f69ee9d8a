"""Codes that containers understand."""

from __future__ import annotations

import pytest

from dubd.media.languages import alpha3


@pytest.mark.parametrize(
    ("code", "expected"),
    [("es", "spa"), ("en", "eng"), ("hi", "hin"), ("kn", "kan"), ("pt-BR", "por"), ("zh_CN", "zho"), ("kan", "kan")],
)
def test_known_codes(code: str, expected: str) -> None:
    assert alpha3(code) == expected


@pytest.mark.parametrize("code", ["", "x", "qq", "english"])
def test_what_is_no_code_is_undetermined(code: str) -> None:
    assert alpha3(code) == "und"
