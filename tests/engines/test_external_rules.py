"""Rules that name an external program: the documented ones work, slips are told, and keys follow what it is."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from dubd.engines import registry
from dubd.engines.external import External
from dubd.engines.external_params import ExternalParams, filled
from dubd.engines.landmarks import model
from dubd.engines.videoretalking import VideoRetalking
from dubd.errors import DubdError
from dubd.graph import rules
from dubd.graph.needed import needed
from dubd.graph.steps import Step
from dubd.models.model import Model
from tests.engines import checkouts

DOCS = Path(__file__).parents[2] / "docs"
LIPS = "languages: {{source: en, target: es}}\nstages:\n  lipsync: {}\n"


def documented(page: str, heading: str) -> str:
    """The rule under a heading of a page."""
    text = (DOCS / page).read_text("utf-8").partition(f"## {heading}\n")[2]
    found = re.search(r"```yaml\n(.*?)```", text, re.S)
    assert found
    return found[1]


def written(folder: Path, text: str) -> Path:
    path = folder / "odd.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def faults(folder: Path, lips: str) -> str:
    """What is told of a rule whose lipsync is this."""
    _, found = rules.check(written(folder, LIPS.format(lips)))
    return "\n".join(map(str, found))


def key(rule: Path) -> object:
    """What of the engine is in a task's key."""
    lips = rules.load(rule).stages.lipsync
    return Step("000/lipsync", "lipsync", {}, {}, {}, rule=lips).key["engine"]


@pytest.mark.skipif(model() is None, reason="the 68-point model of libdlib-data is not here")
@pytest.mark.parametrize(
    ("heading", "program", "place"),
    [("LatentSync", "latentsync", "/opt/LatentSync"), ("MuseTalk", "musetalk", "/opt/MuseTalk")],
)
def test_the_documented_rules_run_a_program_of_that_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heading: str, program: str, place: str
) -> None:
    monkeypatch.setenv("STAND_IN_TOLD", str(tmp_path / "told.json"))
    repo = checkouts.checkout(tmp_path / "repo", program, "scripts/inference.py")
    text = documented("engines/external.md", heading).replace(place, str(repo))
    text = re.sub(r"python: .*", f"python: {sys.executable}", text)
    text = re.sub(r"    check: .*\n", "", text)  # PyTorch and a GPU
    rule = rules.load(written(tmp_path, text), ready=False)
    params = ExternalParams(**rule.stages.lipsync.params)
    for name in (*params.needs, "configs/unet/stage2_512.yaml", "checkpoints/latentsync_unet.pt"):
        (repo / name).parent.mkdir(parents=True, exist_ok=True)
        (repo / name).touch()
    for name in ("models/musetalkV15/unet.pth", "models/musetalkV15/musetalk.json"):
        (repo / name).parent.mkdir(parents=True, exist_ok=True)
        (repo / name).touch()
    engine = External()
    engine.load("cpu", params)

    facts = checkouts.sync(checkouts.segment(tmp_path / "segment"), tmp_path / "out", engine)

    assert facts["mode"] == "external" and facts["fallback"] == 0 and facts["changed"] > 20, facts
    assert len(checkouts.told(tmp_path / "told.json")) == 1


def test_the_documented_rules_for_videoretalking_are_right(tmp_path: Path) -> None:
    lips = rules.load(written(tmp_path, documented("videoretalking.md", "5. The rule")), ready=False).stages.lipsync
    assert lips.engine == "videoretalking" and lips.params["python"] == "/opt/vrt-env/bin/python"
    text = (DOCS / "videoretalking.md").read_text("utf-8")
    small = re.findall(r"```yaml\n(.*?)```", text, re.S)[1]
    lips = rules.load(written(tmp_path, small), ready=False).stages.lipsync
    assert lips.params["args"][-1] == "2" and lips.params["gpu"] == 7168
    for name in VideoRetalking.Params(repo="/x").needs:
        assert name.removeprefix("checkpoints/") in text


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("args: [a.py, '{fase}', '{out}']", "no {fase} here; did you mean {face}?"),
        ("args: [a.py, '{face}']", "{out} stands in no argument"),
        ("args: [a.py, '{{out}}']", "{out} stands in no argument"),
        ("args: [a.py, '{out']", "write {{ or }} for a brace"),
        ("args: [a.py, '{out}'], fallback: mouth", "no engine 'mouth' for lipsync; did you mean mouths?"),
        ("args: [a.py, '{out}'], fallback: videoretalking", "a program of the same kind"),
        ("args: [a.py, '{out}'], leaves: ['temp/*']", "could remove more than one run's files"),
        ("args: [a.py, '{out}'], leaves: ['../{name}']", "could remove more than one run's files"),
        ("args: [a.py, '{out}'], needs: [/etc/passwd]", "is not relative to the checkout"),
        ("args: [a.py, '{out}'], files: {../a: b}", "is not the name of a file"),
        ("args: [a.py, '{out}'], python: env/bin/python", "begin it with /, ./, ../ or ~"),
        ("args: [a.py, '{out}'], audio_rate: 0", "audio_rate is more than 0, not 0"),
        ("args: [a.py, '{out}'], pad: -1.0", "pad is 0 or more, not -1"),
        ("args: [a.py, '{out}'], time_out: 5", "unknown key 'time_out'; did you mean timeout?"),
    ],
)
def test_a_slip_is_told_when_the_rule_is_read(tmp_path: Path, more: str, said: str) -> None:
    assert said in faults(tmp_path, f"{{engine: external, repo: /opt/x, {more}}}")


def test_a_rule_without_the_checkout_is_told_so(tmp_path: Path) -> None:
    assert "stages.lipsync.repo is missing" in faults(tmp_path, "{engine: videoretalking}")
    assert "begin it with /, ./, ../ or ~" in faults(tmp_path, "{engine: videoretalking, repo: checkout}")


def test_a_checkout_that_lacks_files_is_told_by_the_rule_as_by_a_run(tmp_path: Path) -> None:
    repo = checkouts.checkout(tmp_path / "repo")
    for name in ("DNet.pt", "LNet.pth"):
        (repo / "checkpoints" / name).unlink()
    said = faults(tmp_path, "{engine: videoretalking, repo: ./repo}")
    assert said.endswith(
        f"odd.yaml:3: lipsync: the checkout {repo} lacks checkpoints/DNet.pt, checkpoints/LNet.pth; "
        "docs/videoretalking.md tells how it is set up"
    ), said


def test_paths_are_relative_to_the_rule_file_and_any_python_will_do(tmp_path: Path) -> None:
    old = tmp_path / "env" / "bin" / "python"
    old.parent.mkdir(parents=True)
    old.write_text("#!/bin/sh\necho 3 8\n")  # as VideoReTalking's README asks for; a worker's own must be 3.11
    old.chmod(0o755)
    text = LIPS.format("{engine: videoretalking, repo: ./repo, python: ./env/bin/python}")

    lips = rules.load(written(tmp_path, text), ready=False).stages.lipsync

    assert lips.python is None and lips.params["python"] == str(old)
    assert lips.params["repo"] == str(tmp_path / "repo")
    assert "Python 3.8; at least 3.11" in faults(tmp_path, "{engine: mouths, python: ./env/bin/python}")


def test_the_key_follows_commit_and_checkpoints_and_nothing_else_of_the_checkout(tmp_path: Path) -> None:
    repo = checkouts.checkout(tmp_path / "repo")
    (repo / ".git" / "refs" / "heads").mkdir(parents=True)
    (repo / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (repo / ".git" / "refs" / "heads" / "main").write_text("a" * 40)
    rule = written(tmp_path, LIPS.format("{engine: videoretalking, repo: ./repo}"))
    before = key(rule)
    (repo / "temp").mkdir()
    (repo / "temp" / "cache.npy").write_text("x")
    assert key(rule) == before

    (repo / ".git" / "refs" / "heads" / "main").write_text("b" * 40)
    assert (committed := key(rule)) != before
    (repo / "checkpoints" / "DNet.pt").write_text("other weights")
    assert (other := key(rule)) != committed
    repo.rename(tmp_path / "moved")
    moved = written(tmp_path, LIPS.format("{engine: videoretalking, repo: ./moved}"))
    assert key(moved) == other


def test_the_key_follows_nothing_that_changes_no_picture(tmp_path: Path) -> None:
    lips = "{{engine: external, repo: /opt/x, args: [a.py, '{{out}}']{}}}"

    def of(more: str) -> object:
        return key(written(tmp_path, LIPS.format(lips.format(more))))

    assert of(", gpu: 8192, alone: true, check: [-c, ''], leaves: ['temp/{name}*']") == of("")
    assert of(", pad: 0.3") != of("") and of(", timeout: 60") != of(""), "a run that was ended may now come to its end"


def test_the_models_of_the_fallback_are_waited_for_and_in_the_key(tmp_path: Path) -> None:
    lips = "{{engine: external, repo: /opt/x, args: [a.py, '{{out}}'], fallback: {}}}"
    loaded = rules.load(written(tmp_path, LIPS.format(lips.format("wav2lip")))).stages.lipsync

    assert [model.name for model in needed("lipsync", loaded) if isinstance(model, Model)] == ["wav2lip/wav2lip_gan"]
    assert "wav2lip/wav2lip_gan@" in str(key(tmp_path / "odd.yaml"))
    assert "models" not in str(key(written(tmp_path, LIPS.format(lips.format("none")))))


def test_a_newer_release_of_the_fallback_changes_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lips = "{{engine: external, repo: /opt/x, args: [a.py, '{{out}}'], fallback: {}}}"
    with_none = written(tmp_path, LIPS.format(lips.format("none")))
    alone = key(with_none)
    with_mouths = written(tmp_path, LIPS.format(lips.format("mouths")))
    before = key(with_mouths)
    monkeypatch.setattr(registry.find("lipsync", "mouths"), "revision", classmethod(lambda _cls: "newer"))

    assert key(with_mouths) != before
    assert key(written(tmp_path, LIPS.format(lips.format("none")))) == alone


def test_what_the_checkout_lacks_is_told_before_any_video_is_touched(tmp_path: Path) -> None:
    repo = checkouts.checkout(tmp_path / "repo")
    with pytest.raises(DubdError, match=r"no checkout at .*/nowhere; docs/videoretalking.md tells how"):
        checkouts.engine(tmp_path / "nowhere")
    with pytest.raises(DubdError, match="no interpreter that can be run at /no/python"):
        checkouts.engine(repo, python="/no/python")
    (repo / "checkpoints" / "LNet.pth").unlink()
    with pytest.raises(DubdError, match=r"lacks checkpoints/LNet\.pth"):
        checkouts.engine(repo)
    (repo / "inference.py").unlink()
    with pytest.raises(DubdError, match=r"no inference\.py in the checkout"):
        checkouts.engine(repo)


def test_an_environment_that_is_not_whole_is_told_by_what_it_says(tmp_path: Path) -> None:
    repo = checkouts.checkout(tmp_path / "repo")
    own = filled(VideoRetalking.Params(repo=str(repo)).check[1], {"device": "cpu"})
    assert "'cpu' == 'cpu' or torch.cuda" in own
    with pytest.raises(DubdError, match="is not whole: ModuleNotFoundError: No module named 'nothing_such'"):
        checkouts.engine(repo, check=("-c", own.replace("import torch", "import nothing_such")))


def test_it_asks_for_the_gpu_memory_that_the_rule_says() -> None:
    need = VideoRetalking.vram(VideoRetalking.Params(repo="/x"), None)
    assert need is not None and need.at(1) == 10240
    assert External.vram(ExternalParams(repo="/x", args=("{out}",)), None) is None
