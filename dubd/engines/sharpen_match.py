"""What a patch lacks against the frame around it in detail, grain and colour, and its mending.

A mouth taken from another moment was resampled on its way: it has lost detail and grain, and may have been
lit otherwise. The frame it goes into still shows what that camera makes of that face, so each patch is
compared with the picture underneath it, plane by plane in the video's own YUV. All three corrections are
moving averages along a face, so that none of them flickers; they start anew at a cut. Levels are codes of 8 bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dubd.engines.contract import Shot
from dubd.engines.sharpen import SharpenParams
from dubd.engines.tracks import Tracks

if TYPE_CHECKING:
    from dubd.media.patches import Patch, Pixels, Planes

Plane = npt.NDArray[np.float32]

# J. Immerkaer, "Fast noise variance estimation", 1996: blind to edges of first order; its gain on white noise is 6.
_NOISE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_NOISE_GAIN = 6.0
_MAD = 1.4826  # of a normal distribution: sigma over median absolute deviation
_RADIUS = 1.2  # px: detail finer than this is what resampling by a bilinear kernel takes away
_SOFTEST, _SHARPEST = -0.4, 1.5  # bounds of the boost: more makes halos
_HALO = 14.0  # levels that sharpening may move one pixel
_GRAIN = 7.0  # levels, standard deviation; more is not grain but a broken signal
_SHIFT = 15.0  # levels of luma or chroma that may be corrected: beyond it something else is wrong
_SAMPLE = 8  # every how many patches the result is measured for the report
_LOOK = 3  # every how many frames of a face are measured: the averages are slow
_THIN = np.s_[::3, ::3]  # grain is a median: a ninth of the pixels is plenty
_SEED = 0x64756264


@dataclass
class _Measure:
    """What one patch lacks: energies are alpha-weighted means, colour is in levels."""

    energy: float  # of the patch's Laplacian
    cross: float  # of that with the Laplacian of the patch's detail
    gain: float  # of the Laplacian of the detail
    target: float  # of the frame's Laplacian
    noise: float  # standard deviation, patch
    wanted: float  # standard deviation, frame
    colour: Plane  # (3, 3): offset, slope over x, slope over y for Y, Cb, Cr

    def sharpness(self) -> float:
        """How much of the frame's detail the patch has, without the grain of either: 1 where they are alike."""
        signal, target = self._signals()
        return math.sqrt(signal / max(target, 1e-6))

    def _signals(self) -> tuple[float, float]:
        """Energy of the patch and of the frame without their grain."""
        kernel = 20  # energy of the Laplacian's kernel on white noise
        return max(0.0, self.energy - kernel * self.noise**2), max(0.0, self.target - kernel * self.wanted**2)

    def boost(self) -> float:
        """The k for which patch + k * detail has the frame's energy: the root of a quadratic."""
        signal, target = self._signals()
        if self.gain <= 1e-6 or self.cross <= 0:
            return 0.0
        inside = self.cross**2 - self.gain * (signal - target)
        root = (math.sqrt(inside) - self.cross) / self.gain if inside > 0 else _SOFTEST
        return min(_SHARPEST, max(_SOFTEST, root))


@dataclass
class _Face:
    """One face being followed: where its last patch was, when it was last measured, and the averages."""

    centre: tuple[float, float]
    frame: int
    measured: int
    mean: _Measure


@dataclass
class _Tally:
    """What the report shows."""

    before: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    boosts: list[float] = field(default_factory=list)
    grains: list[float] = field(default_factory=list)


def restore(params: SharpenParams, shot: Shot) -> dict[str, Any]:
    assert shot.patches is not None and shot.out is not None
    cuts = _cuts(shot)
    faces: list[_Face] = []
    tally = _Tally()
    steps = params.memory * float(Fraction(shot.rate))
    at = 0
    for frame, x, y, patch, under in pairs(shot):
        width, height = patch.size
        centre = (x + width / 2, y + height / 2)
        while at < len(cuts) and cuts[at] <= frame:
            faces, at = [], at + 1
        face = _follow(faces, frame, centre, width)
        if face is None:
            face = _Face((0.0, 0.0), frame, frame, measure(patch, under))
            faces.append(face)
        elif frame - face.measured >= _LOOK:
            share = 1 - math.exp(-(frame - face.measured) / max(steps, 1e-6))
            face.mean, face.measured = _blend(face.mean, measure(patch, under), share), frame
        face.centre, face.frame = centre, frame
        shot.out.add(frame, x, y, _mend(params, patch, under, face.mean, frame, tally))
    return _facts(tally)


def _mend(params: SharpenParams, patch: Patch, under: Planes, mean: _Measure, number: int, tally: _Tally) -> Patch:
    import cv2

    boost, luma = params.strength * mean.boost(), _filled(patch, under)
    detail = cv2.subtract(luma, cv2.GaussianBlur(luma, (0, 0), _RADIUS))
    change = np.clip(detail * np.float32(boost), -_HALO, _HALO)
    # Sharpening lifts what grain there is; only the rest is added.
    lacking = mean.wanted**2 - (mean.noise * (1 + boost)) ** 2
    grain = params.grain * min(_GRAIN, math.sqrt(max(0.0, lacking)))
    if grain > 0.1:
        noise = np.random.Generator(np.random.Philox([_SEED, number, len(tally.boosts)]))
        change += np.float32(grain) * noise.standard_normal(luma.shape, np.float32)
    planes = [patch.luma, patch.cb, patch.cr]
    shift = [_surface(row, plane.shape) for row, plane in zip(_bounded(mean.colour), planes, strict=True)]
    shift[0] += change
    # OpenCV rounds and saturates in one pass.
    made = [np.asarray(cv2.add(*pair, dtype=cv2.CV_8U), np.uint8) for pair in zip(planes, shift, strict=True)]
    mended = replace(patch, luma=made[0], cb=made[1], cr=made[2])
    if len(tally.boosts) % _SAMPLE == 0:
        goal = max(mean.target, 1e-6)
        tally.before.append(math.sqrt(mean.energy / goal))
        tally.after.append(math.sqrt(_energy(_filled(mended, under), patch.alpha) / goal))
    tally.boosts.append(boost)
    tally.grains.append(grain)
    return mended


def measure(patch: Patch, under: Planes) -> _Measure:
    """Compare a patch with the frame's planes under it, each of the size of the patch's."""
    import cv2

    alpha = patch.alpha.astype(np.float32) * np.float32(1 / 255)
    luma, frame = _filled(patch, under), under[0].astype(np.float32)
    weight = alpha / max(1e-6, float(alpha.sum()))
    lap, lap_frame = cv2.Laplacian(luma, cv2.CV_32F), cv2.Laplacian(frame, cv2.CV_32F)
    lap_detail = lap - cv2.GaussianBlur(lap, (0, 0), _RADIUS)
    inside = alpha[_THIN] > 0.5
    return _Measure(
        energy=float((weight * lap * lap).sum()),
        cross=float((weight * lap * lap_detail).sum()),
        gain=float((weight * lap_detail * lap_detail).sum()),
        target=float((weight * lap_frame * lap_frame).sum()),
        noise=_grain(luma, inside),
        wanted=_grain(frame, inside),
        colour=_shift(patch, under, alpha),
    )


def _grain(luma: Plane, where: npt.NDArray[np.bool_]) -> float:
    import cv2

    found = np.abs(cv2.filter2D(luma, cv2.CV_32F, _NOISE)[_THIN][where])
    return float(np.median(found)) * _MAD / _NOISE_GAIN if found.size else 0.0


def _shift(patch: Patch, under: Planes, alpha: Plane) -> Plane:
    """The plane over the patch (-1..1 each way) that is the frame minus the patch in the mask's feather."""
    thin = np.s_[::2, ::2]  # where chroma is; and a quarter of the luma is plenty for three unknowns
    share = alpha[thin]
    rows, columns = np.nonzero((share > 0.02) & (share < 0.98))
    if rows.size < 10:
        return np.zeros((3, 3), np.float32)
    weight = (share * (1 - share))[rows, columns][:, None]
    y, x = 2 * rows / max(1, share.shape[0] - 1) - 1, 2 * columns / max(1, share.shape[1] - 1) - 1
    basis = np.stack([np.ones_like(x), x, y], 1).astype(np.float32)
    pairs = ((under[0][thin], patch.luma[thin]), (under[1], patch.cb), (under[2], patch.cr))
    difference = np.stack([a[rows, columns].astype(np.float32) - b[rows, columns] for a, b in pairs], 1)
    normal = basis.T @ (basis * weight) / weight.sum()
    right = basis.T @ (difference * weight) / weight.sum()
    # A little ridge on the slopes: a feather on one side alone says nothing about the other.
    solved = np.linalg.solve(normal + np.diag(np.array([0, 0.05, 0.05], np.float32)), right)
    return np.asarray(np.clip(solved, -_SHIFT, _SHIFT), np.float32)


def _bounded(colour: Plane) -> Plane:
    """Y, Cb, Cr as rows (3, 3), scaled down where a corner of the patch would exceed the limit."""
    return np.asarray((colour * np.minimum(1, _SHIFT / np.maximum(np.abs(colour).sum(0), 1e-6))).T, np.float32)


def _surface(row: Plane, shape: tuple[int, ...]) -> Plane:
    """The correction of one plane of `shape` (h, w): offset, slope over x and over y, both from -1 to 1."""
    y, x = (np.linspace(-1, 1, length, dtype=np.float32) for length in shape)
    return np.asarray((row[2] * y)[:, None] + (row[0] + row[1] * x), np.float32)


def _filled(patch: Patch, under: Planes) -> Plane:
    """The patch's luma with the frame's where its mask is empty, so that filters see no edge there."""
    import cv2

    return np.asarray(cv2.copyTo(patch.luma, patch.alpha, under[0].copy()), np.float32)


def _energy(luma: Plane, alpha: Pixels) -> float:
    import cv2

    lap = cv2.Laplacian(luma, cv2.CV_32F)
    return float((lap * lap * alpha).sum() / max(1.0, float(alpha.sum())))


def _blend(mean: _Measure, seen: _Measure, share: float) -> _Measure:
    return _Measure(**{key: value + share * (vars(seen)[key] - value) for key, value in vars(mean).items()})


def _follow(faces: list[_Face], frame: int, centre: tuple[float, float], width: int) -> _Face | None:
    """The face whose last patch lay nearest, if it is near and not taken in this frame."""
    free = [face for face in faces if face.frame < frame]
    near = min(free, key=lambda face: math.dist(face.centre, centre), default=None)
    return near if near is not None and math.dist(near.centre, centre) < width / 2 else None


def _cuts(shot: Shot) -> list[int]:
    return sorted(Tracks.load(shot.faces).cuts.tolist()) if shot.faces else []


def pairs(shot: Shot) -> Iterator[tuple[int, int, int, Patch, Planes]]:
    """Patches with the frame's planes under them: frame, x, y, patch, under."""
    from dubd.media.ffmpeg import frames_yuv, picture_of
    from dubd.media.patches import planes

    assert shot.patches is not None
    picture = picture_of(shot.video)
    size = int(picture["width"]), int(picture["height"])
    part = shot.patches.within(*size)
    rest = iter(shot.patches)
    patch = next(rest, None)
    for index, frame in enumerate(frames_yuv(shot.video, *size, part)):
        while patch is not None and patch[0] == index:
            _, x, y, own = patch
            yield *patch, _under(planes(frame), x - part[0], y - part[1], *own.size)
            patch = next(rest, None)
        if patch is None:
            return


def _under(frame: Planes, x: int, y: int, width: int, height: int) -> Planes:
    """The planes of the frame in a rectangle of even numbers; beyond the frame's edge its last pixel goes on."""
    luma, cb, cr = frame
    half = (x // 2, y // 2, width // 2, height // 2)
    return _plane_under(luma, x, y, width, height), _plane_under(cb, *half), _plane_under(cr, *half)


def _plane_under(plane: Pixels, x: int, y: int, width: int, height: int) -> Pixels:
    if x >= 0 and y >= 0 and y + height <= plane.shape[0] and x + width <= plane.shape[1]:
        return plane[y : y + height, x : x + width]
    rows = np.clip(np.arange(y, y + height), 0, plane.shape[0] - 1)
    columns = np.clip(np.arange(x, x + width), 0, plane.shape[1] - 1)
    return np.asarray(plane[np.ix_(rows, columns)])


def _facts(tally: _Tally) -> dict[str, Any]:
    """Medians: Laplacian RMS over the frame's before and after, boost, grain added (levels)."""
    if not tally.boosts:
        return {}
    names = {"sharpness_before": tally.before, "sharpness_after": tally.after}
    names |= {"boost": tally.boosts, "grain": tally.grains}
    return {name: round(float(np.median(values)), 3) for name, values in names.items()}
