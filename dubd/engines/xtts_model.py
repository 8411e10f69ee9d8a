"""XTTS v2 itself, by coqui-tts: loading from a folder, taking on a voice, tokens, sound. Imports torch and TTS."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from dubd.engines import checkpoint, torchaudio_cpu
from dubd.errors import DubdError
from dubd.models import store

# Nothing is fetched while a model is loaded, whatever a library thinks it lacks.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
torchaudio_cpu.prepare()

import torchaudio  # noqa: E402
from TTS.config.shared_configs import BaseDatasetConfig  # noqa: E402
from TTS.tts.configs.xtts_config import XttsArgs, XttsAudioConfig, XttsConfig  # noqa: E402
from TTS.tts.layers.xtts.tokenizer import multilingual_cleaners  # noqa: E402
from TTS.tts.models.xtts import Xtts  # noqa: E402

_FILES: Final = ("config.json", "vocab.json", "model.pth")
RATE: Final = 24_000  # Hz of what it says
_HEARD_AT: Final = 22_050  # Hz of what it listens to: `load_sr` of Xtts.get_conditioning_latents
_DTYPES: Final = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
# Checkpoints of 2023 hold their configuration as objects, some under a module that these classes have left since.
_HARMLESS: Final = [
    XttsConfig,
    BaseDatasetConfig,
    XttsArgs,
    XttsAudioConfig,
    (XttsArgs, "TTS.tts.models.xtts.XttsArgs"),
    (XttsAudioConfig, "TTS.tts.models.xtts.XttsAudioConfig"),
]


@dataclass(frozen=True)
class Voice:
    """`latent` (1, 32, channels) conditions the words, `embedding` (1, 512, 1) their sound; both float32."""

    latent: torch.Tensor
    embedding: torch.Tensor

    @classmethod
    def of(cls, arrays: Mapping[str, Any]) -> Voice:
        """Of NumPy's or PyTorch's arrays under the names that speakers_xtts.pth has. KeyError where one is missing."""
        return cls(*(torch.as_tensor(arrays[name]).float() for name in ("gpt_cond_latent", "speaker_embedding")))

    def arrays(self) -> dict[str, np.ndarray]:
        """For NumPy, under the same names."""
        return {"gpt_cond_latent": self.latent.numpy(), "speaker_embedding": self.embedding.numpy()}


@dataclass(frozen=True)
class Uttered:
    """What the model means to say: `latents` (1, tokens, channels) on the CPU; `ended` where it stopped by itself."""

    latents: torch.Tensor
    tokens: tuple[int, ...]
    ended: bool


class Model:
    """One XTTS in memory."""

    def __init__(self, folder: Path, device: str, precision: str) -> None:
        """Errors: DubdError that names the file that is missing, broken, no XTTS, or not only weights."""
        remedy = "dubd models pull, or name a folder with config.json, vocab.json and model.pth"
        if folder.is_file():
            raise DubdError("a file, where a model's folder is wanted", file=folder, stage="speak", remedy=remedy)
        if absent := [name for name in _FILES if not (folder / name).is_file()]:
            raise DubdError(f"no {' and no '.join(absent)} there", file=folder, stage="speak", remedy=remedy)
        if precision not in _DTYPES:
            raise DubdError(f"XTTS does not run in {precision}", stage="speak", remedy="precision: fp16, or fp32")
        self.device, self._dtype = device, _DTYPES[precision]
        self._config = _config(folder / "config.json")
        with torch.serialization.safe_globals(_HARMLESS):
            read = checkpoint.read(folder / "model.pth", "speak")
        self._model = _built(folder, self._config, read).to(device)
        speakers = folder / "speakers_xtts.pth"
        self.catalogue = _catalogue(speakers) if speakers.is_file() else {}
        self.tokenizer = self._model.tokenizer
        self.known = cache(self._known)

    def _known(self, character: str) -> bool:
        tokens = self.tokenizer.tokenizer
        unknown = tokens.token_to_id("[UNK]")
        ids = tokens.encode(character).ids
        return bool(ids) and unknown not in ids

    def cleaned(self, text: str, language: str) -> str:
        """`text` as the library's cleaners leave it, in its own script, without what the vocabulary lacks."""
        plain = language.split("-")[0]
        if plain != "ja":  # its cleaner goes straight to Latin letters
            text = multilingual_cleaners(text, plain)
        read = self.tokenizer.preprocess_text(text, plain)
        lacking = {one for one in read if not one.isspace() and not self.known(one)}
        kept = "".join(one for one in text if one not in lacking and one.lower() not in lacking)
        return " ".join(kept.split())

    def fits(self, text: str, language: str) -> bool:
        """Whether the text has no more tokens than the model takes."""
        count: int = len(self.tokenizer.encode(text, lang=language))
        return count < int(self._model.args.gpt_max_text_tokens)

    @torch.inference_mode()
    def condition(self, pieces: Sequence[np.ndarray], rate: int) -> Voice:
        """The voice in these pieces (mono float32, the best first), by the lengths of the model's own config.json."""
        heard = [torchaudio.functional.resample(torch.from_numpy(piece)[None], rate, _HEARD_AT) for piece in pieces]
        heard = [one[:, : _HEARD_AT * self._config.max_ref_len].clip(-1, 1).to(self.device) for one in heard]
        if self._config.sound_norm_refs:
            heard = [one / one.abs().max().clamp(min=1e-5) * 0.75 for one in heard]
        embedding = torch.stack([self._model.get_speaker_embedding(one, _HEARD_AT) for one in heard]).mean(dim=0)
        latent = self._model.get_gpt_cond_latents(
            torch.cat(heard, dim=-1),
            _HEARD_AT,
            length=self._config.gpt_cond_len,
            chunk_length=self._config.gpt_cond_chunk_len,
        )
        return Voice(latent.float().cpu(), embedding.float().cpu())

    @torch.inference_mode()
    def utter(self, text: str, language: str, voice: Voice, seed: int, settings: Mapping[str, Any]) -> Uttered:
        """Tokens for a text that fits, drawn with `seed`: the same ones every time on the same device.

        The steps of Xtts.inference up to the vocoder, so that its tokens can be looked at and half precision ends
        where it would be heard.
        """
        gpt = self._model.gpt
        plain = language.split("-")[0]
        ids = self.tokenizer.encode(text.strip().lower(), lang=plain)
        tokens = torch.tensor([ids], dtype=torch.int32, device=self.device)
        latent = voice.latent.to(self.device)
        torch.manual_seed(seed)
        with torch.autocast(self.device.split(":")[0], self._dtype, enabled=self._dtype is not torch.float32):
            codes = gpt.generate(
                cond_latents=latent, text_inputs=tokens, do_sample=True, num_beams=1, num_return_sequences=1, **settings
            )
            length = torch.tensor([codes.shape[-1] * gpt.code_stride_len], device=self.device)
            size = torch.tensor([tokens.shape[-1]], device=self.device)
            made = gpt(tokens, size, codes, length, cond_latents=latent, return_attentions=False, return_latent=True)
        said = tuple(codes[0].tolist())
        ended = bool(said) and said[-1] == gpt.stop_audio_token
        return Uttered(made.float().cpu(), tuple(one for one in said if one != gpt.stop_audio_token), ended)

    @torch.inference_mode()
    def sound(self, uttered: Uttered, voice: Voice, speed: float) -> np.ndarray:
        """Mono float32 at 24 kHz, `speed` times as quick at the same pitch: the latents are interpolated."""
        latents = uttered.latents.to(self.device)
        if speed != 1.0:
            turned = latents.transpose(1, 2)
            latents = torch.nn.functional.interpolate(turned, scale_factor=1 / speed, mode="linear").transpose(1, 2)
        made = self._model.hifigan_decoder(latents, g=voice.embedding.to(self.device))
        samples: np.ndarray = made.float().cpu().reshape(-1).numpy()
        return samples


def _config(path: Path) -> Any:
    config = XttsConfig()
    try:
        config.load_json(str(path))
    except Exception as error:  # coqpit lets through whatever json and its own checks raise
        said = str(error).splitlines() or ["it has another form"]  # of a list it says nothing
        raise _wrong(path, f"not XTTS's configuration: {said[0]}") from error
    if config.model != "xtts":
        raise _wrong(path, f"the configuration of {config.model!r}, not of xtts")
    return config


def _built(folder: Path, config: Any, read: Any) -> Any:
    """The model with its weights, by the library's own loader."""
    path = folder / "model.pth"
    try:
        weights = checkpoint.weights(read, "model")
    except ValueError as error:
        raise _wrong(path, str(error)) from error
    try:
        model = Xtts(config)
        # The library would read the file again, and write an old one anew over the user's.
        model._load_checkpoint = lambda _: weights
        model.load_checkpoint(config, checkpoint_dir=str(folder), eval=True, speaker_file_path="")
        del model._load_checkpoint  # and with it the weights as they were read
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        first = next((line.strip() for line in str(error).splitlines()[1:] if line.strip()), str(error))
        raise _wrong(path, f"not the weights of this XTTS: {first[:160]}") from error
    except Exception as error:  # tokenizers raises bare Exceptions
        raise _wrong(folder / "vocab.json", f"not XTTS's vocabulary: {str(error)[:160]}") from error
    return model


def _catalogue(path: Path) -> dict[str, Voice]:
    read = checkpoint.read(path, "speak")
    try:
        return {str(name): Voice.of(arrays) for name, arrays in read.items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise _wrong(path, "not a catalogue of XTTS's voices") from error


def _wrong(path: Path, reason: str) -> DubdError:
    return DubdError(reason, file=path, stage="speak", remedy=store.again(path))
