"""What a worker's interpreter is told before it imports anything."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dubd.schedule import surroundings


def test_numba_leaves_pytorch_its_one_thread() -> None:
    """Whisper times words with numba, whose pool sets the threads of all of OpenMP when it starts."""
    pytest.importorskip("torch", reason="pip install 'dubd[whisper]'")
    pytest.importorskip("numba", reason="pip install 'dubd[whisper]'")
    code = "import torch; from numba.np.ufunc import parallel as p; p._launch_threads(); print(torch.get_num_threads())"
    done = subprocess.run(
        [sys.executable, "-c", code], env=surroundings.own(), capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"
