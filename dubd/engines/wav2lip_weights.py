"""Load a published Wav2Lip checkpoint strictly, or say what else the file seems to be.

Imports torch: for the engine's `load`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import torch

from dubd.engines import checkpoint
from dubd.engines.wav2lip_net import FACE, Wav2Lip
from dubd.errors import DubdError

STAGE: Final = "lipsync"
_FIRST: Final = "face_encoder_blocks.0.0.conv_block.0.weight"
_BLOCK: Final = re.compile(r"face_encoder_blocks\.(\d+)\.")
# What is given by mistake, by a key that only it has.
_OTHERS: Final = (
    ("conv3_3_norm.weight", "the face detector S3FD"),
    ("face_encoder.0.conv_block.0.weight", "the SyncNet expert that Wav2Lip was trained with"),
    ("binary_pred.0.weight", "the discriminator that Wav2Lip was trained with"),
    ("netcnnlip.0.weight", "the SyncNet that lip sync is measured with"),
    ("quantize.embedding.weight", "the face restorer CodeFormer"),
    ("stylegan_decoder.constant_input.weight", "the face restorer GFPGAN"),
)
_PUBLISHED: Final = "wav2lip.pth and wav2lip_gan.pth are what is loaded here"


def load(path: Path) -> Wav2Lip:
    """The network with the file's weights, in fp32 on the CPU, fused for inference; its optimizer is dropped.

    The width is taken from the file, anything else must be as published: all keys, all shapes.
    Errors: DubdError with one line that says what is wrong with the file, or what it seems to be.
    """
    try:
        found = _state(checkpoint.read(path, STAGE))
    except ValueError as error:
        raise _refused(path, f"not a Wav2Lip: {error}") from error
    first = found.get(_FIRST)
    if first is None or first.ndim != 4:
        raise _refused(path, f"not a Wav2Lip: {_seems(found)}")
    with torch.device("meta"):
        net = Wav2Lip(first.shape[0])
    wanted = net.state_dict()
    if fault := _fault(found, wanted):
        raise _refused(path, fault)
    if not all(bool(torch.isfinite(one).all()) for one in found.values()):
        raise _refused(path, "a Wav2Lip with numbers that are none (NaN or infinite)")
    made: Wav2Lip = net.to_empty(device="cpu")
    made.load_state_dict(found, strict=True)
    return made.fuse()


def _state(read: Any) -> dict[str, torch.Tensor]:
    """The state dict under any of the names that restorers and trainers use, or bare."""
    for name in ("state_dict", "params_ema", "params", "g_ema"):
        if isinstance(read, Mapping) and isinstance(read.get(name), Mapping):
            return checkpoint.weights(read, name)
    return checkpoint.weights(read)


def _seems(found: Mapping[str, torch.Tensor]) -> str:
    for key, name in _OTHERS:
        if key in found:
            return f"it seems to be {name}"
    return f"its first of {len(found)} tensors is {next(iter(found))}"


def _fault(found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> str | None:
    """The first thing by which `found` is not what is wanted; None where all keys and shapes are the same."""
    if (blocks := _blocks(found)) != len(FACE):
        side = 3 * 2 ** (blocks - 2) if blocks > 2 else 0
        return f"a Wav2Lip of another make: {blocks} face encoder blocks instead of {len(FACE)}, as for {side} px faces"
    if missing := [key for key in wanted if key not in found]:
        return f"a Wav2Lip that lacks {len(missing)} of {len(wanted)} tensors, {missing[0]} first"
    if more := [key for key in found if key not in wanted]:
        return f"a Wav2Lip of another make: {len(more)} tensors too many, {more[0]} first"
    for key, one in wanted.items():
        if found[key].shape != one.shape:
            return f"a Wav2Lip of another make: {key} is {_size(found[key].shape)} instead of {_size(one.shape)}"
    return None


def _blocks(keys: Iterable[str]) -> int:
    return 1 + max((int(found[1]) for key in keys if (found := _BLOCK.match(key))), default=-1)


def _size(shape: Iterable[int]) -> str:
    return "x".join(map(str, shape)) or "one number"


def _refused(path: Path, reason: str) -> DubdError:
    return DubdError(reason, file=path, stage=STAGE, remedy=_PUBLISHED)
