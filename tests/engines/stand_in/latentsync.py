"""The command line of LatentSync's scripts/inference.py: it works at 25 frames a second whatever it is given."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import program

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("--unet_config_path", "--inference_ckpt_path", "--video_path", "--audio_path", "--video_out_path"):
        parser.add_argument(name, required=True)
    parser.add_argument("--inference_steps", type=int, default=20)
    parser.add_argument("--guidance_scale", type=float, default=1.0)
    parser.add_argument("--temp_dir", default="temp")
    parser.add_argument("--seed", type=int, default=1247)
    parser.add_argument("--enable_deepcache", action="store_true")
    args = parser.parse_args()
    assert Path(args.unet_config_path).is_file() and Path(args.inference_ckpt_path).is_file()
    shutil.rmtree("temp", ignore_errors=True)  # of whoever runs in here at the same time, too
    Path("temp").mkdir()
    program.dub(Path(args.video_path), Path(args.audio_path), Path(args.video_out_path))
