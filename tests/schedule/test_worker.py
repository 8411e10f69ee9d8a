"""A worker process by itself, as whoever starts it sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.schedule.cards import Machine


def test_it_loads_nothing_for_a_parent_that_has_already_ended(tmp_path: Path) -> None:
    box = Machine(tmp_path, 100)
    first = {"device": "cpu", "params": {"log": str(box.log)}, "precision": None, "batch": 1}
    command = [sys.executable, "-m", "dubd.schedule.worker", "translate", "allocating"]
    said = subprocess.run(
        command, input=json.dumps(first) + "\n", capture_output=True, text=True, env={**os.environ, **box.environ()}
    )
    assert (said.returncode, said.stdout) == (0, ""), said.stderr
    assert not box.lines("load")
