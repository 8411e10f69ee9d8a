"""What a task's key says has changed: in the words of a rule, a line for each cause."""

from __future__ import annotations

from typing import Any

from dubd.graph.tasks import Key


def key(**engine: Any) -> dict[str, Any]:
    made = {"name": "external", "revision": "1", "params": {"pad": 0.1}, "precision": None, **engine}
    return {"version": "1", "params": {"rate": "25/1"}, "engine": made}


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return Key(new).differences({"key": old})


def test_a_parameter_is_told_with_what_it_was_and_is() -> None:
    assert differences(key(), key(params={"pad": 0.2})) == ["pad: 0.1 -> 0.2"]


def test_another_engine_is_one_line_and_not_one_for_each_of_its_parameters() -> None:
    other = key(name="mouths", revision="2", params={"min_face": 60, "memory": 192})
    assert differences(key(), other) == ['engine: "external" -> "mouths"']
    assert differences({"version": "1", "params": {"rate": "25/1"}}, key()) == ['engine: null -> "external"']


def test_another_content_of_a_model_is_told_in_words_and_not_in_digests() -> None:
    found = differences(key(models=["c6d4" * 16]), key(models=["f6b8" * 16], params={"pad": 0.2}))
    assert found == ["engine.models: other files, or files with other content", "pad: 0.1 -> 0.2"]
