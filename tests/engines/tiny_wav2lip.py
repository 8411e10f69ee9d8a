"""A Wav2Lip checkpoint in the published layout whose answer is known: it shows the reference, darker where loud.

The first layer hands the reference's colours to the last one, which turns them into the logits that its sigmoid turns
back. One channel carries the loudness of the piece of sound through both towers, and is taken off all logits.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from dubd.engines.wav2lip_net import Block, Wav2Lip

DARKER = 2.0  # logits at full loudness


def make(folder: Path, width: int = 4, name: str = "wav2lip_gan.pth") -> Path:
    """Write it to `folder`, as the training program does: keys under `module.`, an optimizer, two counts."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {f"module.{key}": value for key, value in network(width).state_dict().items()}
    steps = {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1e-4}]}
    torch.save({"state_dict": state, "optimizer": steps, "global_step": 7, "global_epoch": 1}, folder / name)
    return folder / name


@torch.no_grad()
def network(width: int = 4) -> Wav2Lip:
    """The network, not fused."""
    net = Wav2Lip(width).eval()
    for key, value in net.state_dict().items():
        value.fill_((1 - 1e-5) if key.endswith("running_var") else 0)  # with its epsilon, a normalisation divides by 1
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.fill_(1)
    _colours(net)
    _loudness(net)
    return net


def _colours(net: Wav2Lip) -> None:
    """Channels 3 to 5 of the input to the output, through a logit made of a few hinges for each colour."""
    width = net.width
    net.face_encoder_blocks[0][0].conv_block[0].weight[range(3), range(3, 6), 3, 3] = 1
    count = (2 * width - 1) // 3
    knots = (0.5 - 0.5 * np.cos(np.linspace(0, np.pi, count + 1)))[:count]  # dense at the ends, where a logit is steep
    at = np.linspace(0.004, 0.996, 500)
    hinges = np.column_stack([np.maximum(at[:, None] - knots, 0), np.ones_like(at)])
    slope = (at * (1 - at))[:, None]  # an error of the logit counts by what the sigmoid makes of it
    found = np.linalg.lstsq(hinges * slope, np.log(at / (1 - at)) * slope[:, 0], rcond=None)[0]
    first, last = net.output_block[0].conv_block[0], net.output_block[1]
    for colour in range(3):
        for place in range(count):
            row = colour * count + place
            first.weight[row, 4 * width + colour, 1, 1] = 1
            first.bias[row] = -float(knots[place])
            last.weight[colour, row] = float(found[place])
        last.bias[colour] = float(found[-1])


def _loudness(net: Wav2Lip) -> None:
    """The mean of the sound, 0 for silence to 1, in the first channel of every layer down to the last."""
    sound = [block for block in net.audio_encoder if not block.residual]
    for place, block in enumerate(sound):
        kernel = block.conv_block[0].weight[0, 0]
        kernel.fill_(1 / kernel.numel() / (8 if place == 0 else 1))
        block.conv_block[0].bias[0] = 0.5 if place == 0 else 0
    for stack in net.face_decoder_blocks:
        block: Block = stack[0]
        # Each tap on its own makes every pixel four, or one to nine where the stride is 1.
        block.conv_block[0].weight[0, 0] = 1
        if block.up and block.conv_block[0].stride == (2, 2):
            block.conv_block[0].weight[0, 0, 0] = 0
            block.conv_block[0].weight[0, 0, :, 0] = 0
    row = 2 * net.width - 1
    net.output_block[0].conv_block[0].weight[row, 0, 1, 1] = 1
    net.output_block[1].weight[:, row] = -DARKER
