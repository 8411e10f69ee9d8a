"""Numbers, money, units, dates and times of a Hindi text as words: what a voice model reads must hold no digit.

The words up to ninety-nine are irregular; above them Hindi counts in hundreds (सौ), thousands (हज़ार), lakhs (लाख,
10^5), crores (करोड़, 10^7), arabs (अरब, 10^9) and kharabs (खरब, 10^11).
"""

from __future__ import annotations

import re
from typing import Final

_TENS_BY_ROW: Final = """
शून्य एक दो तीन चार पाँच छह सात आठ नौ
दस ग्यारह बारह तेरह चौदह पंद्रह सोलह सत्रह अठारह उन्नीस
बीस इक्कीस बाईस तेईस चौबीस पच्चीस छब्बीस सत्ताईस अट्ठाईस उनतीस
तीस इकतीस बत्तीस तैंतीस चौंतीस पैंतीस छत्तीस सैंतीस अड़तीस उनतालीस
चालीस इकतालीस बयालीस तैंतालीस चौवालीस पैंतालीस छियालीस सैंतालीस अड़तालीस उनचास
पचास इक्यावन बावन तिरपन चौवन पचपन छप्पन सत्तावन अट्ठावन उनसठ
साठ इकसठ बासठ तिरसठ चौंसठ पैंसठ छियासठ सड़सठ अड़सठ उनहत्तर
सत्तर इकहत्तर बहत्तर तिहत्तर चौहत्तर पचहत्तर छिहत्तर सतहत्तर अठहत्तर उनासी
अस्सी इक्यासी बयासी तिरासी चौरासी पचासी छियासी सत्तासी अट्ठासी नवासी
नब्बे इक्यानवे बानवे तिरानवे चौरानवे पचानवे छियानवे सत्तानवे अट्ठानवे निन्यानवे
"""
_UP_TO_99: Final = tuple(_TENS_BY_ROW.split())
_SCALES: Final = (
    (10**11, "खरब"),
    (10**9, "अरब"),
    (10**7, "करोड़"),
    (10**5, "लाख"),
    (10**3, "हज़ार"),
    (10**2, "सौ"),
)
_BEYOND: Final = 10**13  # longer numbers are read digit by digit, as telephone numbers are
_MONTHS: Final = ["जनवरी", "फ़रवरी", "मार्च", "अप्रैल", "मई", "जून", "जुलाई", "अगस्त", "सितंबर", "अक्टूबर", "नवंबर", "दिसंबर"]
_MONEY: Final = {"₹": ("रुपये", "पैसे"), "$": ("डॉलर", "सेंट"), "€": ("यूरो", "सेंट"), "£": ("पाउंड", "पेंस"), "¥": ("येन", "")}
_UNITS: Final = {
    "%": "प्रतिशत",
    "‰": "प्रति हज़ार",
    "km/h": "किलोमीटर प्रति घंटा",
    "kmph": "किलोमीटर प्रति घंटा",
    "km": "किलोमीटर",
    "cm": "सेंटीमीटर",
    "mm": "मिलीमीटर",
    "m": "मीटर",
    "kg": "किलोग्राम",
    "mg": "मिलीग्राम",
    "g": "ग्राम",
    "ml": "मिलीलीटर",
    "l": "लीटर",
    "°C": "डिग्री सेल्सियस",
    "°F": "डिग्री फ़ारेनहाइट",
    "°": "डिग्री",
    "किमी": "किलोमीटर",
    "कि.मी.": "किलोमीटर",
    "सेमी": "सेंटीमीटर",
    "किग्रा": "किलोग्राम",
}
_ORDINALS: Final = {1: "पहल", 2: "दूसर", 3: "तीसर", 4: "चौथ", 6: "छठ"}
_ENDINGS: Final = {
    **dict.fromkeys(("ला", "रा", "था", "ठा", "वाँ", "वां"), "ा"),
    **dict.fromkeys(("ली", "री", "थी", "ठी", "वीं"), "ी"),
    **dict.fromkeys(("ले", "रे", "थे", "ठे", "वें"), "े"),
}
"""Written right behind the digits: "5 था" is "it was 5"."""

_NUMBER: Final = r"\d+(?:,\d+)*(?:\.\d+)?"
_AFTER: Final = r"(?![\w\u0900-\u097f])"  # no letter and no sign of Devanagari follows: \w has no vowel signs
_SCALE_WORDS: Final = "|".join(word for _, word in _SCALES) + "|हजार|करोड|मिलियन|बिलियन"

_DATE: Final = re.compile(r"(?<![\d./-])(\d{1,2})([./-])(\d{1,2})\2(\d{4})(?![\d./-])")
_TIME: Final = re.compile(r"(?<![\d:])(\d{1,2}):([0-5]\d)(?![\d:])(?:\s*बजे)?")
_BEFORE: Final = re.compile(rf"([₹$€£¥])\s*({_NUMBER})((?:\s*(?:{_SCALE_WORDS}))?)")
_BEHIND: Final = re.compile(rf"({_NUMBER})\s*([₹$€£¥])")
_RANGE: Final = re.compile(r"(?<![\d.,-])(\d+(?:\.\d+)?)\s*[-–]\s*(\d+(?:\.\d+)?)(?![\d.,-]*\d)")
_UNIT: Final = re.compile(
    rf"({_NUMBER})\s*({'|'.join(re.escape(unit) for unit in sorted(_UNITS, key=len, reverse=True))}){_AFTER}"
)
_ORDINAL: Final = re.compile(rf"(\d+)({'|'.join(sorted(_ENDINGS, key=len, reverse=True))}){_AFTER}")
_YEAR: Final = re.compile(r"(?<![\d.,])(1[1-9])(\d\d)(?![\d]|[.,]\d)")
_SIGN: Final = re.compile(r"(?:(?<=\s)|^)[-−](?=\d)")
_PLAIN: Final = re.compile(_NUMBER)


def spelled(text: str) -> str:
    """`text` without digits and signs of money and measure; Devanagari digits count as digits."""
    text = text.translate({0x966 + digit: str(digit) for digit in range(10)})
    text = _DATE.sub(_date, text)
    text = _TIME.sub(_time, text)
    text = _BEFORE.sub(_money_before, text)
    text = _BEHIND.sub(lambda found: _money(found[1], found[2]), text)
    text = _RANGE.sub(lambda found: f"{found[1]} से {found[2]}", text)
    text = _UNIT.sub(lambda found: f"{found[1]} {_UNITS[found[2]]}", text)
    text = _ORDINAL.sub(lambda found: ordinal(int(found[1]), found[2]), text)
    text = _YEAR.sub(_year, text)
    text = _SIGN.sub("माइनस ", text)
    return _spaced(_PLAIN.sub(lambda found: f" {number(found[0])} ", text))


def number(digits: str) -> str:
    """ "1,25,000" or "3.14" as words; what begins with 0, or is longer than a kharab, digit by digit."""
    whole, _, fraction = digits.replace(",", "").partition(".")
    words = (
        _one_by_one(whole) if (len(whole) > 1 and whole[0] == "0") or int(whole) >= _BEYOND else cardinal(int(whole))
    )
    return f"{words} दशमलव {_one_by_one(fraction)}" if fraction else words


def cardinal(count: int) -> str:
    """A whole number from 0 on, under 10^13, as words."""
    if count < 100:
        return _UP_TO_99[count]
    size, name = next(scale for scale in _SCALES if count >= scale[0])
    many, rest = divmod(count, size)
    return f"{cardinal(many)} {name}" + (f" {cardinal(rest)}" if rest else "")


def ordinal(count: int, ending: str) -> str:
    """1 with "ला", "ली", "ले" and so on; the others take वाँ, वीं or वें."""
    vowel = _ENDINGS[ending]
    if count in _ORDINALS:
        return _ORDINALS[count] + vowel
    return cardinal(count) + {"ा": "वाँ", "ी": "वीं", "े": "वें"}[vowel]


def _one_by_one(digits: str) -> str:
    return " ".join(_UP_TO_99[int(digit)] for digit in digits)


def _date(found: re.Match[str]) -> str:
    day, month = int(found[1]), int(found[3])
    if not (1 <= day <= 31 and 1 <= month <= 12):
        return str(found[0])
    return f"{day} {_MONTHS[month - 1]} {found[4]}"


def _time(found: re.Match[str]) -> str:
    hour, minute = int(found[1]), int(found[2])
    if hour > 24:
        return str(found[0])
    return f"{hour} बजकर {minute} मिनट" if minute else f"{hour} बजे"


def _money_before(found: re.Match[str]) -> str:
    if found[3]:  # ₹2.5 लाख is two and a half lakhs, not 50 paise
        return f"{found[2]} {found[3].strip()} {_MONEY[found[1]][0]}"
    return _money(found[2], found[1])


def _money(amount: str, sign: str) -> str:
    name, part = _MONEY[sign]
    whole, _, fraction = amount.partition(".")
    if part and len(fraction) == 2:
        return f"{whole} {name}" + (f" {int(fraction)} {part}" if int(fraction) else "")
    return f"{amount} {name}"


def _year(found: re.Match[str]) -> str:
    rest = int(found[2])
    return f"{_UP_TO_99[int(found[1])]} सौ" + (f" {_UP_TO_99[rest]}" if rest else "")


def _spaced(text: str) -> str:
    return re.sub(r"\s+([,;:.!?।])", r"\1", re.sub(r"\s+", " ", text)).strip()
