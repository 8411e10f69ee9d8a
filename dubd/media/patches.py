"""Write, read and composite patches: the little pictures of what a lip stage changed.

A patch store is two files. `patches.mkv` is lossless H.264 in yuv420p, one picture a patch. On a canvas of W x H
it is W wide and 2 H high: the patch's luma over its mask (alpha) in the luma plane, its chroma over nothing in the
chroma planes; the patch lies in the top-left corner of each. So the planes of the video are kept as they are. Of
the lossless codecs tried (FFV1, MagicYUV, HuffYUV, x264) it takes the least time at less than FFV1's size in BGRA;
x264 in grey is not lossless. Mouths are too unlike from one frame to the next: key frames alone are a sixth larger
than frames that refer to each other, and take two thirds of the time.

`geometry.npz` says where each belongs: `frame` `x` `y` `width` `height` int32 (P,), `size` int32 (2,) canvas width
and height, all but `frame` even; `mode` text. Frames do not decrease; a frame with two faces has two patches. A
store without patches has P = 0 and one transparent picture, so that its file is still a video.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

import cv2
import numpy as np
import numpy.typing as npt

from dubd.errors import DubdError, Exit
from dubd.media import arrays
from dubd.media.ffmpeg import BITEXACT, given, url
from dubd.media.killed import require_alive

Pixels = npt.NDArray[np.uint8]
Planes = tuple[Pixels, Pixels, Pixels]
"""Luma (H, W) and both chroma planes (H/2, W/2), Cb first."""

# Luma weights of red and blue: ITU-R BT.709-6 and BT.2020-2, section 3 and table 4; BT.601-7 where nothing is said.
_LUMA = {"bt709": (0.2126, 0.0722), "bt2020nc": (0.2627, 0.0593), "bt601": (0.299, 0.114)}


@dataclass(frozen=True)
class Patch:
    """yuv420p planes and a mask, all uint8, of even width and height."""

    luma: Pixels  # (h, w)
    cb: Pixels  # (h / 2, w / 2)
    cr: Pixels  # (h / 2, w / 2)
    alpha: Pixels  # (h, w)

    @classmethod
    def of_bgra(cls, bgra: Pixels, space: str, range: str) -> Patch:
        """The patch of (h, w, 4) uint8, padded by an empty mask to even sizes.

        `space` is ffmpeg's name of the matrix (bt709, bt2020nc, else BT.601), `range` "tv" or "pc". A chroma
        sample is the mean of its four pixels weighted by their alpha: colour outside the mask has no say in it.
        """
        odd = (bgra.shape[0] % 2, bgra.shape[1] % 2)
        if any(odd):
            bgra = np.pad(bgra, ((0, odd[0]), (0, odd[1]), (0, 0)))
        alpha, codes = np.ascontiguousarray(bgra[..., 3]), matrix(space, range)
        bgr = cv2.cvtColor(bgra, cv2.COLOR_BGRA2BGR)
        half = (alpha.shape[1] // 2, alpha.shape[0] // 2)
        weighted = cv2.multiply(bgr, cv2.merge([alpha] * 3), dtype=cv2.CV_32F)
        weight = cv2.resize(alpha.astype(np.float32), half, interpolation=cv2.INTER_AREA)
        mean = cv2.resize(weighted, half, interpolation=cv2.INTER_AREA) / np.maximum(weight, 0.25)[..., None]
        cb, cr = cv2.split(cv2.convertScaleAbs(cv2.transform(mean, codes[1:])))  # rounds and saturates
        return cls(
            luma=np.asarray(cv2.transform(bgr, codes[:1]), np.uint8),
            cb=np.asarray(cb, np.uint8),
            cr=np.asarray(cr, np.uint8),
            alpha=alpha,
        )

    @classmethod
    def of_stack(cls, stack: Pixels, width: int, height: int) -> Patch:
        """Views of the patch in the top-left corners of a stored picture (H * 3, W)."""
        both, cb, cr = planes(stack)
        half = np.s_[: height // 2, : width // 2]
        rows = both.shape[0] // 2
        return cls(luma=both[:height, :width], cb=cb[half], cr=cr[half], alpha=both[rows : rows + height, :width])

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.alpha.shape[1], self.alpha.shape[0]


class PatchWriter:
    """Takes patches in the order of their frames and stores them losslessly; a context manager."""

    def __init__(
        self,
        patches: Path,
        geometry: Path,
        *,
        canvas: tuple[int, int],
        rate: str,
        mode: str,
        space: str = "bt709",
        range: str = "tv",
    ) -> None:
        """`canvas` is (width, height), the largest patch; `rate` a fraction as text; `mode` says how they were made.

        `space` and `range` are those of the video, into which BGR is converted (see `Patch.of_bgra`).
        """
        self.mode = mode
        self._patches, self._geometry, self._rate = patches, geometry, rate
        self._space, self._range = space, range
        self._rows: list[tuple[int, int, int, int, int]] = []
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (closed in __exit__)
        self._process: subprocess.Popen[bytes] | None = None
        self.shrink(canvas)

    def shrink(self, canvas: tuple[int, int]) -> None:
        """Set the canvas to the largest patch, once it is known; before the first patch is added."""
        assert self._process is None, "the canvas is set before the first patch"
        self.canvas = (canvas[0] + canvas[0] % 2, canvas[1] + canvas[1] % 2)

    def __enter__(self) -> PatchWriter:
        return self

    def _start(self) -> subprocess.Popen[bytes]:
        width, height = self.canvas
        command = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-f", "rawvideo", "-pix_fmt", "yuv420p"]
        command += ["-s", f"{width}x{height * 2}", "-framerate", self._rate, "-i", "pipe:0"]
        command += ["-c:v", "libx264", "-qp", "0", "-preset", "ultrafast", "-g", "1", "-pix_fmt", "yuv420p"]
        command += ["-threads", "1", *BITEXACT, "-f", "matroska", url(self._patches)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stderr=self._errors)

    def add_bgra(self, frame: int, x: int, y: int, bgra: Pixels) -> None:
        """Convert and store one patch (h, w, 4) uint8, the rest as in `add`."""
        if bgra.dtype != np.uint8 or bgra.ndim != 3 or bgra.shape[2] != 4:
            raise ValueError(f"a patch is uint8 (h, w, 4), not {bgra.dtype} {bgra.shape}")
        self.add(frame, x, y, Patch.of_bgra(bgra, self._space, self._range))

    def add(self, frame: int, x: int, y: int, patch: Patch) -> None:
        """Store one patch whose top-left corner lies at the even point (x, y) of `frame`.

        Luma under alpha 0, and chroma of 2x2 blocks all under alpha 0, is stored as 0: it does not matter.
        ValueError where the patch does not fit the canvas, the corner is odd, or the frame comes before the
        last one.
        """
        width, height = patch.size
        if width > self.canvas[0] or height > self.canvas[1]:
            raise ValueError(f"a patch of {width}x{height} does not fit the canvas {self.canvas[0]}x{self.canvas[1]}")
        if x % 2 or y % 2:
            raise ValueError(f"a patch lies at even coordinates, not at {x},{y}")
        if self._rows and frame < self._rows[-1][0]:
            raise ValueError(f"patches come in the order of their frames: {frame} after {self._rows[-1][0]}")
        self._rows.append((frame, x, y, width, height))
        stack = self._empty()
        place = Patch.of_stack(stack, width, height)
        place.alpha[:] = patch.alpha
        any_of_four = patch.alpha[::2] | patch.alpha[1::2]
        any_of_four = any_of_four[:, ::2] | any_of_four[:, 1::2]
        np.copyto(place.luma, patch.luma, where=patch.alpha > 0)
        np.copyto(place.cb, patch.cb, where=any_of_four > 0)
        np.copyto(place.cr, patch.cr, where=any_of_four > 0)
        self._write(stack)

    def _empty(self) -> Pixels:
        return np.zeros((self.canvas[1] * 3, self.canvas[0]), np.uint8)

    def _write(self, stack: Pixels) -> None:
        self._process = self._process or self._start()
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(stack.data)
        except BrokenPipeError:
            raise self._failed() from None

    def _failed(self) -> DubdError:
        assert self._process is not None
        require_alive(self._process.wait(), "ffmpeg", file=self._patches)
        return unwritten("patches", self._said(), self._patches)

    def _said(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace").strip()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._errors:
            if kind is not None:
                if self._process:
                    self._process.kill()
                    self._process.communicate()
                return
            if not self._rows:
                self._write(self._empty())
            process = self._process
            assert process is not None and process.stdin is not None
            try:
                process.stdin.close()
            except BrokenPipeError:
                raise self._failed() from None
            # ffmpeg 5.1 ends with 0 where only the file's last bytes could not be written: its words count.
            if process.wait() or self._said():
                raise self._failed()
        rows = np.array(self._rows, np.int32).reshape(-1, 5)
        np.savez(
            self._geometry,
            frame=rows[:, 0],
            x=rows[:, 1],
            y=rows[:, 2],
            width=rows[:, 3],
            height=rows[:, 4],
            size=np.array(self.canvas, np.int32),
            mode=np.array(self.mode),
        )


def unwritten(what: str, said: str, path: Path) -> DubdError:
    """The error for an ffmpeg that could not write `what` to `path`, out of what it said."""
    if "No space left" in said or "quota exceeded" in said:
        remedy = "free some space and run again"
        return DubdError("no space left on the disk", file=path, remedy=remedy, exit=Exit.WORKSPACE)
    return DubdError(f"{what} could not be written: {said.splitlines()[-1] if said else 'ffmpeg stopped'}", file=path)


class PatchReader:
    """Iterates over a patch store, streaming: (frame, x, y, patch); may be iterated again."""

    def __init__(self, patches: Path, geometry: Path) -> None:
        """Reads the geometry; DubdError where it is not one."""
        self._patches = patches
        try:
            found = arrays.read(geometry)
            self.frames: npt.NDArray[np.int32] = found["frame"]
            self._rows = np.stack([found[key] for key in ("frame", "x", "y", "width", "height")], 1).tolist()
            self.canvas: tuple[int, int] = (int(found["size"][0]), int(found["size"][1]))
            self.mode = str(found["mode"])
        except (KeyError, ValueError, OSError) as error:
            raise DubdError(
                f"not a geometry of patches: {error}", file=geometry, remedy="delete it to have it made again"
            ) from error

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def places(self) -> list[tuple[int, int, int, int, int]]:
        """Frame, x, y, width and height of each patch."""
        return [tuple(row) for row in self._rows]

    def within(self, width: int, height: int) -> tuple[int, int, int, int]:
        """x, y, width, height (even, at least 2) of the part of a picture of that even size that patches lie on."""
        if not self._rows:
            return 0, 0, 2, 2
        _, x, y, wide, high = np.array(self._rows).T
        left, top = (int(np.clip(low.min(), 0, most - 2)) for low, most in ((x, width), (y, height)))
        right, bottom = int(min((x + wide).max(), width)), int(min((y + high).max(), height))
        return left, top, max(2, right - left), max(2, bottom - top)

    def __iter__(self) -> Iterator[tuple[int, int, int, Patch]]:
        if not self._rows:
            return
        width, height = self.canvas[0], self.canvas[1] * 3
        command = ["ffmpeg", "-v", "error", "-nostdin", "-threads", "1", *given(self._patches), "-map", "0:v:0"]
        command += ["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "yuv420p", "pipe:1"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        try:
            for frame, x, y, wide, high in self._rows:
                raw = process.stdout.read(width * height)
                if len(raw) < width * height:
                    require_alive(process.wait(), "ffmpeg", file=self._patches)
                    raise DubdError(
                        "fewer patches than the geometry names",
                        file=self._patches,
                        remedy="delete it to have it made again",
                    )
                stack = np.frombuffer(raw, np.uint8).reshape(height, width)
                yield frame, x, y, Patch.of_stack(stack, wide, high)
        finally:
            process.kill()
            process.stdout.close()
            process.wait()


def planes(frame: Pixels) -> Planes:
    """Views of the luma (H, W) and both chroma planes (H/2, W/2) of a yuv420p frame (H*3/2, W)."""
    height, width = frame.shape[0] * 2 // 3, frame.shape[1]
    flat = frame.reshape(-1)
    size, quarter = height * width, height * width // 4
    return (
        flat[:size].reshape(height, width),
        flat[size : size + quarter].reshape(height // 2, width // 2),
        flat[size + quarter :].reshape(height // 2, width // 2),
    )


def composite(frame: Pixels, x: int, y: int, patch: Patch) -> None:
    """Blend a patch into a contiguous yuv420p frame (H*3/2, W) in place, linear in its alpha.

    Luma under alpha 0 and chroma of 2x2 blocks all under alpha 0 keep their bytes. A patch that reaches
    over the frame's edge is cropped.
    """
    luma, cb, cr = planes(frame)
    size = (patch.size[0] // 2, patch.size[1] // 2)
    half = np.asarray(cv2.resize(patch.alpha, size, interpolation=cv2.INTER_AREA), np.uint8)
    _blend(luma, x, y, patch.luma, patch.alpha)
    _blend(cb, x // 2, y // 2, patch.cb, half)
    _blend(cr, x // 2, y // 2, patch.cr, half)


def _blend(plane: Pixels, x: int, y: int, over: Pixels, alpha: Pixels) -> None:
    """Lay `over` on the plane at (x, y): the nearest integer to the mean of both, weighted by alpha / 255."""
    into = np.s_[max(0, y) : max(0, y + over.shape[0]), max(0, x) : max(0, x + over.shape[1])]
    under = plane[into]
    out = np.s_[max(0, -y) :, max(0, -x) :]
    shown = np.s_[: under.shape[0], : under.shape[1]]
    over, alpha = over[out][shown], alpha[out][shown]
    # Exact in 16 bits: the sum is at most 255 * 255, and (t + 128) * 257 >> 16 is t / 255 rounded.
    total = np.multiply(under, 255 - alpha, dtype=np.uint16)
    total += np.multiply(over, alpha, dtype=np.uint16)
    total += 128
    total += total >> 8
    under[:] = total >> 8


def matrix(space: str, range: str) -> npt.NDArray[np.float32]:
    """From (b, g, r) in 0..255 to (Y, Cb, Cr) in codes, offsets in the last column (BT.709-6, 3.2-3.5)."""
    red, blue = _LUMA.get(space, _LUMA["bt601"])
    y = np.array([blue, 1 - red - blue, red])
    cb = (np.array([1, 0, 0]) - y) / (2 * (1 - blue))
    cr = (np.array([0, 0, 1]) - y) / (2 * (1 - red))
    low, luma, chroma = (16.0, 219 / 255, 224 / 255) if range == "tv" else (0.0, 1.0, 1.0)
    rows = np.stack([y * luma, cb * chroma, cr * chroma])
    return np.column_stack([rows, [low, 128, 128]]).astype(np.float32)
