"""No part of dubd hands a command to a shell, text to an interpreter, or a file to an ffmpeg without bounds.

All of it is read from its own source.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import dubd

SOURCES = sorted(Path(dubd.__file__).parent.rglob("*.py"))
FORBIDDEN = {
    *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"),
    *("asyncio.create_subprocess_shell", "pty.spawn", "eval", "exec", "pickle.load", "pickle.loads"),
    *("marshal.loads", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "shelve.open", "xml.etree.ElementTree.parse"),
}


def faults(source: str) -> Iterator[str]:
    """Calls that start a shell, or run or unpickle what they are given."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            if (name := ast.unparse(node.func)) in FORBIDDEN:
                yield f"line {node.lineno}: {name}"
            for word in node.keywords:
                if word.arg == "shell" and not (isinstance(word.value, ast.Constant) and word.value.value is False):
                    yield f"line {node.lineno}: shell="
                if word.arg == "weights_only" and ast.unparse(word.value) != "True":
                    yield f"line {node.lineno}: weights_only="


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(SOURCES[0].parent)))
def test_it_starts_no_shell(path: Path) -> None:
    assert list(faults(path.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    "text", ["import os\nos.system('x')", "subprocess.run('x', shell=True)", "run(x, shell=y)", "eval('1')"]
)
def test_the_search_finds_what_it_looks_for(text: str) -> None:
    assert list(faults(text))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(SOURCES[0].parent)))
def test_every_file_that_ffmpeg_reads_is_given_to_it_within_bounds(path: Path) -> None:
    found = re.findall(r'"-i", +(?!"pipe:0")(.*)', path.read_text("utf-8"))
    assert found == (["url(path))"] if path.name == "ffmpeg.py" else [])  # that one is `given`
