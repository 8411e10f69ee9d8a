"""Sidecars that are wrong, or are made to harm: a value or one clear line, soon, and nothing that they name is done."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dubd.engines import registry
from dubd.engines.contract import Engine
from dubd.errors import DubdError, Exit
from dubd.graph import rules, sidecar
from dubd.graph.rule import OWN_KEYS
from dubd.media import subtitles
from dubd.models.model import Model
from dubd.stages import glossary
from tests.hostile_texts import RULES, SUBTITLES

fuzz = settings(max_examples=120, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass(frozen=True)
class _Params:
    model: str = "tiny"
    program: str = ""
    clip: Path | None = None
    words: str = ""


class _Loads(Engine[Any, Any]):
    Params = _Params
    model_params = ("model",)
    published: ClassVar[Mapping[str, Model]] = {"tiny": Model("loads/tiny", (), "MIT", "")}
    operator_params = ("program",)


_KEYS = st.sampled_from((*registry.STAGES, *OWN_KEYS, "voice", "model"))


def _timed(text: str) -> bytes:
    return f"00:00:01,000 --> 00:00:02,000\n{text}".encode()


def refused(path: Path) -> list[DubdError]:
    """Everything that is wrong with a sidecar."""
    began = time.monotonic()
    rule, faults = rules.check(path, ready=True, beside=True)
    assert time.monotonic() - began < 5
    assert rule is None
    return faults


@pytest.mark.parametrize("name", RULES)
def test_a_rule_beside_a_drop_is_refused(name: str, tmp_path: Path) -> None:
    content, words = RULES[name]
    path = tmp_path / "talk.yaml"
    path.write_bytes(content)
    faults = refused(path)
    assert any(words in str(fault) for fault in faults), faults
    for fault in faults:
        assert "\n" not in str(fault)
        assert "talk.yaml" in str(fault)
        assert fault.exit is Exit.RULE


@pytest.mark.parametrize("name", SUBTITLES)
def test_subtitles_are_read_or_refused_soon(name: str, tmp_path: Path) -> None:
    content, words = SUBTITLES[name]
    path = tmp_path / "talk.srt"
    path.write_bytes(content)
    began = time.monotonic()
    if words is None:
        for cue in subtitles.read(path):
            assert cue.end > cue.start >= 0
    else:
        with pytest.raises(DubdError) as caught:
            subtitles.read(path)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
        assert caught.value.remedy
    assert time.monotonic() - began < 10


class TestSidecar:
    def test_an_interpreter_that_it_names_is_never_run(self, tmp_path: Path) -> None:
        evil = tmp_path / "evil"
        evil.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        evil.chmod(0o755)
        path = tmp_path / "talk.yaml"
        path.write_bytes(RULES["interpreter"][0])
        refused(path)
        assert not (tmp_path / "ran").exists()
        rules.check(path, ready=True)  # as a rule of the operator's it is: the test would tell
        assert (tmp_path / "ran").exists()

    def test_the_operator_may_trust_them_all(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "talk.yaml"
        path.write_bytes(RULES["never-hangs"][0])
        monkeypatch.setenv(sidecar.TRUST, "1")
        assert rules.load(path, beside=True, ready=False)

    def test_the_same_file_named_by_the_operator_is_taken(self, tmp_path: Path) -> None:
        path = tmp_path / "talk.yaml"
        path.write_bytes(RULES["never-hangs"][0])
        assert rules.load(path, ready=False)

    def test_a_glossary_beside_it_is_taken_but_no_link_to_one(self, tmp_path: Path) -> None:
        path = tmp_path / "talk.yaml"
        path.write_text(f"{'languages: {source: en, target: es}'}\nstages: {{translate: {{glossary: words.csv}}}}\n")
        (tmp_path / "words.csv").write_text("dub,doblar\n")
        assert rules.load(path, beside=True, ready=False).stages.translate.glossary == tmp_path / "words.csv"
        (tmp_path / "words.csv").rename(tmp_path / "others.csv")
        (tmp_path / "words.csv").symlink_to(tmp_path / "others.csv")
        (fault,) = refused(path)
        assert "symbolic link" in str(fault)
        assert sidecar.TRUST in fault.remedy

    @pytest.mark.parametrize(
        ("key", "value", "words"),
        [
            ("model", "tiny", None),
            ("model", "huge", "a published model"),
            ("model", "weights.pth", "a published model"),
            ("model", ["tiny"], "a published model"),
            ("program", "rm", "is for the operator"),
            ("clip", "voice.wav", "is a path"),
            ("words", "a/b", "is a path"),
            ("words", {"a": ["~root"]}, "is a path"),
            ("words", "plain", None),
        ],
    )
    def test_an_engine_says_what_of_its_parameters_is_the_operators(
        self, key: str, value: object, words: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(registry, "find", lambda *_: _Loads)
        found = list(sidecar.forbidden({"stages": {"speak": {"engine": "loads", key: value}}}, tmp_path))
        assert [where for where, _ in found] == ([("stages", "speak", key)] if words else [])
        assert all(words and words in reason for _, reason in found)

    @pytest.mark.parametrize("engine", ["external", "videoretalking"])
    @pytest.mark.parametrize("key", ["repo", "python", "args", "env", "files", "needs", "leaves", "check"])
    def test_it_runs_no_program_of_its_own(self, engine: str, key: str, tmp_path: Path) -> None:
        stage = {"engine": engine, key: "x"}
        ((where, reason),) = sidecar.forbidden({"stages": {"lipsync": stage}}, tmp_path)
        assert where == ("stages", "lipsync", key)
        assert "is for the operator" in reason

    def test_aliases_that_do_not_multiply_are_taken(self, tmp_path: Path) -> None:
        path = tmp_path / "talk.yaml"
        path.write_text("languages: &l {source: en, target: es}\nstages: {lipsync: &n {engine: none}, restore: *n}\n")
        assert rules.load(path, ready=False).stages.restore.engine == "none"


class TestAnyBytes:
    @fuzz
    @given(st.binary(max_size=2_000) | st.text("[]{}&*!:-?,#|>'\"%@` \n\tab1.~é", max_size=300).map(str.encode))
    def test_are_a_rule_or_a_fault(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "talk.yaml"
        path.write_bytes(content)
        rule, faults = rules.check(path, ready=False, beside=True)
        assert rule or faults

    @settings(fuzz, max_examples=60)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS | st.text(max_size=3), inner, max_size=4),
        )
    )
    def test_any_values_under_the_keys_of_a_rule_too(self, tmp_path: Path, data: object) -> None:
        path = tmp_path / "talk.yaml"
        path.write_text(yaml.safe_dump({"languages": {"source": "en", "target": "es"}, "stages": data}))
        for trusting in (False, True):
            rule, faults = rules.check(path, ready=False, beside=not trusting)
            assert rule or faults

    @fuzz
    @given(st.binary(max_size=2_000) | st.text("0123:,.-> \nabc[]()<>♪#{}\\&;", max_size=300).map(_timed))
    def test_are_subtitles_or_a_fault(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "talk.srt"
        path.write_bytes(content)
        with contextlib.suppress(DubdError):
            assert subtitles.read(path)

    @fuzz
    @given(st.binary(max_size=2_000) | st.text("a,;\t\"'\n#", max_size=200).map(str.encode))
    def test_are_a_glossary_or_a_fault(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "words.csv"
        path.write_bytes(content)
        with contextlib.suppress(DubdError):
            glossary.read(path)
