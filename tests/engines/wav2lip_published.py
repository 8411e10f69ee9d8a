"""Wav2Lip as published, layer by layer: what our module has to equal. No class, only a table and the functions.

A row: key, input and output channels, kernel, stride, padding; `+` adds the input before the ReLU, `T` is a
transposed convolution with that output padding.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.nn import functional

FACE = "face_encoder_blocks"
SOUND = "audio_encoder"
DECODER = "face_decoder_blocks"
TABLE = f"""
{FACE}.0.0 6 16 7 1 3
{FACE}.1.0 16 32 3 2 1
{FACE}.1.1 32 32 3 1 1 +
{FACE}.1.2 32 32 3 1 1 +
{FACE}.2.0 32 64 3 2 1
{FACE}.2.1 64 64 3 1 1 +
{FACE}.2.2 64 64 3 1 1 +
{FACE}.2.3 64 64 3 1 1 +
{FACE}.3.0 64 128 3 2 1
{FACE}.3.1 128 128 3 1 1 +
{FACE}.3.2 128 128 3 1 1 +
{FACE}.4.0 128 256 3 2 1
{FACE}.4.1 256 256 3 1 1 +
{FACE}.4.2 256 256 3 1 1 +
{FACE}.5.0 256 512 3 2 1
{FACE}.5.1 512 512 3 1 1 +
{FACE}.6.0 512 512 3 1 0
{FACE}.6.1 512 512 1 1 0
{SOUND}.0 1 32 3 1 1
{SOUND}.1 32 32 3 1 1 +
{SOUND}.2 32 32 3 1 1 +
{SOUND}.3 32 64 3 3,1 1
{SOUND}.4 64 64 3 1 1 +
{SOUND}.5 64 64 3 1 1 +
{SOUND}.6 64 128 3 3 1
{SOUND}.7 128 128 3 1 1 +
{SOUND}.8 128 128 3 1 1 +
{SOUND}.9 128 256 3 3,2 1
{SOUND}.10 256 256 3 1 1 +
{SOUND}.11 256 512 3 1 0
{SOUND}.12 512 512 1 1 0
{DECODER}.0.0 512 512 1 1 0
{DECODER}.1.0 1024 512 3 1 0 T0
{DECODER}.1.1 512 512 3 1 1 +
{DECODER}.2.0 1024 512 3 2 1 T1
{DECODER}.2.1 512 512 3 1 1 +
{DECODER}.2.2 512 512 3 1 1 +
{DECODER}.3.0 768 384 3 2 1 T1
{DECODER}.3.1 384 384 3 1 1 +
{DECODER}.3.2 384 384 3 1 1 +
{DECODER}.4.0 512 256 3 2 1 T1
{DECODER}.4.1 256 256 3 1 1 +
{DECODER}.4.2 256 256 3 1 1 +
{DECODER}.5.0 320 128 3 2 1 T1
{DECODER}.5.1 128 128 3 1 1 +
{DECODER}.5.2 128 128 3 1 1 +
{DECODER}.6.0 160 64 3 2 1 T1
{DECODER}.6.1 64 64 3 1 1 +
{DECODER}.6.2 64 64 3 1 1 +
output_block.0 80 32 3 1 1
"""
ROWS = {row.split()[0]: row.split()[1:] for row in TABLE.split("\n") if row}
NORM = ("weight", "bias", "running_mean", "running_var")


def shapes() -> dict[str, tuple[int, ...]]:
    """Every key of the published state dict with its shape."""
    found: dict[str, tuple[int, ...]] = {}
    for name, (before, after, kernel, *rest) in ROWS.items():
        first, second = (before, after) if rest[-1].startswith("T") else (after, before)
        found[f"{name}.conv_block.0.weight"] = (int(first), int(second), int(kernel), int(kernel))
        found[f"{name}.conv_block.0.bias"] = (int(after),)
        found |= {f"{name}.conv_block.1.{part}": (int(after),) for part in NORM}
        found[f"{name}.conv_block.1.num_batches_tracked"] = ()
    return found | {"output_block.1.weight": (3, 32, 1, 1), "output_block.1.bias": (3,)}


def random(seed: int) -> dict[str, torch.Tensor]:
    """A state dict whose layers neither die out nor blow up, with normalisations that do something."""
    made, turn = {}, torch.Generator().manual_seed(seed)
    for key, shape in shapes().items():
        if not shape:
            made[key] = torch.tensor(3)
        elif len(shape) == 4:
            inputs = shape[0] / 4 if ROWS.get(key.split(".conv_block")[0], " ")[-1].startswith("T") else shape[1]
            made[key] = torch.randn(shape, generator=turn) * (1 / (inputs * shape[2] * shape[3])) ** 0.5
        elif key.endswith(("running_var", "1.weight")):
            made[key] = 0.5 + torch.rand(shape, generator=turn)
        else:
            made[key] = torch.randn(shape, generator=turn) * 0.1
    return made


@torch.inference_mode()
def forward(state: Mapping[str, torch.Tensor], mel: torch.Tensor, face: torch.Tensor) -> torch.Tensor:
    """The published network's output for (B, 1, 80, 16) and (B, 6, 96, 96)."""
    seen = []
    for block in range(7):
        face = _stack(state, f"{FACE}.{block}.", face)
        seen.append(face)
    made = _stack(state, f"{SOUND}.", mel)
    for block in range(7):
        made = torch.cat((_stack(state, f"{DECODER}.{block}.", made), seen[6 - block]), dim=1)
    made = _stack(state, "output_block.0", made)
    return torch.sigmoid(functional.conv2d(made, state["output_block.1.weight"], state["output_block.1.bias"]))


def _stack(state: Mapping[str, torch.Tensor], prefix: str, x: torch.Tensor) -> torch.Tensor:
    for name, (_, _, _, stride, padding, *how) in ROWS.items():
        if not name.startswith(prefix):
            continue
        weight, bias = (state[f"{name}.conv_block.0.{part}"] for part in ("weight", "bias"))
        steps = [int(step) for step in stride.split(",")] * (1 if "," in stride else 2)
        if how and how[0].startswith("T"):
            made = functional.conv_transpose2d(x, weight, bias, steps, int(padding), int(how[0][1:]))
        else:
            made = functional.conv2d(x, weight, bias, steps, int(padding))
        norm = {part: state[f"{name}.conv_block.1.{part}"] for part in NORM}
        made = functional.batch_norm(made, norm["running_mean"], norm["running_var"], norm["weight"], norm["bias"])
        x = torch.relu(made + x if how == ["+"] else made)
    return x
