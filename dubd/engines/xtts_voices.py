"""The 58 voices that come with XTTS v2 (`speakers_xtts.pth`), by how high they speak, in the order of that file."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

_HIGH_VOICE: Final = 165.0  # Hz, between the usual ranges of men (85-155) and women (165-255), Titze 1994

_WOMEN: Final = """
Claribel Dervla, Daisy Studious, Gracie Wise, Tammie Ema, Alison Dietlinde, Ana Florence, Annmarie Nele, Asya Anara,
Brenda Stern, Gitta Nikolina, Henriette Usha, Sofia Hellen, Tammy Grit, Tanja Adelina, Vjollca Johnnie, Nova Hogarth,
Maja Ruoho, Uta Obando, Lidiya Szekeres, Chandra MacFarland, Szofi Granger, Camilla Holmström, Lilya Stainthorpe,
Zofija Kendrick, Narelle Moon, Barbora MacLean, Alexandra Hisakawa, Alma María, Rosemary Okafor
"""
_MEN: Final = """
Andrew Chipper, Badr Odhiambo, Dionisio Schuyler, Royston Min, Viktor Eka, Abrahan Mack, Adde Michal, Baldur Sanjin,
Craig Gutsy, Damien Black, Gilberto Mathias, Ilkin Urbano, Kazuhiko Atallah, Ludvig Milivoj, Suad Qasim,
Torcull Diarmuid, Viktor Menelaos, Zacharie Aimilios, Filip Traverse, Damjan Chapman, Wulf Carlevaro, Aaron Dreschner,
Kumar Dahl, Eugenio Mataracı, Ferran Simen, Xavier Hayasaka, Luis Moray, Marcos Rudaski
"""
_EITHER: Final = "Ige Behringer"  # lists disagree: never chosen by pitch


def _names(text: str) -> tuple[str, ...]:
    return tuple(" ".join(name.split()) for name in text.split(","))


WOMEN: Final = _names(_WOMEN)
MEN: Final = _names(_MEN)
VOICES: Final = (*WOMEN, *MEN, _EITHER)


def alike(pitch: float | None, number: int, there: Collection[str]) -> str:
    """The voice for the `number`-th speaker of a video (from 0), whose median f0 in Hz is `pitch`: of those `there`.

    Always the same one, and another one for another number. A catalogue of other names is taken in its own order.
    """
    known = WOMEN if (pitch or 0.0) >= _HIGH_VOICE else MEN
    names = [name for name in known if name in there] or sorted(there)
    return names[number % len(names)]
