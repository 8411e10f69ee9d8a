"""Wav2Lip: our stages against a straight rendering of the published loop, on the CPU, same clip, same weights' sizes.

    python -m benchmarks.engine_wav2lip [VIDEO] [--frames 50] [--detector s3fd|hog] [--no-memory|--memory]

The published loop reads all frames into memory, detects a face in every one, runs the network as it is, pastes
rectangles and encodes twice. Its detector S3FD is rendered by its convolutions with random weights: they take its time,
and the box is dlib's, whose own time is not counted; `hog` counts dlib's detector instead. Ours are the stages faces,
lipsync and render. Each part runs in its own process on one thread; processor time is what to compare on a machine
that does other things too. Memory is the peak of the process at 10 s and 120 s of the looped clip, with a narrow
network and a small picture, which take little time and no part in what grows; ours goes through segments of 20 s, as
builds do.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.engine_report import Row, hand

SAMPLE = Path(__file__).parents[1] / "script" / "sample" / "talking_head.mp4"
RATE, SEGMENT = "25/1", 20
LENGTHS = (10, 120)
SMALL = 256  # px of the picture whose memory is measured: four times as quick, and what grows still grows
# S3FD (Zhang et al. 2017): VGG-16 to conv5_3, then these; output channels, kernel, stride.
S3FD = [(64, 3, 1)] * 2 + ["pool"] + [(128, 3, 1)] * 2 + ["pool"] + [(256, 3, 1)] * 3 + ["pool"]
S3FD += [*[(512, 3, 1)] * 3, "pool", *[(512, 3, 1)] * 3, "pool", (1024, 3, 1), (1024, 1, 1)]
S3FD += [(256, 1, 1), (512, 3, 2), (128, 1, 1), (256, 3, 2)]


def weights(folder: Path, width: int) -> Path:
    """A checkpoint with random numbers, in the published layout."""
    import torch

    from dubd.engines.wav2lip_net import Wav2Lip

    torch.manual_seed(0)
    path = folder / f"random{width}.pth"
    if not path.exists():
        torch.save({"state_dict": Wav2Lip(width).state_dict()}, path)
    return path


def published(clip: Path, folder: Path, width: int, detector: str) -> Iterator[None]:
    """The loop as it was published, for a clip with one face."""
    import dlib
    import torch

    from dubd.engines import mel
    from dubd.engines.wav2lip_net import Wav2Lip
    from dubd.media.ffmpeg import read_audio

    net = Wav2Lip(width)
    net.load_state_dict(torch.load(weights(folder, width))["state_dict"])
    net.eval()
    hog, convolutions = dlib.get_frontal_face_detector(), s3fd()
    yield  # loaded: the clock starts
    stream, frames = cv2.VideoCapture(str(clip)), []
    while (read := stream.read())[0]:
        frames.append(read[1])
    spectrum = mel.mel(read_audio(clip, 16000))
    pieces = []
    for index in range(len(frames)):
        start = int(index * 80 / 25)
        pieces.append(spectrum[:, start : start + 16] if start + 16 <= spectrum.shape[1] else spectrum[:, -16:])
    boxes, box = [], None
    for frame in frames:
        if detector == "s3fd":
            with torch.no_grad():
                convolutions(torch.from_numpy(frame).permute(2, 0, 1)[None].float())
        if box is None or detector == "hog":
            rect = hog(frame[..., ::-1].copy())[0]
            box = (rect.left(), rect.top(), rect.right(), min(frame.shape[0], rect.bottom() + 10))
        boxes.append(box)
    steady = [np.mean(boxes[at : at + 5], 0).astype(int) for at in range(len(boxes))]
    out = folder / "published.avi"
    writer = cv2.VideoWriter(str(out), cv2.VideoWriter.fourcc(*"DIVX"), 25, frames[0].shape[1::-1])
    for first in range(0, len(frames), 16):
        part = range(first, min(len(frames), first + 16))
        crops = [frames[at][y0:y1, x0:x1] for at in part for x0, y0, x1, y1 in [steady[at]]]
        faces = np.stack([cv2.resize(crop, (96, 96)) for crop in crops])
        masked = faces.copy()
        masked[:, 48:] = 0
        seen = np.concatenate([masked, faces], 3) / 255.0
        with torch.no_grad():
            drawn = net(
                torch.from_numpy(np.stack([pieces[at] for at in part])[:, None]).float(),
                torch.from_numpy(seen.transpose(0, 3, 1, 2)).float(),
            )
        for at, face in zip(part, drawn.numpy().transpose(0, 2, 3, 1) * 255.0, strict=True):
            x0, y0, x1, y1 = steady[at]
            whole = frames[at].copy()
            whole[y0:y1, x0:x1] = cv2.resize(face.astype(np.uint8), (int(x1 - x0), int(y1 - y0)))
            writer.write(whole)
    writer.release()
    final = ["-i", str(clip), "-map", "0:v", "-map", "1:a", "-q:v", "1", "-threads", "1", str(folder / "published.mp4")]
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", str(out), *final], check=True)


def s3fd() -> Callable[[Any], Any]:
    """The detector's convolutions."""
    import torch

    layers: list[Any] = []
    before = 3
    for row in S3FD:
        if isinstance(row, str):
            layers.append(torch.nn.MaxPool2d(2, 2))
        else:
            layers += [torch.nn.Conv2d(before, row[0], row[1], row[2], row[1] // 2), torch.nn.ReLU(inplace=True)]
            before = row[0]
    return torch.nn.Sequential(*layers).eval()


def ours(clip: Path, folder: Path, width: int, detector: str) -> Iterator[None]:  # noqa: ARG001  (ours has its own)
    """Faces, lipsync and render of each segment of the clip, with one engine each, as a worker has."""
    from dubd.engines.contract import Room
    from dubd.engines.landmarks import Dlib, DlibParams
    from dubd.engines.wav2lip import Wav2Lip, Wav2LipParams
    from dubd.media.ffmpeg import probe, write_wav
    from dubd.stages import faces, lipsync, render
    from dubd.stages.job import Job

    follow, draw = Dlib(), Wav2Lip()
    follow.load("cpu", DlibParams())
    draw.room = Room(None, 16)
    draw.load("cpu", Wav2LipParams(model=str(weights(folder, width))))
    yield  # loaded: the clock starts
    seconds = float(probe(clip)["format"]["duration"])
    color = {"space": "bt709", "primaries": "bt709", "transfer": "bt709", "range": "tv"}
    shape = next(one for one in probe(clip)["streams"] if one["codec_type"] == "video")
    picture = {"width": shape["width"], "height": shape["height"], "color": color, "sample_aspect": "1:1"}
    for start in itertools.takewhile(lambda at: at < seconds - 0.1, itertools.count(0, SEGMENT)):
        place = {
            name: folder / name for name in ("video.mp4", "audio.wav", "faces.npz", "speech.json", "p.mkv", "g.npz")
        }
        cut = ["ffmpeg", "-v", "error", "-y", "-ss", str(start), "-t", str(SEGMENT), "-i", str(clip)]
        subprocess.run([*cut, "-an", "-c", "copy", str(place["video.mp4"])], check=True)
        subprocess.run([*cut, "-vn", "-ac", "1", "-ar", "48000", str(place["audio.wav"])], check=True)
        line = {"id": "1", "speaker": "S1", "slot": [0, SEGMENT], "start": 0, "end": SEGMENT, "phonemes": []}
        place["speech.json"].write_text(json.dumps({"lines": [line]}))
        video, tracks = {"video": place["video.mp4"]}, {"faces": place["faces.npz"]}
        # A dub that never pauses: every frame is drawn, as the published loop does.
        write_wav(folder / "dub.wav", np.random.default_rng(0).normal(0, 0.1, SEGMENT * 48000), 48000)
        sound = {"audio": place["audio.wav"], "speech": folder / "dub.wav", "timing": place["speech.json"]}
        patches = {"patches": place["p.mkv"], "geometry": place["g.npz"]}
        shown = {"rate": RATE, "start": 0.0, "picture": picture}
        for done in (
            faces.run([Job("f", "faces", video, tracks, shown)], follow),
            lipsync.run([Job("l", "lipsync", video | tracks | sound, patches, shown)], draw),
            render.run([Job("r", "render", video | patches, {"render": folder / "render.mp4"}, shown)]),
        ):
            if isinstance(done[0], Exception):
                raise done[0]
            if "changed" in done[0] and done[0]["changed"] < 0.9 * frames_of(place["video.mp4"]):
                raise SystemExit(f"not every frame was drawn: {done[0]}")


def frames_of(video: Path) -> int:
    """The number of frames of a segment."""
    from dubd.media.ffmpeg import probe

    return int(probe(video)["streams"][0]["nb_frames"])


def measured(name: str, clip: Path, folder: Path, width: int, detector: str) -> dict[str, float]:
    """Wall and processor seconds and peak MiB of one part in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.engine_wav2lip", str(clip), "--part", name, "--folder", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command += ["--width", str(width), "--detector", detector]
    said = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True).stdout
    return dict(json.loads(said.splitlines()[-1]))


def part(name: str, clip: Path, folder: Path, width: int, detector: str) -> None:
    """Run one part here; what it took goes to the standard output."""
    weights(folder, width)
    work = (published if name == "published" else ours)(clip, folder, width, detector)
    next(work)
    began, spent = time.monotonic(), sum(os.times()[:4])
    next(work, None)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"wall": time.monotonic() - began, "cpu": sum(os.times()[:4]) - spent, "peak": peak}))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="?", type=Path, default=SAMPLE)
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--detector", choices=("s3fd", "hog", "none"), default="s3fd")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--no-memory", action="store_true", help="time alone")
    which.add_argument("--memory", action="store_true", help="memory alone")
    parser.add_argument("--part", choices=("published", "ours"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--width", type=int, default=16, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        part(given.part, given.video, given.folder, given.width, given.detector)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not given.memory:
            compared(given.video, given.frames, given.detector, folder)
        if not given.no_memory:
            remembered(given.video, folder)


def compared(video: Path, frames: int, detector: str, folder: Path) -> None:
    """Time of both, with the network at its true size."""
    clip = looped(video, frames / 25, folder / "clip.mp4")
    took = {part: measured(part, clip, folder, 16, detector) for part in ("published", "ours")}
    for part_name, one in took.items():
        print(f"{part_name:10} {frames} frames: {one['wall']:6.1f} s wall, {one['cpu']:6.1f} s of processor")
    ratio = {unit: took["published"][unit] / took["ours"][unit] for unit in ("wall", "cpu")}
    print(f"ratio ({detector}): {ratio['wall']:.1f} of wall, {ratio['cpu']:.1f} of processor time")
    for unit in ("cpu", "wall"):
        what = f"wav2lip: {frames} frames, published loop ({detector}), ours"
        hand(Row(what, f"{unit} s", took["published"][unit], took["ours"][unit]))


def remembered(video: Path, folder: Path) -> None:
    """Peak memory of both at both lengths, with a narrow network."""
    for part_name in ("ours", "published"):
        peaks = []
        for seconds in LENGTHS:
            long = looped(video, seconds, folder / "long.mp4", SMALL)
            peaks.append(measured(part_name, long, folder, 4, "none")["peak"])
        said = ", ".join(f"{peak:.0f} MiB at {seconds} s" for peak, seconds in zip(peaks, LENGTHS, strict=True))
        print(f"{part_name:10} peak {said}", flush=True)
        hand(Row(f"wav2lip: peak memory at {LENGTHS[1]} s and {LENGTHS[0]} s, {part_name}", "MiB", peaks[1], peaks[0]))


def looped(video: Path, seconds: float, out: Path, side: int | None = None) -> Path:
    """The video again and again up to that length, 25 frames a second, a key frame a second; scaled to a square."""
    scale = ["-vf", f"scale={side}:{side}"] if side else []
    encode = ["-r", "25", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "16", "-g", "25", "-c:a", "aac"]
    command = ["ffmpeg", "-v", "error", "-y", "-stream_loop", "-1", "-i", str(video), "-t", str(seconds), *encode]
    subprocess.run([*command, *scale, "-threads", "1", str(out)], check=True)
    return out


if __name__ == "__main__":
    main()
