"""A narrow CodeFormer in the published layout, written from its table of layers and nothing of dubd's network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

Shapes = dict[str, tuple[int, ...]]
FIRST, LATENT, CODES, TOKENS = 2, 16, 32, 16


def table(first: int = FIRST, latent: int = LATENT, codes: int = CODES, tokens: int = TOKENS) -> Shapes:
    """Every tensor of the layout and its shape; 64, 256, 1024, 512 is the published one."""
    c1, c2, c4, c8 = first, 2 * first, 4 * first, 8 * first
    shapes: Shapes = {"position_emb": (256, tokens), "quantize.embedding.weight": (codes, latent)}

    def layer(name: str, *shape: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = shape, (shape[0],)

    def residual(name: str, inner: int, outer: int) -> None:
        layer(f"{name}.norm1", inner)
        layer(f"{name}.conv1", outer, inner, 3, 3)
        layer(f"{name}.norm2", outer)
        layer(f"{name}.conv2", outer, outer, 3, 3)
        if inner != outer:
            layer(f"{name}.conv_out", outer, inner, 1, 1)

    def attention(name: str, size: int) -> None:
        layer(f"{name}.norm", size)
        for part in ("q", "k", "v", "proj_out"):
            layer(f"{name}.{part}", size, size, 1, 1)

    down = "encoder.blocks"
    layer(f"{down}.0", c1, 3, 3, 3)
    for at, inner, outer in ((1, c1, c1), (2, c1, c1), (4, c1, c2), (5, c2, c2), (7, c2, c2), (8, c2, c2)):
        residual(f"{down}.{at}", inner, outer)
    for at, inner, outer in ((10, c2, c4), (11, c4, c4), (13, c4, c4), (14, c4, c4), (16, c4, c8)):
        residual(f"{down}.{at}", inner, outer)
    for at in (18, 20, 22):
        residual(f"{down}.{at}", c8, c8)
    for at, size in ((3, c1), (6, c2), (9, c2), (12, c4), (15, c4)):
        layer(f"{down}.{at}.conv", size, size, 3, 3)
    for at in (17, 19, 21):
        attention(f"{down}.{at}", c8)
    layer(f"{down}.23", c8)
    layer(f"{down}.24", latent, c8, 3, 3)

    up = "generator.blocks"
    layer(f"{up}.0", c8, latent, 3, 3)
    for at in (1, 3, 4, 6):
        residual(f"{up}.{at}", c8, c8)
    for at in (2, 5, 7):
        attention(f"{up}.{at}", c8)
    for at, size in ((8, c8), (11, c4), (14, c4), (17, c2), (20, c2)):
        layer(f"{up}.{at}.conv", size, size, 3, 3)
    for at, inner, outer in ((9, c8, c4), (10, c4, c4), (12, c4, c4), (13, c4, c4), (15, c4, c2), (16, c2, c2)):
        residual(f"{up}.{at}", inner, outer)
    for at, inner, outer in ((18, c2, c2), (19, c2, c2), (21, c2, c1), (22, c1, c1)):
        residual(f"{up}.{at}", inner, outer)
    layer(f"{up}.23", c1)
    layer(f"{up}.24", 3, c1, 3, 3)

    layer("feat_emb", tokens, latent)
    for at in range(9):
        name = f"ft_layers.{at}"
        shapes[f"{name}.self_attn.in_proj_weight"] = (3 * tokens, tokens)
        shapes[f"{name}.self_attn.in_proj_bias"] = (3 * tokens,)
        layer(f"{name}.self_attn.out_proj", tokens, tokens)
        layer(f"{name}.linear1", 2 * tokens, tokens)
        layer(f"{name}.linear2", tokens, 2 * tokens)
        layer(f"{name}.norm1", tokens)
        layer(f"{name}.norm2", tokens)
    layer("idx_pred_layer.0", tokens)
    shapes["idx_pred_layer.1.weight"] = (codes, tokens)
    for side, size in ((32, c4), (64, c4), (128, c2), (256, c2)):
        name = f"fuse_convs_dict.{side}"
        residual(f"{name}.encode_enc", 2 * size, size)
        for part in ("scale.0", "scale.2", "shift.0", "shift.2"):
            layer(f"{name}.{part}", size, size, 3, 3)
    return shapes


def state(**widths: int) -> dict[str, torch.Tensor]:
    """Random weights, the same each time, of such sizes that numbers stay near 1 throughout."""
    source = torch.Generator().manual_seed(7)

    def filled(name: str, shape: tuple[int, ...]) -> torch.Tensor:
        noise = torch.randn(shape, generator=source)
        if len(shape) == 1:
            return noise * 0.1 + (1 if name.endswith("weight") else 0)  # norms and biases
        if name in ("position_emb", "quantize.embedding.weight"):
            return noise
        small = 0.1 if name.endswith(("scale.2.weight", "shift.2.weight", "generator.blocks.24.weight")) else 1.0
        return noise * small * torch.Size(shape[1:]).numel() ** -0.5

    return {name: filled(name, shape) for name, shape in table(**widths).items()}


def make(folder: Path, change: Callable[[dict[str, torch.Tensor]], object] | None = None) -> Path:
    """Write `codeformer.pth` as published into `folder`; `change` may do something to its weights first."""
    weights = state()
    if change:
        change(weights)
    path = folder / "codeformer.pth"
    torch.save({"params_ema": weights}, path)
    return path
