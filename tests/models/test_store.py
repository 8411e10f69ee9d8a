"""Where models lie, what is not here, and what their identity follows."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubd.models import store
from dubd.models.model import HUB, File, Model, Own, chosen, from_hub, own

SUM = "a" * 64


def test_models_lie_in_one_folder_for_all_checkouts() -> None:
    assert store.root({"DUBD_MODELS": "/srv/models"}) == Path("/srv/models")
    assert store.root({"XDG_CACHE_HOME": "/var/cache"}) == Path("/var/cache/dubd/models")


def test_a_file_of_another_size_is_lacking_and_so_is_an_empty_one_of_unknown_size(models: Path) -> None:
    known, unknown = File("a.pt", "http://x/a.pt", 4, SUM), File("b/c.json", "http://x/c.json")
    model = Model("whisper/tiny", (known, unknown), "MIT", "http://x")
    assert store.lacking(model) == (known, unknown)
    folder = models / "whisper" / "tiny"
    (folder / "b").mkdir(parents=True)
    (folder / "a.pt").write_bytes(b"123")
    (folder / "b" / "c.json").touch()
    assert store.lacking(model) == (known, unknown)
    (folder / "a.pt").write_bytes(b"1234")
    (folder / "b" / "c.json").write_bytes(b"{}")
    assert store.lacking(model) == ()


def test_a_published_model_is_known_by_its_revision_or_its_sums_and_not_by_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    summed = Model("wav2lip", (File("w.pth", None, 1, SUM),), "research", "http://x")
    pinned = from_hub("nllb", "some/repo", "f00d", (File("config.json"),), "CC-BY-NC-4.0")
    assert pinned.files[0].url == f"{HUB}/some/repo/resolve/f00d/config.json"
    before = store.identity(summed), store.identity(pinned)
    monkeypatch.setenv("DUBD_MODELS", "/elsewhere")
    assert (store.identity(summed), store.identity(pinned)) == before
    assert store.identity(pinned) == "nllb@f00d"
    other = Model("wav2lip", (File("w.pth", None, 1, "b" * 64),), "research", "http://x")
    assert store.identity(other) != store.identity(summed)


@pytest.mark.parametrize("choice", ["large-v3", "facebook/nllb-200-distilled-600M"])
def test_a_name_is_no_path(choice: str) -> None:
    assert own(choice) is None


def test_a_model_of_ones_own_is_known_by_its_content_wherever_it_lies(tmp_path: Path) -> None:
    here = own(f"{tmp_path}/here")
    assert here == Own(tmp_path / "here")
    assert store.lacking(here) != ()
    assert store.identity(here) == "absent"
    for name in ("here", "there"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / "model.bin").write_bytes(b"weights")
    first = store.identity(here)
    assert store.identity(Own(tmp_path / "there")) == first
    assert store.lacking(here) == ()
    (tmp_path / "here" / "sub" / "model.bin").write_bytes(b"others!")
    assert store.identity(here) != first


def test_a_file_of_ones_own_may_have_any_name(tmp_path: Path) -> None:
    (tmp_path / "mine.bin").touch()
    assert store.file(Own(tmp_path / "mine.bin"), "wav2lip.pth") == tmp_path / "mine.bin"
    assert store.file(Own(tmp_path), "wav2lip.pth") == tmp_path, "a folder without it: it is told as the rule has it"
    (tmp_path / "wav2lip.pth").touch()
    assert store.file(Own(tmp_path), "wav2lip.pth") == tmp_path / "wav2lip.pth"
    assert store.file(Own(tmp_path / "gone.bin"), "wav2lip.pth") == tmp_path / "gone.bin"


def test_a_misspelt_model_is_answered_with_the_nearest_name() -> None:
    published = {name: Model(f"whisper/{name}", (), "MIT", "http://x") for name in ("small", "large-v3")}
    assert chosen("small", published) is published["small"]
    assert chosen("/srv/own.pt", published) == Own(Path("/srv/own.pt"))
    with pytest.raises(ValueError, match="did you mean large-v3"):
        chosen("large-v2", published)


@pytest.mark.parametrize(
    ("sizes", "said"), [((2048, 1024), "3.0 KiB"), ((2048, None), "at least 2.0 KiB"), ((None,), "")]
)
def test_a_size_is_told_as_far_as_it_is_known(sizes: tuple[int | None, ...], said: str) -> None:
    assert store.size_said(File(str(n), None, size) for n, size in enumerate(sizes)) == said
