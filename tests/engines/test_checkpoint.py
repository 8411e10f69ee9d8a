"""Checkpoints of strangers: every kind of file that PyTorch wrote is read as data, everything else is refused."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="pip install 'dubd[models]'")

from dubd.engines import checkpoint  # noqa: E402
from dubd.errors import DubdError  # noqa: E402
from tests.engines import script_that_writes  # noqa: E402


class Touch:
    """What a malicious file holds: unpickling it runs a command."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


def net() -> Any:
    return torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.BatchNorm2d(5), torch.nn.ReLU())


def as_zip(folder: Path) -> Path:
    torch.save({"state_dict": net().state_dict()}, folder / "c.pth")
    return folder / "c.pth"


def as_before_1_6(folder: Path) -> Path:
    torch.save({"state_dict": net().state_dict()}, folder / "c.pth", _use_new_zipfile_serialization=False)
    return folder / "c.pth"


def as_script(folder: Path) -> Path:
    torch.jit.trace(net().eval(), torch.rand(1, 3, 8, 8)).save(str(folder / "c.pt"))
    return folder / "c.pt"


KINDS = (as_zip, as_before_1_6, as_script)


def refusal(path: Path) -> DubdError:
    with pytest.raises(DubdError) as caught:
        checkpoint.read(path, "lipsync")
    assert caught.value.file == str(path) and caught.value.stage == "lipsync" and caught.value.remedy
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("make", KINDS)
def test_weights_of_every_kind_come_out_as_they_were_saved(make: Callable[[Path], Path], tmp_path: Path) -> None:
    torch.manual_seed(3)
    path = make(tmp_path)
    torch.manual_seed(3)
    wanted = net().state_dict()

    found = checkpoint.weights(checkpoint.read(path, "lipsync"), "state_dict")

    assert list(found) == list(wanted)
    assert all(torch.equal(found[key], one) and found[key].dtype == one.dtype for key, one in wanted.items())


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_a_script_keeps_the_types_of_its_tensors(dtype: str, tmp_path: Path) -> None:
    linear = torch.nn.Linear(4, 3).to(getattr(torch, dtype))
    torch.jit.script(linear).save(str(tmp_path / "c.pt"))

    found = checkpoint.read(tmp_path / "c.pt", "lipsync")

    assert torch.equal(found["weight"], linear.weight) and found["weight"].dtype == getattr(torch, dtype)


def test_a_scripts_program_is_not_run(tmp_path: Path) -> None:
    """PyTorch's own loader runs `__setstate__` of an archive, which may write files."""
    mark, path = tmp_path / "ran", tmp_path / "c.pt"
    torch.jit.script(script_that_writes.Writes(str(mark))).save(str(path))

    with pytest.raises(ValueError, match="no weights"):
        checkpoint.weights(checkpoint.read(path, "lipsync"))

    assert not mark.exists()
    torch.jit.load(str(path))
    assert mark.exists(), "the file was harmless to begin with"


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_would_run_a_command_is_refused_by_its_name(zipped: bool, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    held = {"state_dict": {"a": torch.ones(2)}, "optimizer": Touch(mark)}
    torch.save(held, tmp_path / "c.pth", _use_new_zipfile_serialization=zipped)

    assert "wants to run posix.system" in refusal(tmp_path / "c.pth").reason
    assert not mark.exists()


def test_a_script_that_would_run_a_command_is_refused_by_its_name(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    with zipfile.ZipFile(tmp_path / "c.pt", "w") as archive:
        archive.writestr("c/data.pkl", pickle.dumps(Touch(mark), protocol=2))
        archive.writestr("c/constants.pkl", pickle.dumps((), protocol=2))

    assert "wants to run posix.system" in refusal(tmp_path / "c.pt").reason
    assert not mark.exists()


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("share", [0.05, 0.5, 0.98])
@pytest.mark.parametrize(
    ("models", "remedy"),
    [
        (".", "it may be cut short: download it again (dubd models verify tells which are whole)"),
        ("elsewhere", "it may be cut short: copy it again from where it came from"),
    ],
)
def test_a_file_cut_short_is_told_as_such_and_where_to_get_it_whole(
    make: Callable[[Path], Path],
    share: float,
    models: str,
    remedy: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DUBD_MODELS", str(tmp_path / models))
    path = make(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])

    error = refusal(path)

    assert (error.reason, error.remedy) == ("not a whole PyTorch checkpoint", remedy)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"<!DOCTYPE html><html><body>Quota exceeded</body></html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of git-lfs"),
        (b"", "an empty file"),
    ],
)
def test_what_a_failed_download_leaves_is_named(content: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / "c.pth").write_bytes(content)

    assert refusal(tmp_path / "c.pth").reason == f"not a checkpoint but {name}"


def test_noise_a_folder_and_nothing_are_refused(tmp_path: Path) -> None:
    (tmp_path / "noise.pth").write_bytes(bytes(range(256)) * 40)

    assert "not a whole PyTorch checkpoint" in refusal(tmp_path / "noise.pth").reason
    assert "a folder, and no checkpoint" in refusal(tmp_path).reason
    assert "dubd models pull" in refusal(tmp_path / "nothing.pth").remedy


def test_prefixes_of_training_on_several_cards_are_taken_off() -> None:
    state = {"module.a.weight": torch.ones(1), "module.module.b.weight": torch.ones(1)}

    assert list(checkpoint.weights({"state_dict": state}, "state_dict")) == ["a.weight", "b.weight"]


@pytest.mark.parametrize("read", [{}, {"state_dict": {}}, {"epoch": 3}, [torch.ones(1)], torch.ones(1), None])
def test_what_holds_no_weights_is_told(read: Any) -> None:
    with pytest.raises(ValueError, match="no weights"):
        checkpoint.weights(read, "state_dict")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_raw_pickle_is_told_to_be_one_and_not_run(tmp_path: Path, protocol: int) -> None:
    path, mark = tmp_path / "c.pth", tmp_path / "ran"
    for held in ({"state_dict": [1, 2]}, Touch(mark)):
        path.write_bytes(pickle.dumps(held, protocol=protocol))
        error = refusal(path)
        assert error.reason.startswith(
            ("not a checkpoint but a raw pickle", "the checkpoint wants to run posix.system")
        )
        assert "publisher" in error.remedy
    assert not mark.exists()


def test_a_model_of_llama_cpp_is_told_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "c.pth").write_bytes(b"GGUF\x03\0\0\0" + bytes(64))
    assert refusal(tmp_path / "c.pth").reason == "not a checkpoint but a model of llama.cpp (GGUF)"


def test_a_little_archive_that_unpacks_to_a_large_one_is_not_loaded(tmp_path: Path) -> None:
    whole, bomb = tmp_path / "whole.pth", tmp_path / "bomb.pth"
    torch.save({"w": torch.zeros(20 << 20)}, whole)
    with zipfile.ZipFile(whole) as entries, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed:
        for entry in entries.infolist():
            packed.writestr(entry.filename, entries.read(entry))
    assert bomb.stat().st_size < 1 << 20
    assert "unpack to 838" in refusal(bomb).reason
    assert set(checkpoint.read(whole, "lipsync")) == {"w"}
