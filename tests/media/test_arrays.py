from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dubd.media import arrays


@pytest.fixture
def path(tmp_path: Path) -> Path:
    np.savez_compressed(tmp_path / "a.npz", a=np.arange(9000), b=np.zeros(2, np.int16))
    return tmp_path / "a.npz"


def test_what_was_written_is_read(path: Path) -> None:
    found = arrays.read(path)
    assert sorted(found) == ["a", "b"] and found["a"][-1] == 8999 and found["b"].dtype == np.int16


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda data: data[:-40],
        lambda data: data[:20],
        lambda data: data[:90] + bytes(90) + data[180:],
        lambda data: b"",  # noqa: ARG005
        lambda data: b"edited",  # noqa: ARG005
    ],
)
def test_bytes_that_are_damaged_are_one_kind_of_error(path: Path, spoilt: Callable[[bytes], bytes]) -> None:
    path.write_bytes(spoilt(path.read_bytes()))
    with pytest.raises(ValueError, match=r"\w"):
        arrays.read(path)


@pytest.mark.parametrize(("at", "value", "said"), [(0, 1, "password"), (2, 99, "compression method")])
def test_a_member_that_cannot_be_unpacked_here_is_the_same_kind(path: Path, at: int, value: int, said: str) -> None:
    data = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # flags and method, in both headers
        data[data.index(signature) + flags + at] = value
    path.write_bytes(data)
    with pytest.raises(ValueError, match=said):
        arrays.read(path)


def test_one_array_is_no_archive_and_objects_are_not_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(ValueError, match="one array"):
        arrays.read(tmp_path / "a.npy")
    np.savez(tmp_path / "a.npz", a=np.array([{}], object))
    with pytest.raises(ValueError, match="allow_pickle"):
        arrays.read(tmp_path / "a.npz")
