"""Our Wav2Lip is the published one: the same tensors, the same output; its memory is what is declared."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="pip install 'dubd[wav2lip]'")

from torch.profiler import ProfilerActivity, profile  # noqa: E402

from dubd.engines import wav2lip, wav2lip_weights  # noqa: E402
from dubd.engines.wav2lip import Wav2LipParams  # noqa: E402
from dubd.engines.wav2lip_net import Wav2Lip  # noqa: E402
from tests.engines import wav2lip_published  # noqa: E402


def test_keys_and_shapes_are_those_of_the_published_table() -> None:
    with torch.device("meta"):
        net = Wav2Lip()
    found = {key: tuple(one.shape) for key, one in net.state_dict().items()}

    assert found == wav2lip_published.shapes()
    assert list(found) == list(wav2lip_published.shapes())
    assert len(found) == 352
    assert sum(one.numel() for one in net.parameters()) == wav2lip.PARAMETERS == 36_298_035


def test_a_loaded_checkpoint_gives_the_published_networks_output(tmp_path: Path) -> None:
    state = wav2lip_published.random(seed=1)
    torch.save({"state_dict": {f"module.{key}": one for key, one in state.items()}}, tmp_path / "w.pth")
    turn = torch.Generator().manual_seed(2)
    mel, face = torch.randn(2, 1, 80, 16, generator=turn), torch.rand(2, 6, 96, 96, generator=turn)

    net = wav2lip_weights.load(tmp_path / "w.pth")

    with torch.inference_mode():
        made = net(mel, face)
    wanted = wav2lip_published.forward(state, mel, face)
    assert made.shape == (2, 3, 96, 96)
    assert 0.02 < float(wanted.std()) < 0.35, "a reference that says nothing, or nothing but black and white"
    assert float((made - wanted).abs().max()) < 1e-5
    assert not [module for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d)], "not fused"


@pytest.mark.parametrize(("precision", "size"), [("fp32", 4), ("fp16", 2), (None, 2)])
def test_the_vram_estimate_holds_the_weights_and_what_a_face_takes(precision: str | None, size: int) -> None:
    with torch.device("meta"):
        net = Wav2Lip().fuse()
    weights = sum(one.numel() for one in net.parameters()) * size / 2**20
    small = Wav2Lip(4).fuse()  # a quarter of the channels takes a quarter of the activations

    def peak(faces: int) -> float:
        inputs = torch.rand(faces, 1, 80, 16), torch.rand(faces, 6, 96, 96)
        with torch.inference_mode(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
            small(*inputs)
        now = most = 0
        events = [event for event in found.profiler.kineto_results.events() if event.name() == "[memory]"]
        for event in sorted(events, key=lambda event: event.start_ns()):
            now += event.nbytes()
            most = max(most, now)
        return most / 2**20

    face = ((peak(12) - peak(4)) / 8 * 4 + 6 * 96 * 96 * 4 / 2**20) * size / 4

    declared = wav2lip.Wav2Lip.vram(Wav2LipParams(), precision)

    assert declared is not None
    assert weights <= declared.model <= weights + 2
    assert face <= declared.per_item <= 3 * face
    assert declared.at(32) < 1100
