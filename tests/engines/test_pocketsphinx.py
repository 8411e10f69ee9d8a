from __future__ import annotations

import difflib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dubd.engines.contract import Heard, NoParams, Recording
from dubd.engines.pocketsphinx import RATE, Pocketsphinx

SAID = "the meeting starts at nine o'clock in the morning"


@pytest.fixture(scope="module")
def engine() -> Pocketsphinx:
    made = Pocketsphinx()
    made.load("cpu", NoParams())
    return made


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """`SAID` in a synthetic voice, with half a second of silence before and after."""
    if shutil.which("flite") is None:
        pytest.skip("needs flite: apt-get install flite")
    path = tmp_path_factory.mktemp("speech") / "said.wav"
    subprocess.run(["flite", "-voice", "rms", "-t", SAID, "-o", str(path)], check=True)
    samples, rate = soundfile.read(path, dtype="float32")
    assert rate == RATE
    return np.pad(samples, RATE // 2)


def hear(engine: Pocketsphinx, *recordings: Recording) -> list[Heard]:
    made = engine.run(recordings)
    assert all(isinstance(one, Heard) for one in made), made
    return [one for one in made if isinstance(one, Heard)]


def test_words_come_with_times_and_confidence(engine: Pocketsphinx, spoken: np.ndarray) -> None:
    (heard,) = hear(engine, Recording(spoken, "en"))
    assert " ".join(word.text for word in heard.words) == SAID
    assert all(0 <= word.confidence <= 1 for word in heard.words)
    assert len({word.confidence for word in heard.words}) > 3
    starts = [word.start for word in heard.words]
    assert starts == sorted(starts)
    loud = np.flatnonzero(np.abs(spoken) > 0.02) / RATE
    assert heard.words[0].start == pytest.approx(loud[0], abs=0.1)
    assert heard.words[-1].end == pytest.approx(loud[-1], abs=0.15)


def test_times_are_those_of_the_recording_whatever_the_stretch(engine: Pocketsphinx, spoken: np.ndarray) -> None:
    later = np.concatenate([np.zeros(3 * RATE, np.float32), spoken])
    stretch = (3.4, len(later) / RATE - 0.4)
    heard, moved = hear(engine, Recording(spoken, "en"), Recording(later, "en", (stretch,)))
    assert [word.text for word in moved.words] == [word.text for word in heard.words]
    assert moved.words[3].start - heard.words[3].start == pytest.approx(3, abs=0.05)


def test_it_listens_only_where_somebody_speaks(engine: Pocketsphinx, spoken: np.ndarray) -> None:
    twice = np.concatenate([spoken, spoken])
    half = len(spoken) / RATE
    (heard,) = hear(engine, Recording(twice, "en", ((half + 0.4, 2 * half - 0.4),)))
    assert min(word.start for word in heard.words) > half


def test_what_was_heard_before_changes_nothing(engine: Pocketsphinx, spoken: np.ndarray) -> None:
    noise = (np.random.default_rng(1).standard_normal(2 * RATE) * 0.1).astype(np.float32)
    first, _, again = hear(engine, Recording(spoken, "en"), Recording(noise, "en"), Recording(spoken, "en"))
    assert first == again


def test_loudness_changes_nothing(engine: Pocketsphinx, spoken: np.ndarray) -> None:
    loud, quiet = hear(engine, Recording(spoken, "en"), Recording(spoken * 0.03, "en"))
    assert [word.text for word in loud.words] == [word.text for word in quiet.words]


def test_silence_is_silence(engine: Pocketsphinx) -> None:
    for samples in (np.zeros(RATE, np.float32), np.zeros(0, np.float32)):
        assert hear(engine, Recording(samples, "en"))[0].words == ()


def test_another_language_fails_alone(engine: Pocketsphinx, spoken: np.ndarray) -> None:
    refused, heard = engine.run([Recording(spoken, "kn"), Recording(spoken, "en-GB")])
    assert isinstance(refused, ValueError) and "kn" in str(refused)
    assert isinstance(heard, Heard) and heard.words
    assert Pocketsphinx.refuses("en-GB", "es") is None


def test_a_real_voice(engine: Pocketsphinx, media: Callable[[str], Path]) -> None:
    samples, rate = soundfile.read(media("en_stereo_2spk_LR.wav"), dtype="float32")
    assert rate == RATE
    (heard,) = hear(engine, Recording(samples[:, 0], "en"))
    truth = "he began a confused complaint against the wizard who had vanished behind the curtain on the left"
    matched = difflib.SequenceMatcher(None, truth.split(), [word.text for word in heard.words]).ratio()
    assert matched > 0.75
