"""A new engine is one file and one entry-point line: a tiny package is made, installed with pip, and used."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from dubd.schedule.ticket import Ticket
from dubd.schedule.workers import Pool

ENGINE = '''
"""Says everything backwards."""

from dataclasses import dataclass

from dubd.engines.contract import Engine, Translation


@dataclass(frozen=True)
class Params:
    mark: str = ""


class Backwards(Engine):
    name = "backwards"
    stage = "translate"
    summary = "every text from its end"
    licence = "CC0-1.0"
    Params = Params

    def load(self, device, params):
        self.mark = params.mark

    def run(self, batch):
        return [Translation(sentence.text[::-1] + self.mark) for sentence in batch]
'''
RULE = """
languages: {source: en, target: es}
stages:
  translate: {engine: backwards, mark: "!"}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the package."""
    folder = tmp_path_factory.mktemp("third")
    wheel = folder / "backwards-1.0-py3-none-any.whl"
    info = "backwards-1.0.dist-info"
    files = {
        "backwards.py": ENGINE,
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: backwards\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[dubd.translate]\nbackwards = backwards:Backwards\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    site = folder / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(pip, check=True)
    return site


def test_a_rule_may_name_it_and_its_parameters_are_checked(site: Path, tmp_path: Path) -> None:
    rule = tmp_path / "odd.yaml"
    rule.write_text(RULE)
    check = "import sys; from pathlib import Path; from dubd.graph import rules; print(rules.load(Path(sys.argv[1])))"
    command = [sys.executable, "-c", check, str(rule)]
    env = {"PYTHONPATH": f"{site}:{Path(__file__).parents[2]}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "engine='backwards'" in done.stdout
    rule.write_text(RULE.replace("mark", "marc"))
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert "unknown key 'marc'; did you mean mark?" in done.stderr


def test_a_worker_runs_it_in_the_real_stage(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(site))
    transcript = tmp_path / "transcript.json"
    line = {"id": "000-01", "start": 0.0, "end": 1.0, "speaker": "S1", "text": "abc", "confidence": 1.0, "words": []}
    transcript.write_text(json.dumps({"language": "en", "origin": "subtitles", "utterances": [line]}))
    ticket = Ticket(
        task="v:000/translate",
        stage="translate",
        engine="backwards",
        inputs={"transcript": str(transcript)},
        lists={},
        outputs={"translation": str(tmp_path / "translation.json")},
        params={"source": "en", "pivot": None, "target": "es", "mark": "!"},
        engine_params={"mark": "!"},
        cache=tmp_path,
    )
    pool = Pool(tmp_path / "log", limit=1)
    try:
        (outcome,) = pool.take(ticket).run([ticket], lambda *_: None)
    finally:
        pool.close()
    assert isinstance(outcome, dict), outcome
    assert json.loads((tmp_path / "translation.json").read_text())["utterances"][0]["text"] == "cba!"
