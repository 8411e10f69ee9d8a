"""Language codes as NLLB wants them: FLORES-200 codes (language and script) of the plain codes that rules use."""

from __future__ import annotations

import difflib
from functools import cache
from typing import Final

from dubd.media.languages import alpha3

# NLLB-200's own list, table 1 of arXiv 2207.04672, as its tokenizer spells them (Santali stands under Beng there).
# Where a language has several scripts, the first one here is meant by its bare code.
_CODES: Final = """
ace_Latn ace_Arab acm_Arab acq_Arab aeb_Arab afr_Latn ajp_Arab aka_Latn als_Latn amh_Ethi apc_Arab arb_Arab ars_Arab
ary_Arab arz_Arab asm_Beng ast_Latn awa_Deva ayr_Latn azb_Arab azj_Latn bak_Cyrl bam_Latn ban_Latn bel_Cyrl bem_Latn
ben_Beng bho_Deva bjn_Latn bjn_Arab bod_Tibt bos_Latn bug_Latn bul_Cyrl cat_Latn ceb_Latn ces_Latn cjk_Latn ckb_Arab
crh_Latn cym_Latn dan_Latn deu_Latn dik_Latn dyu_Latn dzo_Tibt ell_Grek eng_Latn epo_Latn est_Latn eus_Latn ewe_Latn
fao_Latn fij_Latn fin_Latn fon_Latn fra_Latn fur_Latn fuv_Latn gaz_Latn gla_Latn gle_Latn glg_Latn grn_Latn guj_Gujr
hat_Latn hau_Latn heb_Hebr hin_Deva hne_Deva hrv_Latn hun_Latn hye_Armn ibo_Latn ilo_Latn ind_Latn isl_Latn ita_Latn
jav_Latn jpn_Jpan kab_Latn kac_Latn kam_Latn kan_Knda kas_Arab kas_Deva kat_Geor kaz_Cyrl kbp_Latn kea_Latn khk_Cyrl
khm_Khmr kik_Latn kin_Latn kir_Cyrl kmb_Latn kmr_Latn knc_Latn knc_Arab kon_Latn kor_Hang lao_Laoo lij_Latn lim_Latn
lin_Latn lit_Latn lmo_Latn ltg_Latn ltz_Latn lua_Latn lug_Latn luo_Latn lus_Latn lvs_Latn mag_Deva mai_Deva mal_Mlym
mar_Deva min_Latn mkd_Cyrl mlt_Latn mni_Beng mos_Latn mri_Latn mya_Mymr nld_Latn nno_Latn nob_Latn npi_Deva nso_Latn
nus_Latn nya_Latn oci_Latn ory_Orya pag_Latn pan_Guru pap_Latn pbt_Arab pes_Arab plt_Latn pol_Latn por_Latn prs_Arab
quy_Latn ron_Latn run_Latn rus_Cyrl sag_Latn san_Deva sat_Beng scn_Latn shn_Mymr sin_Sinh slk_Latn slv_Latn smo_Latn
sna_Latn snd_Arab som_Latn sot_Latn spa_Latn srd_Latn srp_Cyrl ssw_Latn sun_Latn swe_Latn swh_Latn szl_Latn tam_Taml
taq_Latn taq_Tfng tat_Cyrl tel_Telu tgk_Cyrl tgl_Latn tha_Thai tir_Ethi tpi_Latn tsn_Latn tso_Latn tuk_Latn tum_Latn
tur_Latn twi_Latn tzm_Tfng uig_Arab ukr_Cyrl umb_Latn urd_Arab uzn_Latn vec_Latn vie_Latn war_Latn wol_Latn xho_Latn
ydd_Hebr yor_Latn yue_Hant zho_Hans zho_Hant zsm_Latn zul_Latn
"""

# Codes of more than one language (ISO 639-3 macrolanguages), and two-letter codes that `alpha3` has not.
_MEANT_CODES: Final = """
ara:arb aze:azj est:est fas:pes fil:tgl lav:lvs mlg:plt mon:khk msa:zsm nep:npi nor:nob nb:nob ori:ory orm:gaz om:gaz
pus:pbt que:quy qu:quy sqi:als swa:swh uzb:uzn yid:ydd zho:zho cmn:zho aym:ayr ay:ayr gn:grn kur:kmr ku:kmr ful:fuv
ff:fuv kau:knc kr:knc din:dik ee:ewe fj:fij gd:gla ak:aka tw:twi ig:ibo ki:kik rw:kin ky:kir kg:kon li:lim lg:lug
ny:nya rn:run sg:sag sm:smo sc:srd ss:ssw st:sot tn:tsn ts:tso ti:tir ug:uig wo:wol bm:bam dz:dzo ks:kas
"""
_MEANT: Final = dict(pair.split(":") for pair in _MEANT_CODES.split())

# Regions that are another language, or another script, to NLLB; any other region changes nothing.
_REGION_CODES: Final = """
ar-EG:arz_Arab ar-MA:ary_Arab ar-TN:aeb_Arab ar-IQ:acm_Arab ar-SA:ars_Arab ar-LB:apc_Arab ar-SY:apc_Arab ar-YE:acq_Arab
ar-JO:ajp_Arab ar-PS:ajp_Arab fa-AF:prs_Arab zh-TW:zho_Hant zh-HK:yue_Hant zh-MO:yue_Hant
"""
_REGIONS: Final = dict(pair.split(":") for pair in _REGION_CODES.split())


def flores(code: str) -> str | None:
    """The FLORES-200 code of "hi", "pt-BR", "zh-Hant", "sr-Cyrl" or "hin_Deva" itself; None where NLLB has none.

    A script that NLLB does not write the language in ("sr-Latn") is none of its languages either.
    """
    first, *rest = code.replace("_", "-").split("-")
    scripts = [part.title() for part in rest if len(part) == 4 and part.isalpha()]
    region = next((part.upper() for part in rest if len(part) == 2), "")
    if not scripts and (found := _REGIONS.get(f"{first.lower()}-{region}")):
        return found
    language = _MEANT.get(first.lower()) or _MEANT.get(alpha3(first)) or alpha3(first)
    return next((one for one in _by_language().get(language, ()) if not scripts or one[4:] == scripts[0]), None)


def unknown(code: str) -> str:
    """What to say of a code that `flores` knows not: the nearest ones that it does."""
    language = code.replace("_", "-").split("-")[0]
    written = _by_language().get(_MEANT.get(alpha3(language), alpha3(language)), ())
    close = list(written) or difflib.get_close_matches(language, _known(), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else "it takes ISO 639 codes such as en, hi, pt-BR, zh-Hant"
    return f"nllb has no {code!r}; {hint}"


@cache
def _by_language() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for code in _CODES.split():
        found.setdefault(code[:3], []).append(code)
    # Mandarin is the only language whose scripts have names of their own.
    found["zho"].sort(key="zho_Hans".__ne__)
    return found


@cache
def _known() -> list[str]:
    from dubd.media.languages import ALPHA3

    short = [code for code in (*ALPHA3, *_MEANT) if flores(code)]
    return sorted({*short, *_by_language()})
