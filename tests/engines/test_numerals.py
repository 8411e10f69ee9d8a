"""Numbers as the target language writes them, and so as its voice reads them."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from dubd.engines.numerals import localised


@pytest.mark.parametrize(
    ("english", "spanish"),
    [
        ("1,000", "1.000"),
        ("$1,234,567.89, no less.", "$1.234.567,89, no less."),
        ("-3.5% of 12,500.", "-3,5% of 12.500."),
        ("3.125", "3,125"),
        ("1, 2, 3", "1, 2, 3"),
    ],
)
def test_grouping_and_decimal_mark_change_places_and_back(english: str, spanish: str) -> None:
    assert localised(english, "en-US", "es") == spanish
    assert localised(spanish, "es", "en") == english


@pytest.mark.parametrize("text", ["2.0.1", "10:30.5", "v1.5", "12,34,567", "1,0000", "1/1.5", "3,4", "1984.", "1.5x"])
def test_what_is_no_plain_number_stays(text: str) -> None:
    assert localised(text, "en", "es") == text


@pytest.mark.parametrize("target", ["hi", "en-GB", "qq"])
def test_where_the_custom_is_the_same_or_not_known_nothing_changes(target: str) -> None:
    assert localised("1,000.5", "en", target) == "1,000.5"


@pytest.mark.skipif(not shutil.which("espeak-ng"), reason="needs: apt-get install espeak-ng")
@pytest.mark.parametrize("language", ["es", "es-419", "ca", "fr", "it", "pt", "pt-br", "de"])
@pytest.mark.parametrize(("english", "plain"), [("1,000", "1000"), ("1,234,567", "1234567")])
def test_a_voice_reads_them_as_the_same_number(language: str, english: str, plain: str) -> None:
    def read(text: str) -> str:
        command = ["espeak-ng", "--ipa", "-q", "-v", language, text]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert read(localised(english, "en", language)) == read(plain) != read(english)
