"""A small XTTS v2 of random weights in the release's own layout: what the real loader takes, 93 MB, made in 2 s."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dubd.engines import torchaudio_cpu
from dubd.engines.xtts_text import LIMITS

VOICES = ("Ana Florence", "Gracie Wise", "Damien Black", "Luis Moray")
_CHANNELS = 64
_LETTERS = "áéíóúñü¿¡çãõâêôàèßäöőűşğıćęłńśźżčěřšťůž"


def make(folder: Path, *, seconds: float = 0.6, old: bool = False, voices: tuple[str, ...] = VOICES) -> Path:
    """`folder` with model.pth, config.json, vocab.json and speakers_xtts.pth.

    It babbles for `seconds` on average, of 1.7 at most: the end of speech is made as likely as that takes.
    `old`: the checkpoint holds its configuration as an object, as the published one does.
    """
    import torch

    torchaudio_cpu.prepare()
    from TTS.tts.configs.xtts_config import XttsArgs, XttsConfig
    from TTS.tts.models.xtts import Xtts

    folder.mkdir(parents=True, exist_ok=True)
    tokens = _vocabulary(folder / "vocab.json")
    config = XttsConfig()
    config.gpt_cond_len = config.max_ref_len = 30
    config.model_args = XttsArgs(
        gpt_layers=2,
        gpt_n_model_channels=_CHANNELS,
        gpt_n_heads=2,
        decoder_input_dim=_CHANNELS,
        gpt_max_audio_tokens=40,
        gpt_max_text_tokens=402,
        gpt_max_prompt_tokens=70,
        gpt_num_audio_tokens=1026,
        gpt_start_audio_token=1024,
        gpt_stop_audio_token=1025,
        gpt_number_text_tokens=len(tokens),
        gpt_start_text_token=tokens["[START]"],
        gpt_stop_text_token=tokens["[STOP]"],
        gpt_use_perceiver_resampler=True,
        gpt_use_masking_gt_prompt_approach=True,
    )
    torch.manual_seed(0)
    weights = Xtts(config).state_dict()
    # Top-k sampling leaves 50 of 1026 tokens with nearly one probability: the end's is 1 in `seconds` / 46.4 ms.
    weights["gpt.mel_head.bias"][1025] = torch.tensor(50 * 0.0464 / max(seconds, 0.05)).log() + 0.5
    saved: Any = config if old else config.to_dict()
    torch.save({"config": saved, "model": weights, "optimizer": [], "scaler": None}, folder / "model.pth")
    config.save_json(str(folder / "config.json"))
    catalogue = {name: _voice(number) for number, name in enumerate(voices)}
    torch.save(catalogue, folder / "speakers_xtts.pth")
    return folder


def _voice(seed: int) -> dict[str, Any]:
    import torch

    drawn = torch.Generator().manual_seed(seed)
    return {
        "gpt_cond_latent": torch.randn(1, 32, _CHANNELS, generator=drawn),
        "speaker_embedding": torch.randn(1, 512, 1, generator=drawn),
    }


def _vocabulary(path: Path) -> dict[str, int]:
    """A token for each language and each letter, and their numbers."""
    special = ["[STOP]", "[UNK]", "[SPACE]", *(f"[{language}]" for language in LIMITS), "[START]"]
    letters = [chr(code) for code in (*range(0x21, 0x7F), *range(0x400, 0x460), *range(0x600, 0x660))]
    letters += [chr(code) for code in range(0x900, 0x980)] + list(_LETTERS)
    tokens = {token: number for number, token in enumerate(dict.fromkeys([*special, *letters]))}
    added = [
        {"id": tokens[token], "content": token, "special": True}
        | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        for token in special
    ]
    file = {
        "version": "1.0",
        "added_tokens": added,
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "BPE", "unk_token": "[UNK]", "vocab": tokens, "merges": []},
    }
    path.write_text(json.dumps(file, ensure_ascii=False), encoding="utf-8")
    return tokens
