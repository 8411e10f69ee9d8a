"""What may stand for `python:`, asked of the program itself."""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path

import pytest

from dubd.graph import interpreter


def program(folder: Path, text: str) -> Path:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_this_one_can_run_a_worker_also_by_a_name_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert interpreter.refusal(sys.executable) == ""
    assert interpreter.refusal(Path(sys.executable).name) == ""


def test_one_that_is_too_old_is_refused_with_both_versions(tmp_path: Path) -> None:
    old = program(tmp_path, "echo 3 8")
    assert interpreter.refusal(str(old)) == f"{old} is Python 3.8; at least 3.11 is needed"


@pytest.mark.parametrize("text", ["exit 1", "echo hello", "exec sleep 30"])
def test_a_program_that_fails_says_something_else_or_hangs_is_no_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(interpreter, "_PATIENCE", 0.5)
    other = program(tmp_path, text)
    assert interpreter.refusal(str(other)) == f"{other} is no Python that starts"


def test_it_is_run_once_and_again_when_it_has_changed(tmp_path: Path) -> None:
    python = program(tmp_path, f'echo >> "{tmp_path}/runs"; exec {sys.executable} "$@"')
    assert interpreter.refusal(str(python)) == interpreter.refusal(str(python)) == ""
    assert (tmp_path / "runs").read_text() == "\n"
    program(tmp_path, "exit 1")
    os.utime(python, (1, 1))
    assert interpreter.refusal(str(python)) == f"{python} is no Python that starts"


def test_the_oldest_is_that_of_the_package() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == ">=" + ".".join(map(str, interpreter.OLDEST))
