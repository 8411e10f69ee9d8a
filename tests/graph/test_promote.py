"""Putting an artifact in its place: a hand edit is never overwritten, however late it is saved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dubd.graph import promote as module
from dubd.graph.promote import promote
from dubd.graph.state import State
from dubd.graph.temporary import Temporaries


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State(tmp_path)
    yield state
    state.close()


def put(state: State, *texts: str) -> list[str]:
    """Make artifacts a, b, ... anew; the names of those that were put beside a hand edit."""
    outputs = {name: str(state.folder / f"{name}.json") for name, _ in zip("abc", texts, strict=False)}
    temporary = Temporaries(state.folder).lend(outputs)
    for path, text in zip(temporary.values(), texts, strict=True):
        Path(path).write_text(text)
    return [Path(path).name for path in promote(state, outputs, temporary)]


@pytest.mark.parametrize("moment", ["while the outputs are synced", "after the target was looked at"])
def test_an_edit_that_is_saved_late_is_kept(state: State, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    put(state, "old")
    target = state.folder / "a.json"
    owner, name = (module, "_sync") if moment.startswith("while") else (State, "set_made")
    whole = getattr(owner, name)

    def save(*words: object) -> None:
        whole(*words)
        if target.read_text() == "old":
            target.write_text("mine")

    monkeypatch.setattr(owner, name, save)
    assert put(state, "new") == ["a.new.json"]
    assert target.read_text() == "mine"
    assert (state.folder / "a.new.json").read_text() == "new"


def test_a_touch_meanwhile_is_no_edit(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    put(state, "old")
    whole = State.set_made

    def touch(*words: object) -> None:
        whole(*words)  # type: ignore[arg-type]
        (state.folder / "a.json").touch()
        monkeypatch.setattr(State, "set_made", whole)

    monkeypatch.setattr(State, "set_made", touch)
    assert put(state, "new") == []
    assert (state.folder / "a.json").read_text() == "new"


def test_nothing_is_put_anywhere_where_one_output_cannot_be_synced(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sync(path: str) -> None:
        if path.endswith("b.json"):
            raise OSError(28, "No space left on device")

    put(state, "old", "old")
    monkeypatch.setattr(module, "_sync", sync)
    with pytest.raises(OSError, match="No space"):
        put(state, "new", "new")
    assert [(state.folder / name).read_text() for name in ("a.json", "b.json")] == ["old", "old"]
