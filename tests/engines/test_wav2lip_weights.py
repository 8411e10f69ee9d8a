"""The loader takes every form of a published Wav2Lip, and says of any other file what it seems to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="pip install 'dubd[wav2lip]'")

from dubd.engines import wav2lip_weights  # noqa: E402
from dubd.errors import DubdError  # noqa: E402
from tests.engines import tiny_wav2lip  # noqa: E402


@pytest.fixture(scope="module")
def state() -> dict[str, Any]:
    torch.manual_seed(0)
    return dict(tiny_wav2lip.network(4).state_dict())


def refusal(path: Path) -> str:
    with pytest.raises(DubdError) as caught:
        wav2lip_weights.load(path)
    error = caught.value
    assert error.file == str(path) and error.stage == "lipsync" and error.remedy and "\n" not in str(error)
    return error.reason


def saved(folder: Path, held: Any, **how: Any) -> Path:
    torch.save(held, folder / "c.pth", **how)
    return folder / "c.pth"


def test_every_form_of_a_file_loads_to_the_same(state: dict[str, Any], tmp_path: Path) -> None:
    turn = torch.Generator().manual_seed(0)
    inputs = torch.randn(1, 1, 80, 16, generator=turn), torch.rand(1, 6, 96, 96, generator=turn)
    prefixed = {f"module.{key}": one for key, one in state.items()}
    training = {"state_dict": prefixed, "optimizer": {"state": {}}, "global_step": 1, "global_epoch": 0}
    net = tiny_wav2lip.network(4)
    script = tmp_path / "c.pt"
    torch.jit.trace(net, inputs).save(str(script))
    with torch.inference_mode():
        wanted = net(*inputs)
        for make in (
            lambda: saved(tmp_path, training),
            lambda: saved(tmp_path, training, _use_new_zipfile_serialization=False),
            lambda: saved(tmp_path, state),
            lambda: saved(tmp_path, prefixed),
            lambda: script,
        ):
            assert torch.allclose(wav2lip_weights.load(make())(*inputs), wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("conv3_3_norm.weight", "S3FD"),
        ("face_encoder.0.conv_block.0.weight", "SyncNet expert"),
        ("binary_pred.0.weight", "discriminator"),
        ("netcnnlip.0.weight", "SyncNet that lip sync is measured with"),
        ("quantize.embedding.weight", "CodeFormer"),
    ],
)
def test_another_models_file_is_named(key: str, name: str, tmp_path: Path) -> None:
    held = {"conv1.weight": torch.ones(2), key: torch.ones(3)}

    assert name in refusal(saved(tmp_path, {"state_dict": held}))
    assert name in refusal(saved(tmp_path, held))


def test_a_fork_for_larger_faces_is_named_by_its_size(state: dict[str, Any], tmp_path: Path) -> None:
    more = {key.replace("blocks.6", "blocks.7"): one for key, one in state.items() if "blocks.6" in key}

    assert "8 face encoder blocks instead of 7, as for 192 px faces" in refusal(saved(tmp_path, state | more))


def test_a_file_that_differs_anywhere_is_refused(state: dict[str, Any], tmp_path: Path) -> None:
    key = "audio_encoder.3.conv_block.0.weight"
    lacking = {name: one for name, one in state.items() if name != key}

    assert f"lacks 1 of 352 tensors, {key} first" in refusal(saved(tmp_path, lacking))
    assert "1 tensors too many, more first" in refusal(saved(tmp_path, state | {"more": torch.ones(1)}))
    assert f"{key} is 4x4x1x3 instead of 16x8x3x3" in refusal(saved(tmp_path, state | {key: torch.ones(4, 4, 1, 3)}))
    assert "NaN" in refusal(saved(tmp_path, state | {key: state[key] * torch.nan}))


def test_a_cut_and_a_malicious_file_are_refused(tmp_path: Path) -> None:
    path = tiny_wav2lip.make(tmp_path, 4)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "not a whole PyTorch checkpoint" in refusal(path)
    path.write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    assert "not" in refusal(path)
    assert "no weights" in refusal(saved(tmp_path, {"epoch": 3}))
