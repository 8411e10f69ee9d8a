"""Language codes as containers want them: ISO 639-2/T of the two-letter codes that rules use."""

from __future__ import annotations

# ISO 639-2 code list (Library of Congress), terminology codes; the languages that speech models know.
_PAIRS = """
af:afr am:amh ar:ara as:asm az:aze ba:bak be:bel bg:bul bn:ben bo:bod br:bre bs:bos ca:cat cs:ces cy:cym da:dan
de:deu el:ell en:eng eo:epo es:spa et:est eu:eus fa:fas fi:fin fo:fao fr:fra ga:gle gl:glg gu:guj ha:hau he:heb
hi:hin hr:hrv ht:hat hu:hun hy:hye id:ind is:isl it:ita ja:jpn jv:jav ka:kat kk:kaz km:khm kn:kan ko:kor la:lat
lb:ltz ln:lin lo:lao lt:lit lv:lav mg:mlg mi:mri mk:mkd ml:mal mn:mon mr:mar ms:msa mt:mlt my:mya ne:nep nl:nld
nn:nno no:nor oc:oci or:ori pa:pan pl:pol ps:pus pt:por ro:ron ru:rus sa:san sd:snd si:sin sk:slk sl:slv sn:sna
so:som sq:sqi sr:srp su:sun sv:swe sw:swa ta:tam te:tel tg:tgk th:tha tk:tuk tl:tgl tr:tur tt:tat uk:ukr ur:urd
uz:uzb vi:vie xh:xho yi:yid yo:yor zh:zho zu:zul
"""
ALPHA3 = dict(pair.split(":") for pair in _PAIRS.split())


def alpha3(code: str) -> str:
    """The three-letter code of a language tag ("es", "pt-BR", "kan"); "und" where there is none."""
    primary = code.replace("_", "-").split("-")[0].lower()
    return ALPHA3.get(primary, primary if len(primary) == 3 else "und")
