"""The engines with models at their true sizes: what batches and our lip-sync loop gain, and whether memory stays flat.

    python -m benchmarks.engines [--only whisper nllb wav2lip memory]

Weights are random and the lengths of what is decoded are fixed, so nothing is downloaded and both ways of a comparison
do the same work. Each part runs in a process of its own, with one thread a library as workers have; both sides of a
ratio come from the same run. Processor seconds are what to compare on a machine that does other things too.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.engine_report import PLACE, handed, table
from dubd.schedule.surroundings import ONE_THREAD

PARTS = {
    "whisper": ["engine_whisper", "--size", "base", "--batch", "4", "--tokens", "30"],
    "nllb": ["engine_nllb", "--batch", "32", "--alone", "3", "--tokens", "8"],
    "wav2lip": ["engine_wav2lip", "--frames", "25", "--no-memory"],
    "memory": ["engine_wav2lip", "--memory"],
}


def main() -> None:
    """Run the parts, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    asked = parser.parse_args().only
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "rows")
        place.touch()
        environ = {**os.environ, **dict.fromkeys(ONE_THREAD, "1"), PLACE: str(place)}
        failed = []
        print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start", flush=True)
        for name in asked:
            print(f"\n{name}: {' '.join(PARTS[name])}", flush=True)
            module, *words = PARTS[name]
            began = time.monotonic()
            done = subprocess.run([sys.executable, "-m", f"benchmarks.{module}", *words], env=environ, check=False)
            print(f"took {time.monotonic() - began:.0f} s", flush=True)
            if done.returncode:
                failed.append(name)
        print(f"\n{table(handed(place))}\n\nload {os.getloadavg()[0]:.1f} at the end")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
