"""Make talking_head.mp4: a painted portrait that speaks three English sentences, for the demo and the tests.

Usage: .venv/bin/python script/sample/make.py OUT.mp4      needs flite and Debian's libdlib-data

The mouth is driven by the voice itself: opening follows its loudness, rounding its spectrum. All
lengths are pixels of the 576 x 576 portrait; every frame is one warp of it, so nothing drifts.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import dlib
import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import butter, hilbert, resample_poly, sosfiltfilt

Grid = NDArray[np.float32]

LINES = (
    (0.8, "Hello and welcome to this museum."),
    (1.2, "I have lived in this house for many years."),
    (1.1, "Today I speak your language."),
)  # seconds of silence before, words
TAIL = 1.0  # s of silence after the last line
RATE = 16000  # Hz, what flite speaks at
FPS = 25
PORTRAIT, FRAME = 576, 512  # px; the rest is room for the head to move
JAW, LIP = 15.0, 3.0  # px the lower lip falls and the upper lip rises, fully open
BLINKS = (1.9, 4.6, 7.4, 9.7)  # s
MODEL = "/usr/share/dlib/shape_predictor_68_face_landmarks.dat"


def speak() -> NDArray[np.float32]:
    """The three lines with their pauses over room tone, mono at `RATE`, peak at -3 dBFS."""
    parts: list[NDArray[np.float32]] = []
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "line.wav"
        for pause, words in LINES:
            subprocess.run(["flite", "-voice", "slt", "-t", words, "-o", str(wav)], check=True)
            line, rate = soundfile.read(wav, dtype="float32")
            assert rate == RATE, rate
            loud = np.flatnonzero(np.abs(line) > 0.01)
            parts += [np.zeros(round(pause * RATE), np.float32), line[loud[0] : loud[-1]]]
    speech = np.concatenate([*parts, np.zeros(round(TAIL * RATE), np.float32)])
    frames = int(np.ceil(len(speech) * FPS / RATE))
    speech = np.pad(speech, (0, frames * RATE // FPS - len(speech)))
    hiss = np.random.default_rng(1).standard_normal(len(speech))
    room = sosfiltfilt(butter(1, 400, "lowpass", fs=RATE, output="sos"), hiss)
    voice = speech / np.abs(speech).max() * 0.7
    return (voice + room / room.std() * 10 ** (-58 / 20)).astype(np.float32)


def mouth_shape(speech: NDArray[np.float32]) -> tuple[Grid, Grid]:
    """Per frame, how open (0..1) and how rounded (0..1) the mouth is."""
    hop = RATE // FPS
    frames = len(speech) // hop
    level, bright = [], []
    band = hilbert(sosfiltfilt(butter(4, [300, 3400], "bandpass", fs=RATE, output="sos"), speech))
    padded = np.pad(speech, hop)
    for i in range(frames):
        level.append(20 * np.log10(np.sqrt(np.mean(np.abs(band[i * hop : (i + 1) * hop]) ** 2)) + 1e-6))
        power = np.abs(np.fft.rfft(padded[i * hop : (i + 3) * hop] * np.hanning(3 * hop))) ** 2
        hertz = np.fft.rfftfreq(3 * hop, 1 / RATE)
        vowel = (hertz > 200) & (hertz < 3000)
        bright.append(float((power[vowel] * hertz[vowel]).sum() / (power[vowel].sum() + 1e-12)))
    top = np.percentile(level, 96)
    openness = np.clip((np.array(level) - top + 24) / 24, 0, 1) ** 1.3
    rounding = np.clip((900 - np.array(bright)) / 500, 0, 1) * (openness > 0.1)
    soft = np.array([0.2, 0.6, 0.2])
    wide = np.ones(5) / 5
    return (
        np.convolve(openness, soft, "same").astype(np.float32),
        np.convolve(rounding, wide, "same").astype(np.float32),
    )


def eyelids(frames: int) -> Grid:
    """Per frame, how far the lids are closed (0..1): 80 ms down, 160 ms up."""
    time = np.arange(frames) / FPS
    closed = [np.interp(time, [at, at + 0.08, at + 0.12, at + 0.28], [0, 1, 1, 0]) for at in BLINKS]
    return np.max(closed, 0).astype(np.float32)


def smooth(x: Grid, low: float, high: float) -> Grid:
    """0 below `low`, 1 above `high`, a cubic between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


@dataclass(frozen=True)
class Portrait:
    """The picture, and where its face is."""

    picture: NDArray[np.uint8]
    points: NDArray[np.float64]  # (68, 2), iBUG order

    @classmethod
    def read(cls, path: Path) -> Portrait:
        """The portrait enlarged to `PORTRAIT`, with the landmarks that dlib finds."""
        picture = cv2.resize(cv2.imread(str(path)), (PORTRAIT, PORTRAIT), interpolation=cv2.INTER_CUBIC)
        grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        (face,) = dlib.get_frontal_face_detector()(grey, 0)
        points = dlib.shape_predictor(MODEL)(grey, face).parts()
        return cls(picture, np.array([(p.x, p.y) for p in points], np.float64))

    def frame(self, second: float, openness: float, rounding: float, closed: float) -> NDArray[np.uint8]:
        """One frame, (FRAME, FRAME, 3) uint8 BGR."""
        x, y = self._head(second, openness)
        inside_x, inside_y, paint, alpha = self._mouth(x, y, openness, rounding)
        for left in (36, 42):
            inside_y = self._eye(inside_x, inside_y, left, closed)
        warped = cv2.remap(self.picture, inside_x, inside_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        mixed = warped * (1 - alpha[..., None]) + paint * alpha[..., None]
        return np.clip(mixed + 0.5, 0, 255).astype(np.uint8)

    def _head(self, second: float, openness: float) -> tuple[Grid, Grid]:
        """Where each pixel of the frame comes from: the head sways, its surroundings hardly do."""
        edge = (PORTRAIT - FRAME) / 2
        y, x = np.mgrid[0:FRAME, 0:FRAME].astype(np.float32) + np.float32(edge)
        wave = 2 * np.pi * second
        turn = np.deg2rad(1.3 * np.sin(wave * 0.17) + 0.7 * np.sin(wave * 0.41 + 1))
        right = 4.0 * np.sin(wave * 0.13 + 0.5) + 1.5 * np.sin(wave * 0.37)
        down = 2.0 * np.sin(wave * 0.23 + 2) + 1.2 * openness
        middle, neck = self.points[27:36].mean(0), self.points[8] + (0, 40)
        width = np.linalg.norm(self.points[16] - self.points[0])
        far = np.hypot((x - middle[0]) / width, (y - middle[1]) / (1.25 * width))
        held = 1 - smooth(far, 0.75, 1.6)
        dx, dy = x - neck[0], y - neck[1]
        back_x = dx * np.cos(turn) + dy * np.sin(turn) - right
        back_y = dy * np.cos(turn) - dx * np.sin(turn) - down
        return (x + held * (back_x - dx)).astype(np.float32), (y + held * (back_y - dy)).astype(np.float32)

    def _mouth(self, x: Grid, y: Grid, openness: float, rounding: float) -> tuple[Grid, Grid, Grid, Grid]:
        """Draw the lips apart and the jaw down; also what shows between the lips, and how much of it."""
        p = self.points
        left, right = p[60], p[64]
        half, centre = (right[0] - left[0]) / 2, (left[0] + right[0]) / 2
        chin, nose = p[8][1], p[33][1]
        narrow = 1 - 0.16 * rounding
        near = np.exp(-(((x - centre) / (1.7 * half)) ** 2) - ((y - left[1]) / 45) ** 2)
        source_x = (x + (x - centre) * near * (1 / narrow - 1)).astype(np.float32)

        t = (source_x - centre) / (half * 0.94)
        line = np.interp(source_x, p[60:65, 0], (p[60:65, 1] + p[[60, 67, 66, 65, 64], 1]) / 2).astype(np.float32)
        bow = np.clip(1 - t * t, 0, None) ** 0.8
        rise, fall = LIP * openness * bow, JAW * openness * bow
        above, below = np.clip(line - y, 0, None), np.clip(y - line, 0, None)

        up = rise * np.clip(1 - above / (line - nose), 0, 1) ** 1.5
        share = smooth(below, 0, 0.75 * (chin - line.mean()))
        broad = JAW * openness * 0.8 * np.exp(-((t / 2.1) ** 2))
        down = (fall * (1 - share) + broad * share) * (1 - smooth(y, chin + 8, chin + 70))
        upper, lower = line - rise, line + fall
        source_y = np.where(y < upper, y + up, np.where(y > lower, np.maximum(y - down, line), line))

        gap = np.maximum(rise + fall, 1e-3)
        alpha = smooth(y - upper, -0.3, 1.4) * smooth(lower - y, -0.3, 1.4) * smooth(gap, 0.8, 2.6) * (bow > 0)
        depth = np.clip((y - upper) / gap, 0, 1)
        dark = np.array([16, 18, 42], np.float32)  # BGR
        teeth = np.array([120, 178, 196], np.float32) * (1 - 0.45 * np.abs(t) ** 2)[..., None]
        tongue = np.array([48, 58, 128], np.float32)
        edge = 5.5 * np.clip(1 - np.abs(t) ** 3, 0, 1)
        bite = (1 - smooth(y - upper - edge, -1.2, 1.2)) * smooth(y - upper, 0.0, 2.0) * smooth(gap, 3.0, 6.0)
        lick = smooth(depth, 0.62, 0.95) * smooth(gap, 7, 12) * np.clip(1 - (t / 0.8) ** 2, 0, 1)
        paint = dark + (tongue - dark) * lick[..., None]
        paint = paint + (teeth - paint) * (0.85 * bite)[..., None]
        return source_x, source_y.astype(np.float32), paint, alpha.astype(np.float32)

    def _eye(self, x: Grid, y: Grid, first: int, closed: float) -> Grid:
        """Stretch the skin above one eye (landmarks `first`..+5) down over it."""
        eye = self.points[first : first + 6]
        top = np.interp(x, eye[:4, 0], eye[:4, 1] - (0, 2, 2, 0))
        bottom = np.interp(x, eye[[0, 5, 4, 3], 0], eye[[0, 5, 4, 3], 1] + (0, 1, 1, 0))
        within = (x > eye[0, 0]) & (x < eye[3, 0])
        skin = 14.0  # px above the lid that stretch
        lid = top + closed * (bottom - top)
        crease = top - skin
        stretched = crease + (y - crease) * skin / (lid - crease)
        return np.where(within & (y > crease) & (y < lid), stretched, y).astype(np.float32)


def encode(out: Path, portrait: Portrait, speech: NDArray[np.float32]) -> None:
    """Write the clip: H.264 and AAC, byte-equal on a re-run."""
    openness, rounding = mouth_shape(speech)
    closed = eyelids(len(openness))
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "speech.wav"
        soundfile.write(wav, resample_poly(speech, 3, 1), RATE * 3, subtype="PCM_16")
        command = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{FRAME}x{FRAME}"]
        command += ["-r", str(FPS), "-i", "-", "-i", str(wav)]
        command += ["-vf", "scale=out_color_matrix=bt709:out_range=tv", "-pix_fmt", "yuv420p"]
        command += ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"]
        command += ["-c:v", "libx264", "-preset", "veryslow", "-crf", "22", "-threads", "1"]
        command += ["-c:a", "aac", "-b:a", "80k", "-movflags", "+faststart", "-map_metadata", "-1"]
        command += ["-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact", str(out)]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as ffmpeg:
            assert ffmpeg.stdin is not None
            for i in range(len(openness)):
                picture = portrait.frame(i / FPS, float(openness[i]), float(rounding[i]), float(closed[i]))
                ffmpeg.stdin.write(picture.tobytes())
            ffmpeg.stdin.close()
        if ffmpeg.returncode:
            sys.exit(f"make.py: ffmpeg could not write {out}")


if __name__ == "__main__":
    cv2.setNumThreads(1)
    encode(Path(sys.argv[1]), Portrait.read(Path(__file__).with_name("portrait.jpg")), speak())
