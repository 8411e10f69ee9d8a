"""Whisper checkpoints of 13 MB with weights set by hand: they say what they are told, whoever speaks.

The decoder's position embedding at p holds the code of the token that comes after p, and the output layer picks the
token of that code: greedy search reads the script off. Half of the dimensions hold one script, half another; a dark
voice leaves the first standing, a bright one the second: the encoder measures the upper bands, the first decoder block
averages them over time and its MLP, two ramps a dimension, lets the one half or the other grow. Four more dimensions
hold a clock, in the encoder's positions as in the decoder's, so that the second block's attention falls on the time
at which each token is said, and word times come from it as they do from a trained model.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from whisper.model import ModelDimensions, Whisper
from whisper.tokenizer import get_tokenizer

Said = Sequence[tuple[float, float, str]]  # start and end in s, text

KANNADA: Said = (
    (0.5, 2.5, "ಹೌದು."),
    (3.5, 6.0, "ಇದು ಮನೆ."),
    (7.0, 9.5, "ಸರಿ, ಬಾ."),
)
_HALF = 28  # dimensions of a script's codes
_STATE = 64
_CLOCK = 2 * _HALF  # 4 dimensions, and 1 for brightness; the others hold nothing
_BRIGHT = _CLOCK + 4
_HEADS = 4
_SPAN = 30.0  # s in half a turn of the clock
_GROWS = 40.0
CONTEXT = 448  # positions of the published decoders; a window's text has half of them


def make(
    folder: Path, said: Said = KANNADA, bright: Said | None = None, language: str = "kn", context: int = CONTEXT
) -> Path:
    """A checkpoint as openai-whisper reads it; a bright voice is taken to say `bright`, where given."""
    path = folder / "whisper.pt"
    made = scripted(said, bright or said, language, context)
    torch.save({"dims": made.dims.__dict__, "model_state_dict": made.state_dict()}, path)
    return path


def scripted(said: Said, bright: Said, language: str, context: int = CONTEXT) -> Whisper:
    torch.manual_seed(0)
    tokenizer = get_tokenizer(True, num_languages=99, language=language, task="transcribe")
    dims = ModelDimensions(80, 1500, _STATE, _HEADS, 1, 51865, context, _STATE, _HEADS, 2)
    model = Whisper(dims)
    for name, weight in model.state_dict().items():
        if weight.dtype.is_floating_point:
            weight.fill_(1.0 if name.endswith(("ln.weight", "ln_post.weight")) else 0.0)
    decoder, encoder = model.decoder, model.encoder
    decoder.ln.weight.data.fill_(_SURE)

    codes = torch.randn(dims.n_vocab, 2 * _HALF)
    codes = codes / codes.view(-1, 2, _HALF).norm(dim=2).repeat_interleave(_HALF, 1)
    decoder.token_embedding.weight.data[:, : 2 * _HALF] = codes
    place = torch.zeros(dims.n_text_ctx, _STATE)
    for half, script in enumerate((said, bright)):
        tokens, times = _tokens(script, tokenizer)
        part = slice(half * _HALF, (half + 1) * _HALF)
        for position in range(dims.n_text_ctx):
            after = tokens[position + 1] if position + 1 < len(tokens) else tokenizer.eot
            place[position, part] = 10 * codes[after, part]
            if half == 0:
                place[position, _CLOCK : _CLOCK + 4] = _clock(times[min(position, len(times) - 1)])
    decoder.positional_embedding.data.copy_(place)

    encoder.positional_embedding[:, _CLOCK : _CLOCK + 4] = torch.stack([_clock(0.02 * n) for n in range(1500)])
    encoder.conv1.weight.data[_BRIGHT, 40:, 1] = 0.5
    encoder.conv1.bias.data[_BRIGHT] = 8.0  # the floor of 40 bands, so that only what is above it counts
    encoder.conv2.weight.data[_BRIGHT, _BRIGHT, 1] = 1.0

    first, second = decoder.blocks
    first.cross_attn.value.weight.data[0, _BRIGHT] = 1.0  # no query: the mean over time
    first.cross_attn.out.weight.data[_BRIGHT, 0] = 60.0
    first.cross_attn.out.bias.data[_BRIGHT] = -_THRESHOLD
    for half in range(2):
        for n in range(_HALF):
            at, unit = half * _HALF + n, 2 * (half * _HALF + n)
            for sign in range(2):
                first.mlp[0].weight.data[unit + sign, at] = 1.0 - 2 * sign
                first.mlp[0].weight.data[unit + sign, _BRIGHT] = 3.0 if half else -3.0
                first.mlp[2].weight.data[at, unit + sign] = _GROWS * (1.0 - 2 * sign)
    for weight in (second.cross_attn.query.weight, second.cross_attn.key.weight):
        for head in range(_HEADS):
            for n in range(2):
                weight.data[head * _STATE // _HEADS + n, _CLOCK + n] = _SHARP[weight is second.cross_attn.key.weight]
    return model


_SURE = 8.0
_THRESHOLD = 30.0
_SHARP = (60.0, 2.0)  # of the query and of the key


def _tokens(script: Said, tokenizer: Any) -> tuple[list[int], list[float]]:
    """What is said and, for each position, when: between one pair of times, as words are timed without any."""
    start, end = script[0][0], script[-1][1]
    begin = tokenizer.timestamp_begin
    tokens, times = [*tokenizer.sot_sequence, begin + round(start * 50)], [start] * len(tokenizer.sot_sequence)
    for first, last, text in script:
        said = tokenizer.encode(" " + text)
        tokens += said
        times += [first + (last - first) * n / len(said) for n in range(len(said))]
    return [*tokens, begin + round(end * 50), tokenizer.eot], [*times, end]


def _clock(seconds: float) -> torch.Tensor:
    angle = math.pi * seconds / _SPAN
    hand = torch.tensor([math.cos(angle), math.sin(angle)])
    return 10 * torch.cat([hand, -hand])


def converted(checkpoint: Path, folder: Path) -> Path:
    """The same weights as CTranslate2 wants them: `model.bin` with its vocabulary, config and tokenizer.json."""
    from ctranslate2.specs.whisper_spec import WhisperSpec

    read = torch.load(checkpoint, weights_only=True)
    dims, weights = read["dims"], {name: one.numpy() for name, one in read["model_state_dict"].items()}
    spec = WhisperSpec(dims["n_audio_layer"], dims["n_audio_head"], dims["n_text_layer"], dims["n_text_head"])

    def norm(part: Any, name: str) -> None:
        part.gamma, part.beta = weights[f"{name}.weight"], weights[f"{name}.bias"]

    def linear(part: Any, *names: str) -> None:
        none = np.zeros(dims["n_text_state"], np.float32)
        part.weight = np.concatenate([weights[f"{name}.weight"] for name in names])
        part.bias = np.concatenate([weights.get(f"{name}.bias", none) for name in names])

    def layer(part: Any, name: str, cross: bool) -> None:
        linear(part.self_attention.linear[0], *(f"{name}.attn.{one}" for one in ("query", "key", "value")))
        linear(part.self_attention.linear[1], f"{name}.attn.out")
        norm(part.self_attention.layer_norm, f"{name}.attn_ln")
        if cross:
            linear(part.attention.linear[0], f"{name}.cross_attn.query")
            linear(part.attention.linear[1], f"{name}.cross_attn.key", f"{name}.cross_attn.value")
            linear(part.attention.linear[2], f"{name}.cross_attn.out")
            norm(part.attention.layer_norm, f"{name}.cross_attn_ln")
        linear(part.ffn.linear_0, f"{name}.mlp.0")
        linear(part.ffn.linear_1, f"{name}.mlp.2")
        norm(part.ffn.layer_norm, f"{name}.mlp_ln")

    for conv in ("conv1", "conv2"):
        getattr(spec.encoder, conv).weight = weights[f"encoder.{conv}.weight"]
        getattr(spec.encoder, conv).bias = weights[f"encoder.{conv}.bias"]
    spec.encoder.position_encodings.encodings = weights["encoder.positional_embedding"]
    norm(spec.encoder.layer_norm, "encoder.ln_post")
    spec.decoder.embeddings.weight = weights["decoder.token_embedding.weight"]
    spec.decoder.projection.weight = weights["decoder.token_embedding.weight"]
    spec.decoder.position_encodings.encodings = weights["decoder.positional_embedding"]
    norm(spec.decoder.layer_norm, "decoder.ln")
    for n, part in enumerate(spec.encoder.layer):
        layer(part, f"encoder.blocks.{n}", cross=False)
    for n, part in enumerate(spec.decoder.layer):
        layer(part, f"decoder.blocks.{n}", cross=True)

    encoding = get_tokenizer(True, num_languages=99).encoding
    special = {token: name for name, token in encoding._special_tokens.items()}
    vocabulary = _vocabulary(encoding)
    spec.register_vocabulary([*vocabulary, *(special[n] for n in range(len(vocabulary), dims["n_vocab"]))])
    tokenizer = get_tokenizer(True, num_languages=99)
    spec.config.lang_ids = list(tokenizer.all_language_tokens)
    spec.config.suppress_ids = list(tokenizer.non_speech_tokens)
    spec.config.suppress_ids_begin = [*tokenizer.encode(" "), tokenizer.eot]
    spec.config.alignment_heads = [[1, head] for head in range(dims["n_text_head"])]
    spec.validate()
    spec.optimize(quantization="float32")
    folder.mkdir(parents=True)
    spec.save(str(folder))
    _tokenizer_file(encoding, vocabulary, special, folder / "tokenizer.json")
    return folder


def _vocabulary(encoding: Any) -> list[str]:
    """Byte sequences as the letters that byte-level BPE writes them with, by rank."""
    letter = _letters()
    ranked = sorted(encoding._mergeable_ranks.items(), key=lambda pair: pair[1])
    return ["".join(letter[byte] for byte in token) for token, _ in ranked]


def _letters() -> dict[int, str]:
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + n) for n, byte in enumerate(others)}


def _tokenizer_file(encoding: Any, vocabulary: list[str], special: dict[int, str], path: Path) -> None:
    """A tokenizer.json that decodes (it has no merges, so that it cannot encode)."""
    from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE

    made = Tokenizer(BPE(vocab={token: n for n, token in enumerate(vocabulary)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    names = [special[n] for n in sorted(special)]
    made.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    assert json.loads(made.to_str())["model"]["type"] == "BPE" and made.token_to_id(names[0]) == encoding.eot_token
    made.save(str(path))
