"""The network has the published layers, names and arithmetic, and takes no other weights."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dubd.engines import codeformer
from dubd.engines.codeformer_net import CodeFormer, Widths, build
from tests.engines import tiny_codeformer

torch.set_num_threads(1)


class Reference:
    """The published architecture as plain functions over a state dict, block by block as its table has them."""

    def __init__(self, state: dict[str, Tensor], heads: int = 8) -> None:
        self.state, self.heads = state, heads

    def conv(self, x: Tensor, name: str, **how: Any) -> Tensor:
        return functional.conv2d(x, self.state[f"{name}.weight"], self.state[f"{name}.bias"], **how)

    def norm(self, x: Tensor, name: str) -> Tensor:
        own = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        return functional.group_norm(x, min(32, x.shape[1]), *own, eps=1e-6)

    def residual(self, x: Tensor, name: str) -> Tensor:
        y = self.norm(x, f"{name}.norm1")
        y = self.conv(y * y.sigmoid(), f"{name}.conv1", padding=1)
        y = self.norm(y, f"{name}.norm2")
        y = self.conv(y * y.sigmoid(), f"{name}.conv2", padding=1)
        return y + (self.conv(x, f"{name}.conv_out") if f"{name}.conv_out.weight" in self.state else x)

    def attention(self, x: Tensor, name: str) -> Tensor:
        n, c, h, w = x.shape
        y = self.norm(x, f"{name}.norm")
        q, k, v = (self.conv(y, f"{name}.{part}").reshape(n, c, h * w) for part in "qkv")
        share = torch.softmax(torch.einsum("nci,ncj->nij", q, k) * c**-0.5, 2)
        return x + self.conv(torch.einsum("nij,ncj->nci", share, v).reshape(x.shape), f"{name}.proj_out")

    def block(self, x: Tensor, name: str) -> Tensor:
        """Whatever block it is: its tensors tell."""
        if f"{name}.conv1.weight" in self.state:
            return self.residual(x, name)
        if f"{name}.q.weight" in self.state:
            return self.attention(x, name)
        if f"{name}.conv.weight" in self.state:
            if name.startswith("encoder"):
                return self.conv(functional.pad(x, (0, 1, 0, 1)), f"{name}.conv", stride=2)
            return self.conv(x.repeat_interleave(2, 2).repeat_interleave(2, 3), f"{name}.conv", padding=1)
        if self.state[f"{name}.weight"].dim() == 1:
            return self.norm(x, name)
        return self.conv(x, name, padding=1)

    def linear(self, x: Tensor, name: str) -> Tensor:
        return x @ self.state[f"{name}.weight"].T + self.state[f"{name}.bias"]

    def layer_norm(self, x: Tensor, name: str) -> Tensor:
        return functional.layer_norm(x, x.shape[-1:], self.state[f"{name}.weight"], self.state[f"{name}.bias"])

    def layer(self, x: Tensor, name: str) -> Tensor:
        n, places, c = x.shape
        y = self.layer_norm(x, f"{name}.norm1")
        weights = self.state[f"{name}.self_attn.in_proj_weight"].chunk(3)
        biases = self.state[f"{name}.self_attn.in_proj_bias"].chunk(3)
        given = (y + self.state["position_emb"], y + self.state["position_emb"], y)
        q, k, v = (
            (own @ weight.T + bias).reshape(n, places, self.heads, -1).transpose(1, 2)
            for own, weight, bias in zip(given, weights, biases, strict=True)
        )
        share = torch.softmax(q @ k.transpose(2, 3) * (c / self.heads) ** -0.5, 3)
        x = x + self.linear((share @ v).transpose(1, 2).reshape(x.shape), f"{name}.self_attn.out_proj")
        y = self.linear(self.layer_norm(x, f"{name}.norm2"), f"{name}.linear1")
        return x + self.linear(functional.gelu(y), f"{name}.linear2")

    def __call__(self, x: Tensor, w: float) -> Tensor:
        taken = {}
        for at in range(25):
            x = self.block(x, f"encoder.blocks.{at}")
            taken[at] = x
        seen, tokens = x, self.linear(x.flatten(2).transpose(1, 2), "feat_emb")
        for at in range(9):
            tokens = self.layer(tokens, f"ft_layers.{at}")
        logits = self.layer_norm(tokens, "idx_pred_layer.0") @ self.state["idx_pred_layer.1.weight"].T
        codes = self.state["quantize.embedding.weight"][logits.argmax(2)].transpose(1, 2)
        wanted = seen.flatten(2)
        x = (codes - codes.mean(2, True)) / (codes.var(2, keepdim=True) + 1e-5).sqrt()
        x = (x * (wanted.var(2, keepdim=True) + 1e-5).sqrt() + wanted.mean(2, True)).reshape(seen.shape)
        joints = {9: ("32", 14), 12: ("64", 11), 15: ("128", 8), 18: ("256", 5)}
        for at in range(25):
            x = self.block(x, f"generator.blocks.{at}")
            if at in joints and w > 0:
                side, tap = joints[at]
                name = f"fuse_convs_dict.{side}"
                both = self.residual(torch.cat([taken[tap], x], 1), f"{name}.encode_enc")
                scale, shift = (
                    self.conv(
                        functional.leaky_relu(self.conv(both, f"{name}.{part}.0", padding=1), 0.2),
                        f"{name}.{part}.2",
                        padding=1,
                    )
                    for part in ("scale", "shift")
                )
                x = x + w * (x * scale + shift)
        return x


def faces(count: int) -> Tensor:
    return torch.rand((count, 3, 512, 512), generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_names_and_shapes_are_those_of_the_published_checkpoint() -> None:
    wanted = tiny_codeformer.table(64, 256, 1024, 512)
    with torch.device("meta"):
        own = CodeFormer(Widths()).state_dict()
    assert {key: tuple(tensor.shape) for key, tensor in own.items()} == wanted
    assert len(own) == 515
    assert sum(tensor.numel() for tensor in own.values()) == 94_112_707


@pytest.mark.parametrize("fidelity", [0.0, 0.8])
def test_one_checkpoint_gives_what_the_published_architecture_gives(fidelity: float) -> None:
    state, given = tiny_codeformer.state(), faces(1)
    with torch.inference_mode():
        ours, published = build(state)(given, fidelity), Reference(state)(given, fidelity)
    assert float(published.std()) > 0.05
    assert float((ours - published).abs().max()) < 1e-5


def test_fidelity_decides_how_far_the_input_shows_through() -> None:
    net, given = build(tiny_codeformer.state()), faces(1)
    with torch.inference_mode():
        none, half, full = (net(given, fidelity) for fidelity in (0.0, 0.5, 1.0))
    assert 0 < float((half - none).abs().mean()) < float((full - none).abs().mean())


def test_faces_of_a_batch_know_nothing_of_each_other() -> None:
    net, given = build(tiny_codeformer.state()), faces(2)
    with torch.inference_mode():
        together = net(given, 0.8)
        alone = torch.cat([net(face[None], 0.8) for face in given])
    assert float((together - alone).abs().max()) < 1e-5


def test_weights_of_half_width_are_read_into_32_bits() -> None:
    net = build({key: tensor.half() for key, tensor in tiny_codeformer.state().items()})
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}


def test_the_widths_are_read_off_the_weights() -> None:
    widths = Widths.of(tiny_codeformer.state())
    assert widths == Widths(first=2, latent=16, codes=32, tokens=16)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("fuse_convs_dict.256.shift.2.bias"), "lacks fuse_convs_dict.256.shift.2.bias"),
        (lambda s: s.update(more=torch.zeros(1)), "has besides more"),
        (
            lambda s: s.update({"ft_layers.0.norm1.bias": torch.zeros(3)}),
            r"ft_layers.0.norm1.bias is \(3,\), not \(16,\)",
        ),
        (lambda s: s["feat_emb.bias"].fill_(float("nan")), "feat_emb.bias holds numbers that are none"),
        (lambda s: s.update({"position_emb": torch.zeros(256, 1024)}), "tokens is 1024"),
        (lambda s: s.update({"position_emb": torch.zeros(())}), "not CodeFormer"),
        (lambda s: s.update({"encoder.blocks.0.weight": torch.zeros(12, 3, 3, 3)}), "no groups of 12"),
    ],
)
def test_other_weights_are_refused_in_words(change: Any, said: str) -> None:
    state = tiny_codeformer.state()
    change(state)
    with pytest.raises(ValueError, match=said):
        build(state)


def test_another_restorer_is_named() -> None:
    with pytest.raises(ValueError, match="not CodeFormer: it looks like GFPGAN"):
        build({"stylegan_decoder.style_mlp.1.weight": torch.zeros(2, 2)})


class _Live(TorchDispatchMode):
    """Counts the bytes of all tensors that are alive."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[int, int] = {}
        self.most = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        for tensor in (each for each in tree_leaves(made) if isinstance(each, Tensor)):
            storage = tensor.untyped_storage()
            if storage._cdata not in self.known:
                self.known[storage._cdata] = storage.nbytes()
                weakref.finalize(storage, self.known.pop, storage._cdata, None)
        self.most = max(self.most, sum(self.known.values()))
        return made


@pytest.mark.parametrize(("precision", "kind"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_the_declared_memory_holds_model_and_activations(precision: str, kind: torch.dtype) -> None:
    with torch.device("meta"):
        net = CodeFormer(Widths()).requires_grad_(False)
    net.pictures(kind)
    declared = codeformer.CodeFormer.vram(codeformer.CodeFormerParams(), precision)
    assert declared is not None
    weights = sum(parameter.nbytes for parameter in net.parameters()) / 2**20
    assert weights <= declared.model < weights + 1
    peaks = []
    for count in (1, 3):
        with torch.inference_mode(), _Live() as live:
            net(torch.empty(count, 3, 512, 512, device="meta"), 0.8)
        peaks.append(live.most / 2**20)
    item = (peaks[1] - peaks[0]) / 2
    assert item < declared.per_item < 1.5 * item
    assert peaks[0] < declared.per_item
