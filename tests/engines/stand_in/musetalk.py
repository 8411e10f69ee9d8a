"""The command line of MuseTalk's scripts/inference.py: its tasks stand in a file, and no error ends it."""

from __future__ import annotations

import argparse
from pathlib import Path

import program
import yaml

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("--inference_config", "--result_dir", "--unet_model_path", "--unet_config", "--version"):
        parser.add_argument(name, required=True)
    parser.add_argument("--use_float16", action="store_true")
    parser.add_argument("--batch_size", type=int, default=8)
    args = parser.parse_args()
    assert Path(args.unet_model_path).is_file() and Path(args.unet_config).is_file()
    for task in yaml.safe_load(Path(args.inference_config).read_text()).values():
        try:
            results = Path(args.result_dir) / args.version
            results.mkdir(parents=True, exist_ok=True)
            out = results / task["result_name"]  # an absolute one is taken as it is
            program.dub(Path(task["video_path"]), Path(task["audio_path"]), out)
        except Exception as error:
            print("Error occurred during processing:", error)
