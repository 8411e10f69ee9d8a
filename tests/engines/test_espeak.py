"""eSpeak NG says the same line the same way, whatever it said before, and tells its phonemes."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from scipy.ndimage import percentile_filter
from scipy.signal import resample_poly

from dubd.engines.contract import Line, Spoken
from dubd.engines.espeak import Espeak, Voice
from dubd.media import pitch

pytestmark = pytest.mark.skipif(Espeak.missing() is not None, reason=str(Espeak.missing()))

TEXT = "Buenos días, mi nombre es Jordi Mas."


def said(line: Line, voice: Voice | None = None) -> Spoken:
    engine = Espeak()
    engine.load("cpu", voice or Voice())
    (made,) = engine.run([line])
    assert isinstance(made, Spoken), made
    return made


def fundamental(spoken: Spoken) -> float:
    return float(np.median(pitch.fundamentals(resample_poly(spoken.samples, 320, 441).astype(np.float32))))


def test_the_same_line_is_the_same_sound_whatever_came_before() -> None:
    engine = Espeak()
    engine.load("cpu", Voice())
    line = Line(TEXT, "es", "auto")
    first, _, again = engine.run([line, Line("Otra cosa muy distinta.", "es", "auto"), line])
    assert isinstance(first, Spoken) and isinstance(again, Spoken)
    assert np.array_equal(first.samples, again.samples)
    assert first.phonemes == again.phonemes


def test_phonemes_come_in_order_and_within_the_sound() -> None:
    spoken = said(Line("Buenos días", "es", "auto"))
    times = [at for at, _ in spoken.phonemes]
    assert times == sorted(times)
    assert times[-1] <= len(spoken.samples) / spoken.rate
    assert [name for _, name in spoken.phonemes if name != "_"] == ["b", "w", "e", "n", "o", "s", "ð", "i", "a", "s"]


@pytest.mark.parametrize("language", ["es", "es-419", "hi", "kn", "fr", "de"])
def test_numbers_are_spoken_in_every_language(language: str) -> None:
    spoken = said(Line("27, 58.", language, "auto"))
    assert len(spoken.samples) > 0.5 * spoken.rate
    assert 0.05 < np.abs(spoken.samples).max() < 0.99


@pytest.mark.parametrize("wanted", [85.0, 116.0, 150.0, 175.0, 230.0])
def test_pitch_follows_the_speaker(wanted: float) -> None:
    text = "El vídeo corto trata de hacer pan con harina, agua y sal en un bol grande."
    assert fundamental(said(Line(text, "es", "auto", pitch=wanted))) == pytest.approx(wanted, rel=0.08)


def test_a_rate_changes_the_duration_by_as_much() -> None:
    natural, quick = (said(Line(TEXT, "es", "auto", rate)) for rate in (1.0, 1.25))
    assert len(natural.samples) / len(quick.samples) == pytest.approx(1.25, rel=0.1)


def test_a_named_voice_is_taken_as_it_is() -> None:
    named = said(Line(TEXT, "es", "auto", pitch=90.0), Voice(voice="es+f2"))
    assert fundamental(named) > 165


def test_a_voice_that_does_not_exist_fails_alone() -> None:
    engine = Espeak()
    engine.load("cpu", Voice())
    bad, good = engine.run([Line(TEXT, "xx", "nowhere"), Line(TEXT, "es", "auto")])
    assert isinstance(bad, Exception)
    assert "nowhere" in str(bad)
    assert isinstance(good, Spoken)


def test_no_burst_stands_out_as_a_click() -> None:
    """No jump of a mastered dub is over .05 and eight times the 90th percentile of those within 5 ms."""
    for text in ("Y quiero esta ciudad.", "Creo que puede crecer.", "Queda aquí, que Paco y Pepe toquen."):
        spoken = said(Line(text, "es", "auto", 1.2, 116.0))
        jumps = np.abs(np.diff(resample_poly(spoken.samples * 3.5, 320, 441)))
        alone = (jumps > 0.05) & (jumps > 8 * percentile_filter(jumps, 90, size=160))
        assert not alone.any()


def test_languages_are_known_by_their_codes() -> None:
    assert Espeak.refuses("en", "es") is Espeak.refuses("en", "pt-BR") is Espeak.refuses("en", "hi") is None
    assert "no voice 'qq'" in str(Espeak.refuses("en", "qq"))


@pytest.mark.skipif(not shutil.which("espeak-ng"), reason="no espeak-ng command to compare with")
def test_revision_names_the_library() -> None:
    assert Espeak.revision()[0].isdigit()
