"""Models, from the outside: loaded, cut, doubled, forged, waited for."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models.shelf import Shelf, served
from tests.scenarios import weighed
from tests.scenarios.conftest import Home, lines_of
from tests.scenarios.test_doit import doit
from tests.scenarios.test_watch import Daemon

NEEDS = "needs weighed/small (1.4 MiB); dubd models pull quick"


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    """The server of the engine's models; the engine is installed for all that is started from here."""
    with served() as found:
        found.files = {
            "/w.bin": weighed.WEIGHTS,
            "/cdn/card": weighed.CARD,
        }
        found.links = {"/some/repo/resolve/f00d/card.json": "/cdn/card"}
        weighed.use(monkeypatch, weighed.install(tmp_path / "site", found.url), found.url)
        yield found


@pytest.fixture
def home(home: Home, shelf: Shelf) -> Home:  # noqa: ARG001  (its engine is installed)
    rule(home, "small")
    return home


def rule(home: Home, model: str) -> None:
    (home.root / "rules" / "quick.yaml").write_text(weighed.RULE % model)


def drop(home: Home, clips: Path) -> None:
    for suffix in (".srt", ".mp4"):
        shutil.copy(clips / f"talk{suffix}", home.root / "inbox" / f"talk{suffix}")


def dub(home: Home) -> str:
    (folder,) = home.videos()
    return (folder / "segments" / "000" / "translation.json").read_text()


class TestPull:
    def test_it_loads_what_a_rule_needs_says_so_in_lines_and_has_nothing_to_do_then(
        self, home: Home, shelf: Shelf
    ) -> None:
        done = home.dubd("models", "pull", "quick")
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == [
            "weighed/small/w.bin: 1.4 MiB",
            "weighed/small/w.bin: here, 1.4 MiB, checked",
        ]
        assert (home.root / "models" / "weighed" / "small" / "w.bin").read_bytes() == weighed.WEIGHTS
        shelf.asked.clear()
        again = home.dubd("models", "pull")
        assert "nothing to load: weighed/small" in again.stdout
        assert shelf.asked == []

    def test_a_models_own_name_will_do_and_a_slip_is_answered(self, home: Home) -> None:
        assert home.dubd("models", "pull", "weighed/hub").returncode == 0
        assert (home.root / "models" / "weighed" / "hub" / "card.json").read_bytes() == weighed.CARD
        for slip, meant in (("weighed/smal", "weighed/small"), ("quik", "quick")):
            done = home.dubd("models", "pull", slip)
            assert done.returncode == 2
            assert f"did you mean {meant}?" in lines_of(done)[0]

    def test_killed_in_the_middle_it_goes_on_from_there(self, home: Home, shelf: Shelf) -> None:
        gate = shelf.gates["/w.bin"] = threading.Event()
        process = home.start("models", "pull")
        part = home.root / "models" / "weighed" / "small" / "w.bin.part"
        end = time.monotonic() + 30
        while not (part.exists() and part.stat().st_size == 750_000) and time.monotonic() < end:
            time.sleep(0.02)
        process.kill()
        process.wait()
        gate.set()
        done = home.dubd("models", "pull")
        assert done.returncode == 0, done.stderr
        assert "732.4 KiB of it are here already" in done.stdout
        assert shelf.ranges_of("/w.bin") == [None, "bytes=750000-"]

    def test_terminated_before_the_first_byte_it_leaves_nothing(self, home: Home, shelf: Shelf) -> None:
        shelf.refusals["/w.bin"] = [503] * 9
        process = home.start("models", "pull")
        while not shelf.asked:
            time.sleep(0.02)
        process.terminate()
        assert process.wait(30) == 130
        assert not [path for path in (home.root / "models").rglob("*") if path.is_file()]

    def test_two_at_once_load_it_once(self, home: Home, shelf: Shelf) -> None:
        gate = shelf.gates["/w.bin"] = threading.Event()
        both = [Daemon(home.start("models", "pull"))]
        while not shelf.asked:
            time.sleep(0.02)
        both.append(Daemon(home.start("models", "pull", "quick")))
        both[1].wait_for("another process loads it: waiting")
        gate.set()
        assert [each.process.wait(30) for each in both] == [0, 0]
        assert len(shelf.asked) == 1

    def test_each_fault_is_one_line_with_a_remedy(self, home: Home, shelf: Shelf) -> None:
        good = shelf.files.pop("/w.bin")
        gone = home.dubd("models", "pull")
        assert gone.returncode == 1
        assert lines_of(gone) == [
            f"dubd: weighed/small/w.bin: {shelf.url}/w.bin is not there any more (404 Not Found); "
            "get w.bin at http://weighed.example, then: dubd models add w.bin"
        ]
        shelf.files["/w.bin"] = bytes(len(good))
        wrong = home.dubd("models", "pull")
        assert wrong.returncode == 1
        (line,) = lines_of(wrong)
        assert hashlib.sha256(good).hexdigest() in line
        assert hashlib.sha256(bytes(len(good))).hexdigest() in line
        assert not list((home.root / "models").rglob("w.bin*"))

    def test_without_a_network_there_is_one_line(self, home: Home, tmp_path: Path) -> None:
        site = weighed.install(tmp_path / "elsewhere", "https://models.invalid")
        done = home.dubd("models", "pull", environ={"PYTHONPATH": str(site), "HTTPS_PROXY": ""})
        assert done.returncode == 1
        (line,) = lines_of(done)
        assert "models.invalid cannot be reached" in line
        assert "then dubd models pull weighed/small" in line


class TestByHand:
    def test_what_has_no_link_is_asked_for_and_taken(self, home: Home, shelf: Shelf, tmp_path: Path) -> None:
        rule(home, "hidden")
        done = home.dubd("models", "pull")
        assert done.returncode == 1
        assert "get h.bin at http://weighed.example/ask, then: dubd models add h.bin" in lines_of(done)[0]
        assert shelf.asked == []
        given = tmp_path / "Download"
        given.write_bytes(weighed.HIDDEN)
        assert home.dubd("models", "add", given).returncode == 0
        assert (home.root / "models" / "weighed" / "hidden" / "h.bin").read_bytes() == weighed.HIDDEN
        given.write_bytes(b"forged")
        forged = home.dubd("models", "add", given, "--as", "weighed/hidden")
        assert forged.returncode == 2
        assert f"model: {given} in the rule" in lines_of(forged)[0]

    def test_ones_own_model_that_is_not_there_is_a_fault_of_the_rule(self, home: Home) -> None:
        rule(home, "./mine.bin")
        done = home.dubd("rules", "check")
        assert done.returncode == 3
        (line,) = lines_of(done)
        assert "quick.yaml:4: translate: no model at " in line
        for words in (("quick",), ()):
            pulled = home.dubd("models", "pull", *words)
            assert (pulled.returncode, pulled.stdout, lines_of(pulled)) == (3, "", [line])
        assert home.dubd("models", "verify").returncode == 1
        (home.root / "rules" / "mine.bin").write_bytes(b"12345")
        assert home.dubd("rules", "check").returncode == 0
        assert home.dubd("models", "verify").returncode == 0
        pulled = home.dubd("models", "pull", "quick")
        assert (pulled.returncode, pulled.stdout) == (0, "nothing to load: the models are files of your own\n")


def test_list_verify_and_path_tell_how_it_stands(home: Home) -> None:
    home.dubd("models", "pull", "weighed/small", "weighed/hub")
    rows = {row["name"]: row for row in json.loads(home.dubd("models", "list", "--json").stdout)}
    ours = {name: rows[name] for name in rows if name.startswith("weighed/")}
    assert {name: (row["state"], row["rules"]) for name, row in ours.items()} == {
        "weighed/small": ("here", ["quick"]),
        "weighed/hub": ("here", []),
        "weighed/hidden": ("absent", []),
    }
    shown = home.dubd("models", "list").stdout
    assert "1.4 MiB" in shown
    assert "CC-BY-NC-4.0" in shown
    folder = Path(home.dubd("models", "path", "weighed/hub").stdout.strip())
    assert folder == home.root / "models" / "weighed" / "hub"
    assert home.dubd("models", "path").stdout.strip() == str(home.root / "models")
    assert home.dubd("models", "verify").returncode == 0
    (folder / "card.json").write_bytes(weighed.CARD.replace(b"2", b"3"))  # its sum was remembered: the table has none
    bad = home.dubd("models", "verify")
    assert bad.returncode == 1
    assert f"rm {folder / 'card.json'} && dubd models pull weighed/hub" in bad.stdout


def test_licences_are_those_of_the_engines_and_models_that_the_rule_names(home: Home) -> None:
    free = json.loads(home.dubd("licences", "quick", "--json").stdout)
    assert free["commercial"] is True
    assert {(part["kind"], part["name"]) for part in free["parts"]} == {
        ("engine", "pocketsphinx"),
        ("engine", "weighed"),
        ("model", "weighed/small"),
        ("engine", "espeak"),
    }
    for model, says in (("hub", "NO commercial use (weighed/hub)"), ("hidden", "not known (weighed/hidden)")):
        rule(home, model)
        assert says in home.dubd("licences", "quick").stdout.splitlines()[-1]


class TestWaiting:
    def test_run_makes_what_it_can_tells_what_it_lacks_and_goes_on_after_the_pull(
        self, home: Home, clips: Path
    ) -> None:
        done = home.dubd("run", clips / "talk.mp4")
        (folder,) = home.videos()
        assert done.returncode == 3, done.stdout + done.stderr
        assert lines_of(done) == [f"dubd: {folder.name}: translate: {NEEDS}"]
        assert (folder / "segments" / "000" / "transcript.json").exists()
        (video,) = json.loads(home.dubd("status", "--json").stdout)["videos"]
        assert video["state"] == "waiting"
        waits = [task for task in video["waiting"] if task["model"]]
        assert [task["task"].rpartition("/")[2] for task in waits] == ["translate"]
        assert waits[0]["model"]["names"] == ["weighed/small"]
        assert f"waiting translate for a model: {NEEDS}" in home.dubd("status").stdout
        assert home.dubd("models", "pull").returncode == 0
        again = home.dubd("run", folder.name, "--json")
        assert again.returncode == 0, again.stderr
        states = {line["task"].partition(":")[2]: line["state"] for line in map(json.loads, again.stdout.splitlines())}
        assert states["000/transcribe"] == "skipped"
        assert states["000/translate"] == "ran"
        assert "1500000" in dub(home)

    def test_a_drop_starts_by_itself_after_the_pull(self, home: Home, clips: Path) -> None:
        drop(home, clips)
        daemon = Daemon(home.start("watch", "--settle", "0.2"))
        try:
            daemon.wait_for(NEEDS)
            daemon.wait_for("it waits for models")
            time.sleep(3)  # it has looked again meanwhile
            assert len([line for line in daemon.said if NEEDS in line]) == 1
            assert home.dubd("models", "pull").returncode == 0
            (folder,) = home.videos()
            daemon.wait_for(f"{folder / 'dubbed.es.mp4'} (")
            assert "1500000" in dub(home)
        finally:
            daemon.process.send_signal(signal.SIGTERM)
            assert daemon.process.wait(30) == 0

    def test_plain_doit_says_the_same_line(self, home: Home, clips: Path) -> None:
        home.dubd("run", clips / "talk.mp4")
        (folder,) = home.videos()
        lines = doit(home, code=3)
        assert f"wait {folder.name}: translate: {NEEDS}" in lines
        home.dubd("models", "pull")
        doit(home)
        assert (folder / "dubbed.es.mp4").exists()

    def test_a_video_whose_rule_was_edited_is_pulled_by_its_own_name(self, home: Home, clips: Path) -> None:
        home.dubd("models", "pull")
        home.dubd("run", clips / "talk.mp4")
        (folder,) = home.videos()
        path = folder / "rule.yaml"
        path.write_text(path.read_text().replace("model: small", "model: hidden"))
        done = home.dubd("run", folder.name)
        assert done.returncode == 3
        assert f"needs weighed/hidden (26 B); dubd models pull {folder.name}" in lines_of(done)[0]
        assert "get h.bin" in lines_of(home.dubd("models", "pull", folder.name))[0]

    def test_doctor_tells_which_rule_lacks_what(self, home: Home) -> None:
        found = json.loads(home.dubd("doctor", "--json").stdout)
        (lack,) = [each for each in found if "needs" in each["says"]]
        assert lack == {
            "what": "rule",
            "level": "bad",
            "says": "quick: translate needs weighed/small (1.4 MiB)",
            "remedy": "dubd models pull quick",
        }


def test_neither_the_command_line_nor_a_rule_imports_what_only_workers_need(home: Home) -> None:
    """Every installed engine is named by a rule in turn, and asked all that is asked outside a worker."""
    code = """
import sys
from pathlib import Path
import dubd.cli.main, dubd.service.daemon, dubd.service.standing, dubd.graph.doit_run, dubd.schedule.executor
from dubd.cli import doctor, licences, models
from dubd.engines import registry
from dubd.graph import needed, rules, steps
for stage in registry.STAGES:
    for name in registry.names(stage):
        path = Path(sys.argv[1], f"{stage}-{name}.yaml")
        text = "consent: true\\nlanguages: {source: en, target: es}\\nstages: {%s: {engine: %s}}"
        path.write_text(text % (stage, name))
        rule, faults = rules.check(path, ready=False)
        assert rule or not any("cannot be imported" in fault.reason for fault in faults), faults
        engine = registry.find(stage, name)
        engine.missing(), engine.revision()
        if rule:
            needed.of_rule(rule), licences.terms(rule)
            engine.vram(engine.Params(**getattr(rule.stages, stage).params), None)
list(needed.published())
heavy = {"torch", "torchaudio", "transformers", "TTS", "whisper", "faster_whisper", "ctranslate2"} & sys.modules.keys()
sys.exit(", ".join(sorted(heavy)) or 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, home.root / "rules"], env=home.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
