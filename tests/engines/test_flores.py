from __future__ import annotations

import pytest

from dubd.engines.flores import flores, unknown
from dubd.media.languages import ALPHA3


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("en", "eng_Latn"), ("hi", "hin_Deva"), ("kn", "kan_Knda"), ("kan", "kan_Knda"), ("hin_Deva", "hin_Deva"),
        ("pt-BR", "por_Latn"), ("es-419", "spa_Latn"), ("sr", "srp_Cyrl"), ("no", "nob_Latn"), ("nb", "nob_Latn"),
        ("nn", "nno_Latn"), ("ar", "arb_Arab"), ("ar-EG", "arz_Arab"), ("fa", "pes_Arab"), ("fa-AF", "prs_Arab"),
        ("sw", "swh_Latn"), ("ms", "zsm_Latn"), ("lv", "lvs_Latn"), ("sq", "als_Latn"), ("fil", "tgl_Latn"),
    ],
)  # fmt: skip
def test_a_plain_code_has_its_flores_code(code: str, wanted: str) -> None:
    assert flores(code) == wanted


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("zh", "zho_Hans"), ("zh-CN", "zho_Hans"), ("zh-Hant", "zho_Hant"), ("zh-TW", "zho_Hant"),
        ("zh-Hans-HK", "zho_Hans"), ("zh-HK", "yue_Hant"), ("yue", "yue_Hant"),
        ("ks", "kas_Arab"), ("ks-Deva", "kas_Deva"),
    ],
)  # fmt: skip
def test_the_script_or_the_region_says_which_of_two(code: str, wanted: str) -> None:
    assert flores(code) == wanted


def test_every_two_letter_language_that_nllb_has_is_found() -> None:
    assert [code for code in ALPHA3 if flores(code) is None] == ["br", "la"]


@pytest.mark.parametrize("code", ["xx", "br", "sr-Latn", "hi-Latn", "tlh", ""])
def test_what_nllb_has_not_is_none(code: str) -> None:
    assert flores(code) is None


def test_an_unknown_code_is_told_with_the_nearest() -> None:
    assert unknown("sr-Latn") == "nllb has no 'sr-Latn'; did you mean srp_Cyrl?"
    assert unknown("knn").startswith("nllb has no 'knn'; did you mean ") and "kn" in unknown("knn")
    assert unknown("qqq") == "nllb has no 'qqq'; it takes ISO 639 codes such as en, hi, pt-BR, zh-Hant"


def test_the_codes_are_those_of_the_tokenizer() -> None:
    nllb = pytest.importorskip("transformers.models.nllb.tokenization_nllb")
    assert [code for code in nllb.FAIRSEQ_LANGUAGE_CODES if flores(code) != code] == []
