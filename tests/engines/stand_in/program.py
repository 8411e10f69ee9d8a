"""What stands in for a lip-sync model: finds the face in every frame and paints a mouth that opens with the sound.

Run as a process, as the real programs are, with their habits and faults. STAND_IN names what goes wrong in this run:
nothing, short, shorter, long, size, fps, hang, same, text, crash, colours, killed, child.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import dlib
import numpy as np
import soundfile

FAULT = os.environ.get("STAND_IN", "")


def told(**said: object) -> None:
    """Keep, for the test, what this run was told, and in which surroundings."""
    with Path(os.environ["STAND_IN_TOLD"]).open("a", encoding="utf-8") as file:
        environ = {name: os.environ.get(name) for name in ("PYTHONPATH", "CUDA_VISIBLE_DEVICES", "EXTRA")}
        file.write(json.dumps({"argv": sys.argv[1:], "cwd": os.getcwd(), "environ": environ, **said}) + "\n")


def faces(face: Path, cache: Path | None, anew: bool) -> tuple[list[np.ndarray], list[list[int]], float]:
    """Frames, a box in each, and the rate; ValueError for a frame without a face (each third is looked at)."""
    stream = cv2.VideoCapture(str(face))
    rate, frames = stream.get(cv2.CAP_PROP_FPS), []
    while True:
        more, frame = stream.read()
        if not more:
            break
        frames.append(frame)
    if cache and cache.is_file() and not anew:
        return frames, json.loads(cache.read_text()), rate
    detect, boxes = dlib.get_frontal_face_detector(), []
    for number, frame in enumerate(frames):
        if number % 3:
            boxes.append(boxes[-1])
            continue
        found = detect(cv2.resize(frame, None, fx=0.5, fy=0.5))
        if not found:
            raise ValueError("Face not detected! Ensure the video contains a face in all the frames.")
        boxes.append([2 * edge for edge in (found[0].left(), found[0].top(), found[0].right(), found[0].bottom())])
    if cache:
        cache.write_text(json.dumps(boxes))
    return frames, boxes, rate


def dub(face: Path, audio: Path, out: Path, *, cache: Path | None = None, anew: bool = True) -> None:
    """Write `out` as the models do: MPEG-4 by OpenCV, then H.264 by an ffmpeg whose exit code nobody looks at."""
    print("[Step 0] looking for faces")
    if FAULT == "colours":
        print(
            "\x1b]0;lips\x07\x1b[2K\x1b[1;31mRuntimeError:\x1b[0m no\tmouth\u202e \x9b1m\x08\x1b(B<b>\x1b[0m\n\x1b[?25h"
        )
        sys.exit(1)
    if FAULT == "hang":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        time.sleep(600)
    once = os.environ.get("STAND_IN_DIED", "")  # a file: with it, it is killed as long as that is not there
    if FAULT == "killed" and not (once and os.path.exists(once)):
        if once:
            open(once, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    frames, boxes, rate = faces(face, cache, anew)
    sound, hertz = soundfile.read(audio)
    told(
        frames=len(frames),
        rate=rate,
        size=list(frames[0].shape[1::-1]),
        hertz=hertz,
        seconds=len(sound) / hertz,
        silent=float((sound == 0).mean()),
    )
    if FAULT == "nothing":
        return
    if FAULT == "text":
        out.write_text("no video")
        return
    made = []
    for number, (frame, (x0, y0, x1, y1)) in enumerate(zip(frames, boxes, strict=True)):
        at = round(number / rate * hertz)
        loud = float(np.abs(sound[at : at + round(hertz / rate)]).max(initial=0))
        wide, middle = x1 - x0, ((x0 + x1) // 2, round(y0 + 0.8 * (y1 - y0)))
        if FAULT != "same":
            frame = cv2.ellipse(
                frame, middle, (round(wide * 0.2), round(wide * (0.06 + min(0.1, loud)))), 0, 0, 360, (40, 40, 200), -1
            )
        made.append(frame)
    if FAULT == "crash":
        raise UnboundLocalError("local variable 'mask_sharp' referenced before assignment")
    made = {"short": made[:-3], "shorter": made[: len(made) // 2], "long": made + made[:4]}.get(FAULT, made)
    if FAULT == "size":
        made = [cv2.resize(frame, None, fx=0.5, fy=0.5) for frame in made]
    if FAULT == "fps":  # LatentSync always writes 25
        made, rate = [made[min(len(made) - 1, round(k / 20 * rate))] for k in range(round(len(made) / rate * 20))], 20
    if FAULT == "child":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    part = Path(f"{out}.part.mp4")
    writer = cv2.VideoWriter(str(part), cv2.VideoWriter_fourcc(*"mp4v"), rate, made[0].shape[1::-1])
    for frame in made:
        writer.write(frame)
    writer.release()
    ffmpeg = shutil.which("ffmpeg") or "ffmpeg"
    quiet = [ffmpeg, "-y", "-loglevel", "error", "-nostdin"]
    subprocess.call([*quiet, "-i", str(audio), "-i", str(part), "-threads", "1", str(out)])
