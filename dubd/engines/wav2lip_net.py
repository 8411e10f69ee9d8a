"""The network of Wav2Lip (Prajwal et al., "A Lip Sync Expert Is All You Need", ACM MM 2020), written from its layers.

Imports torch: for the engine's `load`. State dicts have the keys of the published files, in their order.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.utils import fusion

PUBLISHED = 16  # channels of the first layer
SIDE = 96  # px of a face
# A row: input channels, output channels, kernel, stride, padding, residual; in multiples of the width, but for 0: the
# channels of the input, which no width changes. A negative stride is an upsampling one.
Stride = int | tuple[int, int]
Row = tuple[int, int, int, Stride, int, bool]


def _c(before: int, after: int, kernel: int = 3, stride: Stride = 1, padding: int = 1) -> list[Row]:
    return [(before, after, kernel, stride, padding, False)]


def _r(channels: int, times: int) -> list[Row]:
    return [(channels, channels, 3, 1, 1, True)] * times


def _up(before: int, after: int, times: int) -> list[Row]:
    return [(before, after, 3, -2, 1, False), *_r(after, times)]


FACE = (  # 96 px, 48, 24, 12, 6, 3, 1
    _c(0, 1, 7, 1, 3),
    _c(1, 2, 3, 2) + _r(2, 2),
    _c(2, 4, 3, 2) + _r(4, 3),
    _c(4, 8, 3, 2) + _r(8, 2),
    _c(8, 16, 3, 2) + _r(16, 2),
    _c(16, 32, 3, 2) + _r(32, 1),
    _c(32, 32, 3, 1, 0) + _c(32, 32, 1, 1, 0),
)
SOUND = [
    *_c(0, 2),
    *_r(2, 2),
    *_c(2, 4, 3, (3, 1)),
    *_r(4, 2),
    *_c(4, 8, 3, 3),
    *_r(8, 2),
    *_c(8, 16, 3, (3, 2)),
    *_r(16, 1),
    *_c(16, 32, 3, 1, 0),
    *_c(32, 32, 1, 1, 0),
]
DECODER = (  # each takes what the last gave, and the face encoder's output of the same size after it
    _c(32, 32, 1, 1, 0),
    [(64, 32, 3, -1, 0, False), *_r(32, 1)],
    _up(64, 32, 2),
    _up(48, 24, 2),
    _up(32, 16, 2),
    _up(20, 8, 2),
    _up(10, 4, 2),
)


class Block(nn.Module):
    """Convolution, batch normalisation, the input added where it is residual, ReLU."""

    def __init__(self, row: Row, width: int, inputs: int) -> None:
        super().__init__()
        before, after, kernel, stride, padding, self.residual = row
        before, after = before * width or inputs, after * width
        self.up = not isinstance(stride, tuple) and stride < 0
        if isinstance(stride, int) and stride < 0:
            conv: Any = nn.ConvTranspose2d(before, after, kernel, -stride, padding, output_padding=-stride - 1)
        else:
            conv = nn.Conv2d(before, after, kernel, stride, padding)
        self.conv_block = nn.Sequential(conv, nn.BatchNorm2d(after))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = self.conv_block(x)
        return torch.relu_(made.add_(x) if self.residual else made)

    def fuse(self) -> None:
        """Take the normalisation into the convolution: the same output from one step instead of two."""
        conv, norm = self.conv_block
        self.conv_block = nn.Sequential(fusion.fuse_conv_bn_eval(conv, norm, self.up))


class Wav2Lip(nn.Module):
    """Generator: a mel piece (B, 1, 80, 16) and faces (B, 6, 96, 96) to faces (B, 3, 96, 96), 0..1.

    `width` is the first layer's channels, to which all others are in proportion: 16 in the published files.
    """

    def __init__(self, width: int = PUBLISHED) -> None:
        super().__init__()

        def stack(rows: list[Row], inputs: int = 0) -> nn.Sequential:
            return nn.Sequential(*[Block(row, width, inputs) for row in rows])

        self.width = width
        self.face_encoder_blocks = nn.ModuleList([stack(rows, 6) for rows in FACE])
        self.audio_encoder = stack(SOUND, 1)
        self.face_decoder_blocks = nn.ModuleList([stack(rows) for rows in DECODER])
        last: Row = (5, 2, 3, 1, 1, False)
        self.output_block = nn.Sequential(Block(last, width, 0), nn.Conv2d(2 * width, 3, 1), nn.Sigmoid())

    def forward(self, mel: torch.Tensor, face: torch.Tensor) -> torch.Tensor:
        seen = []
        for block in self.face_encoder_blocks:
            face = block(face)
            seen.append(face)
        made = self.audio_encoder(mel)
        for block in self.face_decoder_blocks:
            made = torch.cat((block(made), seen.pop()), dim=1)
        return self.output_block(made)

    def fuse(self) -> Wav2Lip:
        """Fuse all blocks, for inference; the state dict is another one then."""
        self.eval()
        for module in self.modules():
            if isinstance(module, Block):
                module.fuse()
        return self
