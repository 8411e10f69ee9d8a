"""Write, read and composite patches: the little pictures of what a lip stage changed.

A patch store is two files. `patches.mkv` is FFV1 in `bgra`, one picture a patch in a canvas of fixed
size, the patch in its top-left corner; alpha is the feathered mask. `geometry.npz` says where each
belongs: `frame` `x` `y` `width` `height` int32 (P,), `size` int32 (2,) canvas width and height, `mode`
text. Frames do not decrease; a frame with two faces has two patches. A store without patches has P = 0
and one transparent picture, so that its file is still a video.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO

import cv2
import numpy as np
import numpy.typing as npt

from dubd.errors import DubdError, Exit
from dubd.media.ffmpeg import BITEXACT, url

Pixels = npt.NDArray[np.uint8]
Patch = tuple[int, int, int, Pixels]

# ITU-R BT.601-7 and BT.709-6, section 3: the luma weights of red and blue.
_LUMA = {"bt709": (0.2126, 0.0722), "bt601": (0.299, 0.114)}


class PatchWriter:
    """Takes patches in the order of their frames and stores them losslessly; a context manager."""

    def __init__(self, patches: Path, geometry: Path, *, canvas: tuple[int, int], rate: str, mode: str) -> None:
        """`canvas` is (width, height), the largest patch; `rate` a fraction as text; `mode` says how they were made."""
        self.mode = mode
        self._patches, self._geometry, self._rate = patches, geometry, rate
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
        command = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-f", "rawvideo", "-pix_fmt", "bgra"]
        command += ["-s", f"{width}x{height}", "-framerate", self._rate, "-i", "pipe:0"]
        command += ["-c:v", "ffv1", "-level", "3", "-coder", "0", "-context", "0", "-g", "1", "-slices", "4"]
        command += ["-threads", "1", *BITEXACT, "-f", "matroska", url(self._patches)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stderr=self._errors)

    def add(self, frame: int, x: int, y: int, bgra: Pixels) -> None:
        """Store one patch (h, w, 4) whose top-left corner lies at the even point (x, y) of `frame`.

        The colour under alpha 0 is not kept. ValueError where the patch does not fit the canvas, the
        corner is odd, or the frame comes before the last one.
        """
        height, width = bgra.shape[:2]
        if bgra.dtype != np.uint8 or bgra.ndim != 3 or bgra.shape[2] != 4:
            raise ValueError(f"a patch is uint8 (h, w, 4), not {bgra.dtype} {bgra.shape}")
        if width > self.canvas[0] or height > self.canvas[1]:
            raise ValueError(f"a patch of {width}x{height} does not fit the canvas {self.canvas[0]}x{self.canvas[1]}")
        if x % 2 or y % 2:
            raise ValueError(f"a patch lies at even coordinates, not at {x},{y}")
        if self._rows and frame < self._rows[-1][0]:
            raise ValueError(f"patches come in the order of their frames: {frame} after {self._rows[-1][0]}")
        self._rows.append((frame, x, y, width, height))
        picture = np.zeros((self.canvas[1], self.canvas[0], 4), np.uint8)
        np.copyto(picture[:height, :width], bgra, where=bgra[..., 3:] > 0)
        self._write(picture)

    def _write(self, picture: Pixels) -> None:
        self._process = self._process or self._start()
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(picture.data)
        except BrokenPipeError:
            raise self._failed() from None

    def _failed(self) -> DubdError:
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
                self._write(np.zeros((self.canvas[1], self.canvas[0], 4), np.uint8))
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
    """Iterates over a patch store, streaming: (frame, x, y, bgra (h, w, 4)); may be iterated again."""

    def __init__(self, patches: Path, geometry: Path) -> None:
        """Reads the geometry; DubdError where it is not one."""
        self._patches = patches
        try:
            with np.load(geometry) as arrays:
                self.frames: npt.NDArray[np.int32] = arrays["frame"]
                self._rows = np.stack([arrays[key] for key in ("frame", "x", "y", "width", "height")], 1).tolist()
                self.canvas: tuple[int, int] = (int(arrays["size"][0]), int(arrays["size"][1]))
                self.mode = str(arrays["mode"])
        except (KeyError, ValueError, OSError) as error:
            raise DubdError(
                f"not a geometry of patches: {error}", file=geometry, remedy="delete it to have it made again"
            ) from error

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Patch]:
        if not self._rows:
            return
        width, height = self.canvas
        command = ["ffmpeg", "-v", "error", "-nostdin", "-threads", "1", "-i", url(self._patches), "-map", "0:v:0"]
        command += ["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "bgra", "pipe:1"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        try:
            for frame, x, y, wide, high in self._rows:
                raw = process.stdout.read(width * height * 4)
                if len(raw) < width * height * 4:
                    raise DubdError(
                        "fewer patches than the geometry names",
                        file=self._patches,
                        remedy="delete it to have it made again",
                    )
                picture = np.frombuffer(raw, np.uint8).reshape(height, width, 4)
                yield frame, x, y, picture[:high, :wide]
        finally:
            process.kill()
            process.stdout.close()
            process.wait()


def planes(frame: Pixels) -> tuple[Pixels, Pixels, Pixels]:
    """Views of the luma (H, W) and both chroma planes (H/2, W/2) of a yuv420p frame (H*3/2, W)."""
    height, width = frame.shape[0] * 2 // 3, frame.shape[1]
    flat = frame.reshape(-1)
    size, quarter = height * width, height * width // 4
    return (
        flat[:size].reshape(height, width),
        flat[size : size + quarter].reshape(height // 2, width // 2),
        flat[size + quarter :].reshape(height // 2, width // 2),
    )


def composite(frame: Pixels, x: int, y: int, bgra: Pixels, space: str = "bt709", range: str = "tv") -> None:
    """Blend a patch into a contiguous yuv420p frame (H*3/2, W) in place, linear in its alpha.

    Luma under alpha 0 and chroma of 2x2 blocks all under alpha 0 keep their bytes. A patch that reaches
    over the frame's edge is cropped. `space` is ffmpeg's name of the matrix (bt709, else BT.601),
    `range` "tv" or "pc".
    """
    luma, blue, red = planes(frame)
    left, top = max(0, -x), max(0, -y)
    wide, high = min(bgra.shape[1], luma.shape[1] - x), min(bgra.shape[0], luma.shape[0] - y)
    if wide <= left or high <= top:
        return
    patch = bgra[top:high, left:wide]
    odd = (patch.shape[0] % 2, patch.shape[1] % 2)
    if any(odd):
        patch = np.pad(patch, ((0, odd[0]), (0, odd[1]), (0, 0)))
    x, y = x + left, y + top
    alpha = patch[..., 3].astype(np.float32) * np.float32(1 / 255)
    colour = cv2.transform(patch[..., :3].astype(np.float32), _matrix(space, range)) * alpha[..., None]

    where = np.s_[y : y + patch.shape[0], x : x + patch.shape[1]]
    luma[where] = np.rint(luma[where] * (1 - alpha) + colour[..., 0])
    half = (patch.shape[1] // 2, patch.shape[0] // 2)
    # Premultiplied means: colour outside the mask has no say in the blocks that straddle its edge.
    mean = cv2.resize(cv2.merge([colour[..., 1], colour[..., 2], alpha]), half, interpolation=cv2.INTER_AREA)
    where = np.s_[y // 2 : y // 2 + half[1], x // 2 : x // 2 + half[0]]
    for plane, index in ((blue, 0), (red, 1)):
        plane[where] = np.rint(plane[where] * (1 - mean[..., 2]) + mean[..., index])


def _matrix(space: str, range: str) -> npt.NDArray[np.float32]:
    """From (b, g, r) in 0..255 to (Y, Cb, Cr) in codes, offsets in the last column (BT.709-6, 3.2-3.5)."""
    red, blue = _LUMA["bt709" if space == "bt709" else "bt601"]
    y = np.array([blue, 1 - red - blue, red])
    cb = (np.array([1, 0, 0]) - y) / (2 * (1 - blue))
    cr = (np.array([0, 0, 1]) - y) / (2 * (1 - red))
    low, luma, chroma = (16.0, 219 / 255, 224 / 255) if range == "tv" else (0.0, 1.0, 1.0)
    rows = np.stack([y * luma, cb * chroma, cr * chroma])
    return np.column_stack([rows, [low, 128, 128]]).astype(np.float32)
