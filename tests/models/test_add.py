"""Files that a person brings: known by their bytes, never by their name."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from dubd.errors import DubdError, Exit
from dubd.models import store, sums
from dubd.models.add import add
from dubd.models.model import File, Model

GAN = b"the published bytes"
SUM = hashlib.sha256(GAN).hexdigest()
LIPS = Model("lips/gan", (File("gan.pth", None, len(GAN), SUM),), "research only", "http://lips.example")
LOOSE = Model("loose", (File("sub/net.pth", None), File("config.json", None, 2)), "MIT", "http://loose.example")


@pytest.fixture
def given(tmp_path: Path) -> Path:
    path = tmp_path / "download (1).bin"
    path.write_bytes(GAN)
    return path


def test_a_file_of_any_name_goes_where_its_bytes_belong(given: Path, models: Path) -> None:
    assert add(given, [LOOSE, LIPS]) == [models / "lips" / "gan" / "gan.pth"]
    assert (models / "lips" / "gan" / "gan.pth").read_bytes() == GAN
    assert store.lacking(LIPS) == ()
    assert given.read_bytes() == GAN
    assert [path.name for path in models.rglob("*") if path.is_file()] == ["gan.pth"]


def test_it_goes_to_every_model_that_has_it(given: Path, models: Path) -> None:
    other = Model("other", (File("x.bin", "http://x", len(GAN), SUM),), "MIT", "http://x")
    assert add(given, [LIPS, other]) == [models / "lips/gan/gan.pth", models / "other/x.bin"]


def test_what_is_in_place_already_is_left(models: Path) -> None:
    place = models / "lips" / "gan" / "gan.pth"
    place.parent.mkdir(parents=True)
    place.write_bytes(GAN)
    assert add(place, [LIPS]) == [place]
    assert place.read_bytes() == GAN


def test_it_replaces_what_was_wrong_there(given: Path, models: Path) -> None:
    place = models / "lips" / "gan" / "gan.pth"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"half")
    place.with_name("gan.pth.part").write_bytes(b"ha")
    add(given, [LIPS])
    assert place.read_bytes() == GAN
    assert not place.with_name("gan.pth.part").exists()


class TestStrangers:
    @pytest.mark.parametrize("wanted", [None, LIPS])
    def test_other_bytes_never_take_a_published_name(self, tmp_path: Path, models: Path, wanted: Model | None) -> None:
        path = tmp_path / "gan.pth"
        path.write_bytes(b"fine-tuned by me...")
        with pytest.raises(DubdError) as caught:
            add(path, [LIPS], wanted)
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        assert found in caught.value.reason
        assert f"lips/gan/gan.pth has {SUM}" in caught.value.reason
        assert caught.value.remedy == f"load it as your own, with model: {path} in the rule"
        assert caught.value.exit == Exit.USAGE
        assert not models.exists()

    def test_where_no_sum_is_published_ones_word_is_asked_for_and_taken(self, tmp_path: Path, models: Path) -> None:
        path = tmp_path / "net.pth"
        path.write_bytes(b"weights")
        with pytest.raises(DubdError, match="--as loose"):
            add(path, [LIPS, LOOSE])
        (place,) = add(path, [LIPS, LOOSE], LOOSE)
        assert place == models / "loose" / "sub" / "net.pth"
        assert sums.known(place, LOOSE.files[0]) == hashlib.sha256(b"weights").hexdigest()

    def test_but_not_for_a_file_of_another_size(self, tmp_path: Path) -> None:
        path = tmp_path / "config.json"
        path.write_bytes(b"{...}")
        with pytest.raises(DubdError, match="model: /"):
            add(path, [LOOSE], LOOSE)

    def test_a_file_that_is_not_there_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(DubdError, match="No such file"):
            add(tmp_path / "gan.pth", [LIPS])

    def test_where_many_models_have_a_file_of_that_name_the_line_stays_short(self, tmp_path: Path) -> None:
        path = tmp_path / "config.json"
        path.write_bytes(b"[]")
        models = [Model(f"m{n}", (File("config.json", None, 9, f"{n}" * 64),), "MIT", "http://m") for n in range(8)]
        other = Model("odd", LOOSE.files, "MIT", "http://odd.example")
        with pytest.raises(DubdError) as caught:
            add(path, [*models, LOOSE, other])
        assert caught.value.reason.endswith(
            "; 8 of them have another config.json (dubd models list --json has the sums)"
        )
        assert caught.value.remedy == "if its publisher gives no sum, say whose it is with --as MODEL: loose, odd"
        assert len(str(caught.value)) < 400
