"""The shipped sample is a talking head: a face in every frame, lips that move with the voice, words that are heard."""

from __future__ import annotations

import subprocess
from pathlib import Path

import cv2
import dlib
import numpy as np
import pytest
from numpy.typing import NDArray
from pocketsphinx import Decoder

MODEL = Path("/usr/share/dlib/shape_predictor_68_face_landmarks.dat")
FPS, RATE = 25, 16000


def sound(clip: Path) -> NDArray[np.int16]:
    """The clip's sound, mono at `RATE`."""
    command = ["ffmpeg", "-v", "error", "-i", str(clip), "-ac", "1", "-ar", str(RATE), "-f", "s16le", "-"]
    return np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, np.int16)


def openings(clip: Path) -> list[float]:
    """Per frame, the gap of the inner lips in pixels; raises where a frame does not hold exactly one face."""
    find, place = dlib.get_frontal_face_detector(), dlib.shape_predictor(str(MODEL))
    video, found = cv2.VideoCapture(str(clip)), []
    while (read := video.read())[0]:
        grey = cv2.cvtColor(read[1], cv2.COLOR_BGR2GRAY)
        (face,) = find(cv2.resize(grey, None, fx=0.5, fy=0.5), 0)
        box = dlib.rectangle(*(2 * v for v in (face.left(), face.top(), face.right(), face.bottom())))
        shape = place(grey, box)
        found.append(float(np.mean([shape.part(a).y - shape.part(b).y for a, b in ((67, 61), (66, 62), (65, 63))])))
    return found


@pytest.mark.skipif(not MODEL.exists(), reason="no landmark model: apt-get install libdlib-data")
def test_lips_move_with_the_voice(talking_head: Path) -> None:
    gaps = np.array(openings(talking_head))
    samples = sound(talking_head).astype(float)
    hop = RATE // FPS
    level = np.sqrt((samples[: len(gaps) * hop].reshape(len(gaps), hop) ** 2).mean(1))
    loudness = np.log10(level + 30)
    at = {shift: float(np.corrcoef(gaps[10:-10], np.roll(loudness, shift)[10:-10])[0, 1]) for shift in range(-5, 6)}
    assert at[0] > 0.7
    assert abs(max(at, key=lambda shift: at[shift])) <= 1


def test_words_are_heard(talking_head: Path) -> None:
    decoder = Decoder(samprate=RATE, loglevel="FATAL")
    decoder.start_utt()
    decoder.process_raw(sound(talking_head).tobytes(), full_utt=True)
    decoder.end_utt()
    heard = decoder.hyp().hypstr
    assert "welcome to this lesson" in heard
    assert "the computer listens to every word" in heard
    assert "today i speak your language" in heard
