"""What an engine finds out about its room."""

from __future__ import annotations

import pytest

from dubd.engines.contract import OutOfMemory, Room


class TestRoom:
    def test_as_many_items_as_fit_beside_the_model_and_no_more_than_a_batch(self) -> None:
        assert [Room(mib, batch=4).items(per_item=100, fixed=500) for mib in (600, 799, 800, 5000)] == [1, 2, 3, 4]

    def test_on_the_cpu_a_batch(self) -> None:
        assert Room(None, batch=4).items(per_item=1e9, fixed=0) == 4

    def test_where_not_even_one_fits_both_numbers_are_told(self) -> None:
        with pytest.raises(OutOfMemory, match="one item takes 600 MiB, the lease is 599"):
            Room(599, batch=4).items(per_item=100, fixed=500)

    def test_an_item_takes_something(self) -> None:
        with pytest.raises(ValueError, match="an item takes 0 MiB"):
            Room(600, batch=4).items(per_item=0, fixed=500)
