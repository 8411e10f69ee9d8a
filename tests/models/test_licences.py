"""What a licence's words say about commercial use."""

from __future__ import annotations

import pytest

from dubd.engines import registry
from dubd.models.licences import commercial, together


@pytest.mark.parametrize("licence", ["MIT", "Apache-2.0", "GPL-3.0-or-later", "code BSL-1.0, model CC0-1.0"])
def test_it_is_allowed_where_every_part_allows_it(licence: str) -> None:
    assert commercial(licence) is True


@pytest.mark.parametrize(
    "licence",
    ["CC-BY-NC-4.0", "CC-BY-NC-4.0 (non-commercial)", "code MIT, weights CPML", "personal, research, noncommercial"],
)
def test_one_part_that_does_not_is_enough(licence: str) -> None:
    assert commercial(licence) is False


@pytest.mark.parametrize("licence", ["Acme-1.0", "MIT, weights Acme-1.0", "see the publisher's page", ""])
def test_what_is_not_in_the_table_is_not_known(licence: str) -> None:
    assert commercial(licence) is None


def test_an_engine_or_model_that_says_so_itself_goes_first() -> None:
    assert commercial("Acme-1.0", True) is True
    assert commercial("MIT", False) is False


def test_the_whole_is_as_free_as_its_least_free_part() -> None:
    assert together([True, None, False]) is False
    assert together([True, None]) is None
    assert together([True, True]) is True
    assert together([]) is True


def test_every_engine_and_model_that_comes_along_is_in_the_table() -> None:
    for stage in registry.STAGES:
        for name in registry.names(stage):
            engine = registry.find(stage, name)
            assert commercial(engine.licence, engine.commercial) is not None, engine.licence
            for model in engine.published.values():
                assert commercial(model.licence, model.commercial) is not None, model.licence
