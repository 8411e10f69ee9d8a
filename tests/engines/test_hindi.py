"""hindi: what is written in digits and signs, as a Hindi speaker reads it out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubd.engines import hindi


def test_the_hundred_irregular_words_are_all_different() -> None:
    assert len({hindi.cardinal(number) for number in range(100)}) == 100


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "शून्य"),
        (19, "उन्नीस"),
        (29, "उनतीस"),
        (39, "उनतालीस"),
        (49, "उनचास"),
        (59, "उनसठ"),
        (69, "उनहत्तर"),
        (79, "उनासी"),
        (89, "नवासी"),
        (99, "निन्यानवे"),
        (100, "एक सौ"),
        (105, "एक सौ पाँच"),
        (1_000, "एक हज़ार"),
        (12_345, "बारह हज़ार तीन सौ पैंतालीस"),
        (1_00_000, "एक लाख"),
        (25_00_001, "पच्चीस लाख एक"),
        (1_40_00_00_000, "एक अरब चालीस करोड़"),
    ],
)
def test_numbers_count_in_hundreds_thousands_lakhs_and_crores(count: int, words: str) -> None:
    assert hindi.cardinal(count) == words


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("25 लोग", "पच्चीस लोग"),
        ("१२ घर", "बारह घर"),
        ("2.5 किलो", "दो दशमलव पाँच किलो"),
        ("1,25,000 लोग", "एक लाख पच्चीस हज़ार लोग"),
        ("₹500", "पाँच सौ रुपये"),
        ("₹ 2.5 लाख", "दो दशमलव पाँच लाख रुपये"),
        ("$2.50 दो", "दो डॉलर पचास सेंट दो"),
        ("20€", "बीस यूरो"),
        ("50% छूट", "पचास प्रतिशत छूट"),
        ("100 km/h", "एक सौ किलोमीटर प्रति घंटा"),
        ("37°C", "सैंतीस डिग्री सेल्सियस"),
        ("2 kg आटा", "दो किलोग्राम आटा"),
        ("5वें दिन", "पाँचवें दिन"),
        ("4थे दिन", "चौथे दिन"),
        ("1ला और 2री", "पहला और दूसरी"),
        ("15/08/1947 को", "पंद्रह अगस्त उन्नीस सौ सैंतालीस को"),
        ("1947 में", "उन्नीस सौ सैंतालीस में"),
        ("2023 में", "दो हज़ार तेईस में"),
        ("3:30 बजे", "तीन बजकर तीस मिनट"),
        ("5:00 बजे आओ", "पाँच बजे आओ"),
        ("10-15 लोग", "दस से पंद्रह लोग"),
        ("-5 था", "माइनस पाँच था"),
        ("पिन 007", "पिन शून्य शून्य सात"),
        ("यह 3. है", "यह तीन. है"),
        ("2 mango", "दो mango"),
    ],
)
def test_money_measures_dates_and_times_are_words(written: str, read: str) -> None:
    assert hindi.spelled(written) == read


def test_a_number_too_long_for_a_name_is_read_digit_by_digit() -> None:
    assert hindi.spelled("98765432109876").split()[:3] == ["नौ", "आठ", "सात"]


def test_a_text_without_numbers_stays_as_it_is() -> None:
    assert hindi.spelled("नमस्ते, आप कैसे हैं? (ठीक-ठाक)") == "नमस्ते, आप कैसे हैं? (ठीक-ठाक)"


@given(st.text(alphabet="0123456789.,:/-–%₹$€ १२३किमीवेंkmg°Cबजे\n", max_size=30))
def test_no_digit_is_ever_left(text: str) -> None:
    assert not any(one.isdecimal() for one in hindi.spelled(text))
