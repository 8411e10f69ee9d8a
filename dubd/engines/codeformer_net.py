"""CodeFormer's network, with the published names of its weights (Zhou et al., NeurIPS 2022; layout of release v0.1.0).

A VQGAN for faces of 512 px whose codes are not the nearest ones but those that a transformer names from the degraded
face; features of the encoder lead the generator back to the input, as far as `fidelity` says. Written from the table of
its layers. Imports torch: for the engine's `load`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

SIDE: Final = 512  # pixels of the faces it takes and makes
_GRID: Final = 16  # codes along each side
_LEVELS: Final = (1, 2, 2, 4, 4, 8)  # width of each level over that of the first: 512, 256, ... 16 px
_LAYERS: Final = 9
_HEADS: Final = 8
# Where features of the encoder meet the generator: side in px, blocks after which they are taken and joined, level.
_JOINTS: Final = (("32", 14, 9, 4), ("64", 11, 12, 3), ("128", 8, 15, 2), ("256", 5, 18, 1))


@dataclass(frozen=True)
class Widths:
    """How wide a checkpoint of this layout is; the published one by default, a narrower one is read off its tensors."""

    first: int = 64  # channels at 512 px
    latent: int = 256  # channels of a code
    codes: int = 1024
    tokens: int = 512  # channels in the transformer

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> Widths:
        """Read off the shapes. Errors: ValueError where they are not of this layout, or wider than published."""
        try:
            first = int(state["encoder.blocks.0.weight"].shape[0])
            codes, latent = map(int, state["quantize.embedding.weight"].shape)
            found = cls(first, latent, codes, int(state["position_emb"].shape[-1]))
        except (KeyError, ValueError, IndexError) as error:
            raise ValueError(f"not CodeFormer: {_is(state)}") from error
        most = cls()
        pairs = zip(vars(found).items(), vars(most).values(), strict=True)
        if wrong := next((f"{name} is {own}" for (name, own), most in pairs if not 1 <= own <= most), None):
            raise ValueError(f"not the published CodeFormer: {wrong}")
        if found.tokens % _HEADS or any(found.first * times % groups(found.first * times) for times in _LEVELS):
            raise ValueError(f"not the published CodeFormer: no groups of {found.first} or heads of {found.tokens}")
        return found


def _is(state: Mapping[str, Tensor]) -> str:
    """A word on what else it may be."""
    known = {
        "stylegan_decoder": "it looks like GFPGAN",
        "face_encoder_blocks": "it looks like Wav2Lip",
        "conv_first": "it looks like Real-ESRGAN",
        "quantize.embedding": "it looks like the VQGAN alone",
    }
    return next((word for start, word in known.items() if any(key.startswith(start) for key in state)), "other weights")


def groups(channels: int) -> int:
    """Groups of a GroupNorm: 32, or one a channel where there are fewer."""
    return min(32, channels)


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(groups(channels), channels, eps=1e-6)


def _swish(x: Tensor) -> Tensor:
    return functional.silu(x, inplace=True)  # always of a fresh tensor: saves one of the largest


class ResBlock(nn.Module):
    """Two times norm, swish, 3x3 convolution, around which the input goes (through a 1x1 where the width changes)."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.norm1 = _norm(inner)
        self.conv1 = nn.Conv2d(inner, outer, 3, padding=1)
        self.norm2 = _norm(outer)
        self.conv2 = nn.Conv2d(outer, outer, 3, padding=1)
        if inner != outer:
            self.conv_out = nn.Conv2d(inner, outer, 1)

    def forward(self, x: Tensor) -> Tensor:
        made = self.conv1(_swish(self.norm1(x)))
        made = self.conv2(_swish(self.norm2(made)))
        return made.add_(self.conv_out(x) if hasattr(self, "conv_out") else x)


class AttnBlock(nn.Module):
    """Attention with one head over all places of a small picture."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = _norm(channels)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm(x)
        q, k, v = (layer(normed).flatten(2).transpose(1, 2) for layer in (self.q, self.k, self.v))
        seen = functional.scaled_dot_product_attention(q, k, v)  # its scale is channels ** -0.5
        return x + self.proj_out(seen.transpose(1, 2).reshape(x.shape))


class Downsample(nn.Module):
    """Half the size: a row and a column of zeros below and to the right, then every other place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(functional.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Twice the size: every place four times, then smoothed."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))


class Column(nn.Module):
    """Encoder or generator: blocks one after the other."""

    def __init__(self, blocks: list[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor, after: Callable[[int, Tensor], Tensor]) -> Tensor:
        """`after` sees what each block made, with its number, and says what the next one is given."""
        for number, block in enumerate(self.blocks):
            x = after(number, block(x))
        return x


def encoder(width: Widths) -> Column:
    """512 px to the grid of codes."""
    sizes = [width.first * times for times in _LEVELS]
    blocks: list[nn.Module] = [nn.Conv2d(3, sizes[0], 3, padding=1)]
    before = sizes[0]
    for level, size in enumerate(sizes):
        deepest = level == len(sizes) - 1
        for inner in (before, size):
            blocks += [ResBlock(inner, size), *([AttnBlock(size)] if deepest else [])]
        if not deepest:
            blocks.append(Downsample(size))
        before = size
    blocks += [ResBlock(before, before), AttnBlock(before), ResBlock(before, before)]
    return Column([*blocks, _norm(before), nn.Conv2d(before, width.latent, 3, padding=1)])


def generator(width: Widths) -> Column:
    """The grid of codes to 512 px."""
    sizes = [width.first * times for times in reversed(_LEVELS)]
    before = sizes[0]
    blocks: list[nn.Module] = [nn.Conv2d(width.latent, before, 3, padding=1)]
    blocks += [ResBlock(before, before), AttnBlock(before), ResBlock(before, before)]
    for level, size in enumerate(sizes):
        for inner in (before, size):
            blocks += [ResBlock(inner, size), *([AttnBlock(size)] if level == 0 else [])]
        if level < len(sizes) - 1:
            blocks.append(Upsample(size))
        before = size
    return Column([*blocks, _norm(before), nn.Conv2d(before, 3, 3, padding=1)])


class Joint(nn.Module):
    """Moves the generator's features towards the input: scaled and shifted by what the encoder saw there."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.encode_enc = ResBlock(2 * channels, channels)
        self.scale, self.shift = (
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(channels, channels, 3, padding=1),
            )
            for _ in range(2)
        )

    def forward(self, seen: Tensor, made: Tensor, fidelity: float) -> Tensor:
        both = self.encode_enc(torch.cat([seen, made], 1))
        return made + fidelity * (made * self.scale(both) + self.shift(both))


class Layer(nn.Module):
    """A layer of the transformer, normed before each part; places are added to queries and keys."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(channels, _HEADS, batch_first=True)
        self.linear1 = nn.Linear(channels, 2 * channels)
        self.linear2 = nn.Linear(2 * channels, channels)
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)

    def forward(self, x: Tensor, places: Tensor) -> Tensor:
        normed = self.norm1(x)
        placed = normed + places
        x = x + self.self_attn(placed, placed, normed, need_weights=False)[0]
        return x + self.linear2(functional.gelu(self.linear1(self.norm2(x))))


class Codebook(nn.Module):
    """The codes that the VQGAN learned."""

    def __init__(self, width: Widths) -> None:
        super().__init__()
        self.embedding = nn.Embedding(width.codes, width.latent)


class CodeFormer(nn.Module):
    """Faces (n, 3, 512, 512), RGB in -1..1, to restored ones of the same form, not clamped."""

    def __init__(self, width: Widths) -> None:
        super().__init__()
        self.position_emb = nn.Parameter(torch.zeros(_GRID**2, width.tokens))
        self.encoder = encoder(width)
        self.quantize = Codebook(width)
        self.generator = generator(width)
        self.feat_emb = nn.Linear(width.latent, width.tokens)
        self.ft_layers = nn.ModuleList([Layer(width.tokens) for _ in range(_LAYERS)])
        self.idx_pred_layer = nn.Sequential(
            nn.LayerNorm(width.tokens), nn.Linear(width.tokens, width.codes, bias=False)
        )
        self.fuse_convs_dict = nn.ModuleDict({side: Joint(width.first * _LEVELS[at]) for side, _, _, at in _JOINTS})

    def pictures(self, kind: torch.dtype) -> None:
        """Compute what is as large as a picture in `kind`; the choice of codes stays in 32 bits."""
        for part in (self.encoder, self.generator, self.fuse_convs_dict):
            part.to(kind)

    def forward(self, faces: Tensor, fidelity: float) -> Tensor:
        """`fidelity` 0..1: how far the result keeps to the input; at 0 it is made of codes alone."""
        kind = self.encoder.blocks[0].weight.dtype
        taken: dict[int, Tensor] = {}
        taps = {tap for _, tap, _, _ in _JOINTS} if fidelity > 0 else set()

        def take(number: int, x: Tensor) -> Tensor:
            if number in taps:
                taken[number] = x
            return x

        seen = self.encoder(faces.to(kind), take).float()
        # In the usual order of axes: the norms of PyTorch lose digits in the other one, on the processor.
        codes = self.quantize.embedding(self.choose(seen)).transpose(1, 2).contiguous().reshape(seen.shape)
        joints = {joint: (side, tap) for side, tap, joint, _ in _JOINTS}

        def join(number: int, x: Tensor) -> Tensor:
            if fidelity > 0 and number in joints:
                side, tap = joints[number]
                return self.fuse_convs_dict[side](taken.pop(tap), x, fidelity)
            return x

        return self.generator(_styled(codes, seen).to(kind), join).float()

    def choose(self, seen: Tensor) -> Tensor:
        """The code of each place (n, 256), from the encoder's features (n, c, 16, 16)."""
        x = self.feat_emb(seen.flatten(2).transpose(1, 2))
        for layer in self.ft_layers:
            x = layer(x, self.position_emb)
        return self.idx_pred_layer(x).argmax(2)


def _styled(codes: Tensor, seen: Tensor) -> Tensor:
    """Codes with the mean and deviation of the input's features, channel by channel (Huang and Belongie 2017)."""
    at, wanted = (torch.var_mean(x, (2, 3), keepdim=True) for x in (codes, seen))
    return (codes - at[1]) * ((wanted[0] + 1e-5).sqrt() / (at[0] + 1e-5).sqrt()) + wanted[1]


def build(state: Mapping[str, Tensor]) -> CodeFormer:
    """The network with these weights, ready to run, in 32 bits on the CPU.

    Errors: ValueError, in words, where a tensor is missing, too many, of another shape, or no finite numbers.
    """
    width = Widths.of(state)
    with torch.device("meta"):
        net = CodeFormer(width)
    wanted = net.state_dict()
    for fault, names in (("lacks", wanted.keys() - state.keys()), ("has besides", state.keys() - wanted.keys())):
        if names:
            raise ValueError(f"not the published CodeFormer: it {fault} {min(names)}{_more(len(names) - 1)}")
    for key, tensor in state.items():
        if tensor.shape != wanted[key].shape:
            shapes = f"{tuple(tensor.shape)}, not {tuple(wanted[key].shape)}"
            raise ValueError(f"not the published CodeFormer: {key} is {shapes}")
    whole: dict[str, Any] = {key: tensor.detach().float().contiguous() for key, tensor in state.items()}
    if broken := next((key for key, tensor in whole.items() if not bool(tensor.isfinite().all())), None):
        raise ValueError(f"{broken} holds numbers that are none (NaN or infinite)")
    net.load_state_dict(whole, strict=True, assign=True)
    net.eval().requires_grad_(False)
    return net


def _more(count: int) -> str:
    return f" and {count} more" if count else ""
