"""The command line of VideoReTalking's inference.py, with its caches, its folder for temporary files and its faults."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import program

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("--face", "--audio", "--outfile"):
        parser.add_argument(name, required=True)
    parser.add_argument("--tmp_dir", default="temp")
    parser.add_argument("--re_preprocess", action="store_true")
    args = parser.parse_args()
    assert Path("checkpoints").is_dir(), "it looks for its checkpoints in the folder that it runs in"
    name = args.face.split("/")[-1]
    assert args.face.split(".")[1] == "mp4"
    (Path("temp") / args.tmp_dir).mkdir(parents=True, exist_ok=True)
    inside = Path(f"temp/{args.tmp_dir}")  # for an absolute --tmp_dir another folder than the one made
    if not inside.is_dir():
        raise SystemExit(0)
    cache = Path(f"temp/{name}_landmarks.txt")
    program.dub(Path(args.face), Path(args.audio), inside / "result.mp4", cache=cache, anew=args.re_preprocess)
    if (inside / "result.mp4").is_file():
        shutil.copy(inside / "result.mp4", args.outfile)
