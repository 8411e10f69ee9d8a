"""Which cards and MIG instances CUDA_VISIBLE_DEVICES leaves."""

from __future__ import annotations

import pytest

from dubd.schedule.visible import visible

CARDS = [["GPU-8932f937", "GPU-8932f937"], ["GPU-11aa", "MIG-3c5e", "MIG-3d00"]]


@pytest.mark.parametrize(
    ("named", "left"),
    [
        (None, {"GPU-8932f937", "GPU-11aa", "MIG-3c5e", "MIG-3d00"}),
        ("GPU-89", {"GPU-8932f937"}),
        ("MIG-3c", {"MIG-3c5e"}),
        ("1", {"GPU-11aa", "MIG-3c5e", "MIG-3d00"}),  # a card stands for its instances
        (" 0 , MIG-3d00", {"GPU-8932f937", "MIG-3d00"}),
        ("none", set()),
        ("GPU-77,0", set()),
    ],
)
def test_indices_uuids_and_their_beginnings(named: str | None, left: set[str]) -> None:
    assert visible(named, CARDS) == left
