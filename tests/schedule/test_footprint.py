"""A worker's memory: which exceptions mean that the card is full, and that PyTorch is capped when it is imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dubd.engines.contract import OutOfMemory
from dubd.schedule.footprint import measured, out_of_memory
from tests.schedule.allocating import Allocating

TORCH = """
class OutOfMemoryError(RuntimeError):
    pass


class cuda:
    fraction = None

    @staticmethod
    def is_available():
        return True

    @staticmethod
    def get_device_properties(index):
        class Properties:
            total_memory = 8192 << 20
        return Properties

    @classmethod
    def set_per_process_memory_fraction(cls, fraction, device):
        cls.fraction = fraction
"""
SCRIPT = """
import json, sys
from dubd.schedule.footprint import keep_within, out_of_memory
sys.path.insert(0, sys.argv[1])
keep_within(2048)
before = "torch" in sys.modules
import json as other, torch
told = [out_of_memory(torch.OutOfMemoryError("x")), out_of_memory(RuntimeError("x"))]
print(json.dumps([before, torch.cuda.fraction, told, [type(f).__name__ for f in sys.meta_path]]))
"""


class Wrapped(Exception):
    """What an engine may raise from the real thing."""


@pytest.mark.parametrize(
    "error",
    [
        OutOfMemory("12 MiB"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("CUDA failed with error out of memory"),
        RuntimeError("cuBLAS error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
    ],
)
def test_what_libraries_say_of_a_full_card_is_recognised_as_a_cause_too(error: Exception) -> None:
    assert out_of_memory(error)
    wrapped = Wrapped("line 3")
    wrapped.__cause__ = error
    assert out_of_memory(wrapped)


@pytest.mark.parametrize("error", [None, MemoryError(), ValueError("out of memory of a line"), Wrapped("no")])
def test_other_errors_are_not(error: Exception | None) -> None:
    assert not out_of_memory(error)


@pytest.mark.parametrize(
    ("held", "peak", "told"),
    [
        (3000, 10_000, (3000, 10_000)),
        (None, 10_000, (0, 10_000)),
        (3000, None, (3000, 0)),
        (None, None, None),
    ],
)
def test_the_most_so_far_never_stands_for_what_is_held_now(
    held: int | None, peak: int | None, told: tuple[int, int] | None
) -> None:
    class Telling(Allocating):
        def held(self) -> int | None:
            return held

        def peak(self) -> int | None:
            return peak

    assert measured(Telling()) == told


def test_pytorch_is_capped_the_moment_an_engine_imports_it_and_not_imported_before(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text(TORCH)  # stands for the library, which takes gigabytes of disk
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 0, done.stderr
    before, fraction, told, finders = json.loads(done.stdout)
    assert not before
    assert fraction == 0.25
    assert told == [True, False]
    assert "_AfterTorch" not in finders
