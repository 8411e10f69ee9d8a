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


@pytest.mark.parametrize(
    "text", ["la versión 2.5", "Version 2.5.", "release 3.1", "con Ubuntu 22.04 y Python 3.12", "ya, Ubuntu 22.04"]
)
def test_a_version_of_two_parts_stays_after_a_word_for_it_or_a_name_within_a_sentence(text: str) -> None:
    assert localised(text, "en", "es") == text


@pytest.mark.parametrize(
    ("text", "target", "written"),
    [
        ("Nearly 2.5", "es", "Nearly 2,5"),  # the first word of a sentence is no name yet
        ("No. Nearly 2.5", "es", "No. Nearly 2,5"),
        ("in Madrid 1,000", "es", "in Madrid 1.000"),
        ("zum Preis 2.5", "de", "zum Preis 2,5"),
        ("versus 2.5", "es", "versus 2,5"),
        ("for USD 2.5", "es", "for USD 2,5"),
    ],
)
def test_an_amount_is_no_version(text: str, target: str, written: str) -> None:
    assert localised(text, "en", target) == written


def test_a_point_of_a_language_that_groups_with_it_is_no_version() -> None:
    assert localised("en Madrid 1.234 y 2,5", "es", "en") == "en Madrid 1,234 y 2.5"


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
