"""Make talking_head.mp4: a photograph that speaks three English sentences, for the demo and the tests.

Usage: .venv/bin/python script/sample/make.py OUT.mp4      needs flite

The mouth is driven by the voice itself: opening follows its loudness, rounding its spectrum. All
lengths are pixels of the 544 x 544 portrait; every frame is one warp of it, so nothing drifts.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import butter, hilbert, resample_poly, sosfiltfilt

Grid = NDArray[np.float32]

LINES = (
    (0.8, "Hello and welcome to this lesson."),
    (1.2, "The computer listens to every word that I say."),
    (1.1, "Today I speak your language."),
)  # seconds of silence before, words
TAIL = 0.6  # s of silence after the last line
RATE = 16000  # Hz, what flite speaks at
FPS = 25
PORTRAIT, FRAME = 544, 512  # px; the rest is room for the head to move
JAW, LIP = 13.0, 2.0  # px the lower lip falls and the upper lip rises, fully open
BLINKS = (2.2, 4.4, 7.1, 9.1)  # s


def traced(*points: tuple[float, float]) -> NDArray[np.float64]:
    """Points read off hopper.jpg (512 x 512), in pixels of the portrait: glasses mislead landmark models."""
    return np.array(points) * PORTRAIT / 512


PARTING = traced(
    (230, 280.5), (241, 279.5), (253, 278.8), (262, 279.4), (274, 278.6), (287, 277), (299, 276.8), (310, 280)
)
CHIN, NOSE, MIDDLE, NECK = traced((268, 328), (267, 252), (265, 225), (274, 368))
WIDTH = 198 * PORTRAIT / 512  # px, of the face with its ears
EYES = (
    (
        traced((206, 196), (212, 188), (219, 184.5), (227, 185.5), (234, 190), (240, 196)),
        traced((206, 197), (223, 197), (240, 197)),
    ),
    (
        traced((290, 192), (296, 184.5), (304, 181), (311, 182), (318, 187), (323, 192)),
        traced((290, 192.5), (306, 193.5), (323, 192.5)),
    ),
)  # upper and lower lid, each from left to right


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
    return np.asarray(voice + room / room.std() * 10 ** (-58 / 20), np.float32)


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
    return np.asarray(np.max(closed, 0), np.float32)


def smooth(x: NDArray[np.floating], low: float, high: float) -> Grid:
    """0 below `low`, 1 above `high`, a cubic between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


@dataclass(frozen=True)
class Portrait:
    """The picture, and how its head, mouth and eyes move."""

    picture: NDArray[np.uint8]

    @classmethod
    def read(cls, path: Path) -> Portrait:
        """The picture enlarged to `PORTRAIT`."""
        picture = cv2.imread(str(path))
        assert picture is not None, path
        return cls(np.asarray(cv2.resize(picture, (PORTRAIT, PORTRAIT), interpolation=cv2.INTER_CUBIC), np.uint8))

    def frame(self, second: float, openness: float, rounding: float, closed: float) -> NDArray[np.uint8]:
        """One frame, (FRAME, FRAME, 3) uint8 BGR."""
        x, y = self._head(second, openness)
        inside_x, inside_y, paint, alpha = self._mouth(x, y, openness, rounding)
        mixed = self._sample(inside_x, inside_y)
        for upper, lower in EYES:
            lid, cover = self._lid(inside_x, inside_y, upper, lower, closed)
            mixed = mixed * (1 - cover) + lid * cover
        mixed = mixed * (1 - alpha[..., None]) + paint * alpha[..., None]
        return np.asarray(np.clip(mixed + 0.5, 0, 255), np.uint8)

    def _head(self, second: float, openness: float) -> tuple[Grid, Grid]:
        """Where each pixel of the frame comes from: the head sways, its surroundings hardly do."""
        edge = (PORTRAIT - FRAME) / 2
        y, x = np.mgrid[0:FRAME, 0:FRAME].astype(np.float32) + np.float32(edge)
        wave = 2 * np.pi * second
        turn = np.deg2rad(1.3 * np.sin(wave * 0.17) + 0.7 * np.sin(wave * 0.41 + 1))
        right = 4.0 * np.sin(wave * 0.13 + 0.5) + 1.5 * np.sin(wave * 0.37)
        down = 2.0 * np.sin(wave * 0.23 + 2) + 1.2 * openness
        far = np.hypot((x - MIDDLE[0]) / WIDTH, (y - MIDDLE[1]) / (1.25 * WIDTH))
        held = 1 - smooth(far, 0.75, 1.6)
        dx, dy = x - NECK[0], y - NECK[1]
        back_x = dx * np.cos(turn) + dy * np.sin(turn) - right
        back_y = dy * np.cos(turn) - dx * np.sin(turn) - down
        return (x + held * (back_x - dx)).astype(np.float32), (y + held * (back_y - dy)).astype(np.float32)

    def _mouth(self, x: Grid, y: Grid, openness: float, rounding: float) -> tuple[Grid, Grid, Grid, Grid]:
        """Draw the lips apart and the jaw down; also what shows between the lips, and how much of it."""
        (left, right), chin, nose = PARTING[[0, -1], 0], CHIN[1], NOSE[1]
        half, centre = (right - left) / 2, (left + right) / 2
        narrow = 1 - 0.16 * rounding
        near = np.exp(-(((x - centre) / (1.7 * half)) ** 2) - ((y - PARTING[0, 1]) / 42) ** 2)
        source_x = (x + (x - centre) * near * (1 / narrow - 1)).astype(np.float32)

        t = (source_x - centre) / (half * 0.94)
        line = np.interp(source_x, *PARTING.T).astype(np.float32)
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
        teeth = np.array([150, 184, 212], np.float32) * (1 - 0.45 * np.abs(t) ** 2)[..., None]
        tongue = np.array([48, 58, 128], np.float32)
        edge = 5.5 * np.clip(1 - np.abs(t) ** 3, 0, 1)
        bite = (1 - smooth(y - upper - edge, -1.2, 1.2)) * smooth(y - upper, 0.0, 2.0) * smooth(gap, 3.0, 6.0)
        lick = smooth(depth, 0.62, 0.95) * smooth(gap, 7, 12) * np.clip(1 - (t / 0.8) ** 2, 0, 1)
        paint = dark + (tongue - dark) * lick[..., None]
        paint = paint + (teeth - paint) * (0.85 * bite)[..., None]
        return source_x, source_y.astype(np.float32), paint, alpha.astype(np.float32)

    def _lid(
        self, x: Grid, y: Grid, upper: NDArray[np.float64], lower: NDArray[np.float64], closed: float
    ) -> tuple[Grid, Grid]:
        """One lid and how much of it covers the eye: the skin below, mirrored, for glasses hide that above."""
        top, bottom = np.interp(x, *upper.T), np.interp(x, *lower.T)
        edge = top + closed * (bottom - top)
        ends = smooth(x, upper[0, 0], upper[0, 0] + 5) * (1 - smooth(x, upper[-1, 0] - 5, upper[-1, 0]))
        fold = 0.35 * np.exp(-(((y - top) / 2.5) ** 2)) + 0.6 * np.exp(-(((y - edge) / 1.3) ** 2))
        skin = self._sample(x, (bottom + 0.7 * (bottom - y)).astype(np.float32)) * (0.9 * (1 - fold))[..., None]
        cover = smooth(y - top, -1.5, 1.5) * smooth(edge - y, -1.8, 0.2) * ends * smooth(edge - top, 0.5, 2.5)
        return skin.astype(np.float32), cover[..., None].astype(np.float32)

    def _sample(self, x: Grid, y: Grid) -> Grid:
        """The picture read at `x`, `y`: (FRAME, FRAME, 3) float32 BGR."""
        read = cv2.remap(self.picture, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(read, np.float32)


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
    encode(Path(sys.argv[1]), Portrait.read(Path(__file__).with_name("hopper.jpg")), speak())
