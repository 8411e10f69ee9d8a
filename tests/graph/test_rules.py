"""Rules: reading, telling what is wrong, choosing one for a drop."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dubd.engines import registry
from dubd.errors import DubdError, Exit
from dubd.graph.rules import Rules, check, dump, load, with_clip

sys.path.insert(0, str(Path(__file__).parent))
from plugin import installed

STAGES = """\
stages:
  transcribe: {engine: hear}
  translate: {engine: turn}
  speak: {engine: say}
  faces: {engine: look}
  lipsync: {engine: lips}
  restore: {engine: clear}
"""
BASE = "languages: {source: en, target: es}\n" + STAGES


@pytest.fixture(autouse=True)
def _engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed(tmp_path_factory.mktemp("plugin")):
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rules = tmp_path / "rules"
    rules.mkdir()
    return rules


def write(folder: Path, text: str, name: str = "talk.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def only(path: Path) -> str:
    rule, faults = check(path)
    assert rule is None
    assert len(faults) == 1, faults
    assert faults[0].exit == Exit.RULE
    line = str(faults[0])
    assert "\n" not in line
    return line


class TestReading:
    def test_what_is_left_out_takes_its_default(self, folder: Path) -> None:
        rule = load(write(folder, BASE))
        assert rule.name == "talk"
        assert rule.languages.target == ("es",)
        assert (rule.segments.target, rule.segments.min, rule.segments.max) == (20, 8, 30)
        assert rule.output.subtitles == ("srt", "vtt")
        assert rule.output.loudness == -16
        assert rule.clip is None

    def test_parameters_are_completed_so_that_keys_are_canonical(self, folder: Path) -> None:
        plain = load(write(folder, BASE))
        said = load(write(folder, BASE.replace("{engine: say}", "{engine: say, style: calm, pitch: 1}"), "said.yaml"))
        assert plain.stages.speak.params == {
            "voice": "plain",
            "pitch": 1.0,
            "breaths": [2, 3],
            "style": "calm",
            "precision": "fp32",
        }
        assert repr(said.stages.speak.params) == repr(plain.stages.speak.params)

    def test_two_words_for_one_engine_are_one(self, folder: Path) -> None:
        rule = load(write(folder, BASE.replace("engine: lips", "engine: mouth")))
        assert rule.stages.lipsync.engine == "lips"

    def test_how_a_stage_runs_stays_out_of_its_parameters(self, folder: Path) -> None:
        rule = load(
            write(folder, BASE.replace("{engine: hear}", "{engine: hear, vram: 1.5 GiB, batch: 4, workers: 2}"))
        )
        stage = rule.stages.transcribe
        assert stage.params == {}
        assert (stage.vram, stage.batch, stage.workers) == (1536, 4, 2)

    def test_a_precision_that_the_engine_declares_is_in_its_parameters(self, folder: Path) -> None:
        rule = load(write(folder, BASE.replace("{engine: say}", "{engine: say, precision: fp16}")))
        assert rule.stages.speak.params["precision"] == "fp16"

    def test_norwegian_is_not_false(self, folder: Path) -> None:
        assert load(write(folder, BASE.replace("target: es", "target: [no, es]"))).languages.target == ("no", "es")

    @pytest.mark.parametrize(
        ("start", "seconds"), [("15", 15), ('"00:15"', 15), ("00:15", 15), ("1:15", 75), ('"1:02:03.5"', 3723.5)]
    )
    def test_a_clip_starts_where_a_person_writes_it(self, folder: Path, start: str, seconds: float) -> None:
        rule = load(write(folder, BASE + f"clip: {{start: {start}, duration: 10}}\n"))
        assert rule.clip is not None
        assert rule.clip.start == seconds

    def test_what_is_dumped_reads_back_equal_from_anywhere(self, folder: Path, tmp_path: Path) -> None:
        write(folder, "red,rojo\n", "terms.csv")
        text = BASE.replace("{engine: turn}", "{engine: turn, glossary: terms.csv}").replace("{engine: clear}", "none")
        text = text.replace("target: es", "target: [no, es]") + 'clip: {start: "1:15", duration: 10}\nmatch: "a*"\n'
        rule = load(write(folder, text))
        copy = tmp_path / "rule.yaml"
        copy.write_text(dump(rule))
        assert load(copy) == rule
        assert dump(load(copy)) == dump(rule)
        assert rule.stages.translate.glossary == folder / "terms.csv"

    def test_a_clip_from_the_command_line(self, folder: Path) -> None:
        rule = with_clip(load(write(folder, BASE)), "00:15+1:00")
        assert rule.clip is not None
        assert (rule.clip.start, rule.clip.duration) == (15, 60)

    @pytest.mark.parametrize("text", ["15", "a+b", "3+0", "-1+3", ""])
    def test_a_clip_that_is_none_is_a_usage_error(self, folder: Path, text: str) -> None:
        with pytest.raises(DubdError) as caught:
            with_clip(load(write(folder, BASE)), text)
        assert caught.value.exit == Exit.USAGE


class TestFaults:
    @pytest.mark.parametrize(
        ("old", "new", "line", "words"),
        [
            ("{engine: say}", "{engine: say, vioce: x}", 5, ["speak", "'vioce'", "did you mean voice?"]),
            ("{engine: say}", "{engine: sya}", 5, ["speak", "'sya'", "did you mean say?"]),
            ("{engine: say}", "{engine: say, pitch: high}", 5, ["speak", "pitch", "number", "'high'"]),
            ("{engine: say}", "{engine: say, pitch: 0}", 5, ["speak", "pitch must be above 0"]),
            ("{engine: say}", "{engine: say, style: mad}", 5, ["'calm' or 'lively'"]),
            ("{engine: say}", "{engine: say, voice: clone}", 5, ["consent"]),
            ("{engine: say}", "{engine: none}", 5, ["speak", "cannot be left out"]),
            ("{engine: say}", "{engine: say, batch: true}", 5, ["batch", "integer", "True"]),
            ("{engine: hear}", "{engine: hear, vram: lots}", 3, ["vram", "10 GiB"]),
            ("{engine: turn}", "{engine: turn, glossary: no.csv}", 4, ["no glossary at", "relative to the rule file"]),
            ("{engine: lips}", "{engine: absent}", 7, ["lipsync", "cannot run here", "pip install absent"]),
            ("  speak:", "  speek:", 5, ["'speek'", "did you mean speak?"]),
            ("source: en", "sorce: en", 1, ["'sorce'", "did you mean source?"]),
            (
                "source: en, target: es",
                "source: kn, target: hi",
                1,
                ["turn (translate)", "kn -> hi", "only to and from"],
            ),
            ("target: es", "target: [es, en]", 1, ["spoken already"]),
            ("target: es", "target: Spanish", 1, ["languages.target", "'Spanish'"]),
            ("languages:", "langauges: {}\nlanguages:", 1, ["'langauges'", "did you mean languages?"]),
            ("stages:", "segments: {min: 40}\nstages:", 2, ["min <= target <= max"]),
            ("stages:", "output: {loudnes: -16}\nstages:", 2, ["'loudnes'", "did you mean loudness?"]),
            ("stages:", "default: true\ndefault: false\nstages:", 3, ["'default' stands twice"]),
            ("stages:", "clip: {start: soon, duration: 3}\nstages:", 2, ["clip.start", "1:02:03.5", "'soon'"]),
            ("stages:", "output: [\nstages:", 4, ["not YAML"]),
        ],
    )
    def test_one_line_with_the_place_and_the_remedy(
        self, folder: Path, old: str, new: str, line: int, words: list[str]
    ) -> None:
        assert old in BASE
        path = write(folder, BASE.replace(old, new))
        faults = check(path)[1]
        text = str(faults[0])
        assert "\n" not in text
        assert text.startswith(f"{path}:{line}"), text
        for word in words:
            assert word in text

    def test_every_fault_is_told(self, folder: Path) -> None:
        text = BASE.replace("{engine: say}", "{engine: say, vioce: x}").replace("{engine: hear}", "{engine: heer}")
        faults = check(write(folder, text + "outptu: {}\n"))[1]
        assert [fault.stage for fault in faults] == ["transcribe", "speak", None]

    def test_a_missing_file(self, folder: Path) -> None:
        assert "no such rule file" in only(folder / "no.yaml")

    def test_bytes_that_are_no_text(self, folder: Path) -> None:
        path = folder / "talk.yaml"
        path.write_bytes(b"\xff\xfe\x00")
        assert "UTF-8" in only(path)

    def test_an_empty_file(self, folder: Path) -> None:
        assert "mapping" in only(write(folder, ""))

    def test_a_pivot_splits_the_pair(self, folder: Path) -> None:
        text = BASE.replace("source: en, target: es", "source: kn, pivot: en, target: hi")
        assert load(write(folder, text)).languages.steps("hi") == (("kn", "en"), ("en", "hi"))


class TestForDrop:
    @pytest.fixture
    def inbox(self, tmp_path: Path) -> Path:
        inbox = tmp_path / "inbox"
        (inbox / "kannada").mkdir(parents=True)
        return inbox

    @pytest.fixture
    def rules(self, folder: Path) -> Rules:
        write(folder, "default: true\n" + BASE, "lite.yaml")
        write(folder, BASE, "kannada.yaml")
        write(folder, "match: ['*_kn.*', 'course/*']\n" + BASE, "match.yaml")
        return Rules(folder)

    def test_the_order(self, rules: Rules, inbox: Path) -> None:
        assert rules.for_drop(inbox / "a.mp4", inbox).name == "lite"
        assert rules.for_drop(inbox / "a_kn.mp4", inbox).name == "match"
        assert rules.for_drop(inbox / "course" / "a.mp4", inbox).name == "match"
        assert rules.for_drop(inbox / "kannada" / "a_kn.mp4", inbox).name == "kannada"
        assert rules.for_drop(inbox / "kannada" / "deep" / "a.mp4", inbox).name == "kannada"
        write(inbox / "kannada", BASE, "a_kn.yaml")
        assert rules.for_drop(inbox / "kannada" / "a_kn.mp4", inbox).name == "a_kn"

    def test_a_slip_in_a_folder_name_is_told_and_a_plain_folder_is_not(self, rules: Rules, inbox: Path) -> None:
        assert rules.for_drop(inbox / "holiday" / "a.mp4", inbox).name == "lite"
        with pytest.raises(DubdError, match="did you mean kannada"):
            rules.for_drop(inbox / "kanada" / "a.mp4", inbox)

    def test_a_broken_rule_fails_only_its_own_drops(self, rules: Rules, inbox: Path) -> None:
        write(rules.folder, "match: ['*_kn.*']\nbad: 1\n" + BASE, "match.yaml")
        write(rules.folder, "languages: [", "broken.yaml")
        assert rules.for_drop(inbox / "a.mp4", inbox).name == "lite"
        with pytest.raises(DubdError, match="'bad'"):
            rules.for_drop(inbox / "a_kn.mp4", inbox)

    def test_no_rule_and_two_defaults(self, rules: Rules, inbox: Path) -> None:
        write(rules.folder, "default: true\n" + BASE, "other.yaml")
        with pytest.raises(DubdError, match=r"lite\.yaml and other\.yaml both"):
            rules.for_drop(inbox / "a.mp4", inbox)
        for name in ("other.yaml", "lite.yaml"):
            (rules.folder / name).unlink()
        with pytest.raises(DubdError, match="none is the default"):
            rules.for_drop(inbox / "a.mp4", inbox)

    def test_a_name(self, rules: Rules) -> None:
        assert rules.named("kannada").name == "kannada"
        with pytest.raises(DubdError, match="did you mean kannada"):
            rules.named("kanada")
        assert [rule.name for rule in rules.all()] == ["kannada", "lite", "match"]


class TestPython:
    def test_an_interpreter_that_is_not_there_is_told_in_one_line(self, folder: Path) -> None:
        path = write(folder, BASE.replace("{engine: say}", "{engine: say, python: other/bin/python}"))
        assert only(path).startswith(f"{path}:5: speak: no program that can be run at {folder}/other/bin/python; ")

    def test_a_file_that_cannot_be_executed_is_none(self, folder: Path) -> None:
        (folder / "python").write_text("")
        assert "no program that can be run" in only(
            write(folder, BASE.replace("{engine: say}", "{engine: say, python: ./python}"))
        )

    def test_a_program_that_is_no_python_is_refused(self, folder: Path) -> None:
        path = write(folder, BASE.replace("{engine: say}", "{engine: say, python: bash}"))
        assert only(path).startswith(f"{path}:5: speak: bash is no Python that starts; ")

    def test_a_link_stays_one_and_the_path_holds_wherever_the_rule_is_put(self, folder: Path) -> None:
        (folder / "python").symlink_to(sys.executable)
        rule = load(write(folder, BASE.replace("{engine: say}", "{engine: say, python: ../rules/python}")))
        assert rule.stages.speak.python == folder / "python"
        elsewhere = folder / "copies"
        elsewhere.mkdir()
        assert load(write(elsewhere, dump(rule))) == rule


def test_a_precision_that_an_engine_does_not_run_in_is_refused_with_those_that_it_does(folder: Path) -> None:
    path = folder / "talk.yaml"
    path.write_text(BASE.replace("{engine: turn}", "{engine: nllb, precision: int8}"))
    (fault,) = check(path, ready=False)[1]
    assert fault.reason == "nllb does not run in 'int8'"
    assert fault.remedy == "precision: fp32 or fp16 or bf16"
    assert str(fault.file).endswith("talk.yaml:4")


@pytest.mark.parametrize(
    ("stage", "given", "told"),
    [
        (
            "translate",
            "{engine: nllb, model: nlb, beams: 20, alternatives: 17, precision: int8}",
            [
                "nllb does not run in 'int8'",
                "beams: between",
                "alternatives: fewer than the 16",
                "no model 'nlb': known",
            ],
        ),
        (
            "speak",
            "{engine: xtts, model: xtts_v3, temperature: 0, top_p: 2, retries: none, voise: x}",
            ["unknown key 'voise'", "retries: input", "temperature must", "top_p must", "no model 'xtts_v3': did you"],
        ),
        ("restore", "{engine: codeformer, fidelity: 2, blend: -1, sharp: -1}", ["fidelity is", "blend is", "sharp is"]),
        ("lipsync", "{engine: wav2lip, mel_shift: 2, pads: [9, 0, 0, 0]}", ["mel_shift is", "pads are"]),
        (
            "lipsync",
            "{engine: external, repo: nowhere, args: [a.py], fps: -1, fallback: wav3lip}",
            ["the program is not told", "repo: 'nowhere'", "fps is 0 or more", "fallback: no engine 'wav3lip'"],
        ),
        ("lipsync", "{engine: external, repo: 3, fps: -1}", ["repo: input", "args is missing"]),
    ],
)
def test_every_faulty_parameter_of_a_stage_is_told_at_once_a_line_each(
    folder: Path, stage: str, given: str, told: list[str]
) -> None:
    path = folder / "talk.yaml"
    rest = {"translate": "nllb", "speak": "xtts", "lipsync": "none", "restore": "none"} | {stage: given}
    lines = "".join(f"  {name}: {value}\n" for name, value in rest.items())
    path.write_text(f"languages: {{source: en, target: es}}\nstages:\n{lines}")
    rule, faults = check(path, ready=False)
    assert rule is None
    assert [next((part for part in told if part in str(fault)), str(fault)) for fault in faults] == told
    assert all("\n" not in str(fault) and fault.stage == stage for fault in faults)


@pytest.mark.parametrize(("top_p", "told"), [("2", "top_p must be"), ("high", "stages.speak.top_p: ")])
def test_a_faulty_parameter_does_not_hide_that_a_model_of_ones_own_is_not_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch, top_p: str, told: str
) -> None:
    monkeypatch.setattr(registry.find("speak", "xtts"), "missing", lambda: None)
    text = BASE.replace("{engine: say}", f"{{engine: xtts, model: ./mine, top_p: {top_p}}}")
    first, second = (fault.reason for fault in check(write(folder, text))[1])
    assert first.startswith(told) and second == f"no model at {folder}/mine"


@pytest.mark.parametrize(
    ("stage", "engine", "one", "remedy"),
    [
        ("transcribe", "whisper", True, "name the file itself"),
        ("transcribe", "faster-whisper", False, "name such a folder: docs/engines tells what faster-whisper loads"),
        ("translate", "nllb", False, "name such a folder: docs/engines tells what nllb loads"),
        ("speak", "xtts", False, "name such a folder: docs/engines tells what xtts loads"),
        ("lipsync", "wav2lip", True, "name the file itself"),
        ("restore", "codeformer", True, "name the file itself"),
    ],
)
def test_a_folder_for_a_model_of_one_file_and_a_file_for_one_of_several_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, stage: str, engine: str, one: bool, remedy: str
) -> None:
    monkeypatch.setattr(registry.find(stage, engine), "missing", lambda: None)
    (folder / "file").write_bytes(b"weights")
    (folder / "folder").mkdir()
    right, wrong = ("file", "folder") if one else ("folder", "file")
    text = f"languages: {{source: en, target: es}}\nstages:\n  {stage}: {{engine: {engine}, model: ./%s}}\n"
    assert check(write(folder, text % right))[1] == []
    (fault,) = check(write(folder, text % wrong))[1]
    loads = "a model of one file" if one else "a folder with the files of a model"
    assert (fault.reason, fault.remedy) == (f"{folder}/{wrong} is a {wrong}, and {engine} loads {loads}", remedy)
    assert str(fault.file).endswith("talk.yaml:3")
