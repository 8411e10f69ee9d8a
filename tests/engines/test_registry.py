"""Engines are found by name, and what declares them costs nothing to read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dubd.engines import registry
from dubd.errors import DubdError

READ_ALL = """
import json, sys
from dubd.engines import registry
found = [registry.find(stage, name).summary for stage in registry.STAGES for name in registry.names(stage)]
print(json.dumps([len(found), sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def test_no_heavy_library_is_imported_where_engines_are_only_named() -> None:
    done = subprocess.run([sys.executable, "-c", READ_ALL], capture_output=True, text=True, check=True)
    found, modules = json.loads(done.stdout)

    assert found >= len(registry.STAGES)
    assert not {"scipy", "cv2", "dlib", "pocketsphinx", "torch"} & set(modules)


def test_an_engine_that_cannot_be_imported_names_the_interpreter_that_lacks_something(tmp_path: Path) -> None:
    info = tmp_path / "broken-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[dubd.speak]\nbroken = broken:Broken\n")
    (tmp_path / "broken.py").write_text("import a_module_that_is_missing\n")
    sys.path.insert(0, str(tmp_path))
    try:
        with pytest.raises(DubdError) as caught:
            registry.find("speak", "broken")
    finally:
        sys.path.remove(str(tmp_path))
    assert str(caught.value) == (
        "the engine 'broken' for speak cannot be imported: No module named 'a_module_that_is_missing'; "
        f"install what is missing into the environment of {sys.executable}"
    )


def test_a_misspelt_engine_is_told_its_neighbour() -> None:
    with pytest.raises(DubdError, match=r"no engine 'espaek' for speak; did you mean espeak\?"):
        registry.find("speak", "espaek")


def test_a_rule_of_the_shipped_chain_is_read_without_a_numbers_library() -> None:
    """The daemon reads rules and computes nothing: 12 MiB that it has for months."""
    code = (
        "import sys; from pathlib import Path; from dubd.graph.rules import load;"
        "load(Path(sys.argv[1])); print(sorted({'numpy', 'scipy', 'cv2', 'soundfile'} & set(sys.modules)))"
    )
    rule = Path(__file__).parents[2] / "rules" / "lite.yaml"
    done = subprocess.run([sys.executable, "-c", code, rule], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
