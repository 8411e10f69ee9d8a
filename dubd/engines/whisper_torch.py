"""Whisper in PyTorch, by the openai-whisper library. Imported by an engine's `load` alone: it brings in torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
import whisper
from whisper.audio import N_FRAMES, log_mel_spectrogram
from whisper.decoding import DecodingOptions, DecodingTask, GreedyDecoder
from whisper.model import LayerNorm, ModelDimensions, Whisper
from whisper.timing import find_alignment
from whisper.tokenizer import get_tokenizer

from dubd.engines import checkpoint
from dubd.engines.whisper_batch import Decoded
from dubd.engines.whisper_window import Timed, Window
from dubd.errors import DubdError

_REMEDY: Final = "a .pt of openai-whisper is wanted (dubd models list); for others see docs/engines/whisper.md"


def model(path: Path, stage: str, device: str, *, half: bool, published: str | None) -> Whisper:
    """The model in `path`, an openai-whisper checkpoint; `published` is its name there, for its alignment heads.

    Errors: DubdError where the file is none. Read once, without whisper.load_model: that wants it hashed or trusted,
    and keeps the weights in fp32 on a GPU too, casting them anew at every step.
    """
    if path.is_dir():
        raise DubdError(f"a folder{_layout(path)}, where a .pt file is wanted", file=path, stage=stage, remedy=_REMEDY)
    read = checkpoint.read(path, stage)
    try:
        made = Whisper(ModelDimensions(**read["dims"]))
        made.load_state_dict(checkpoint.weights(read, "model_state_dict"))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise DubdError(f"no Whisper checkpoint{_recognised(read)}", file=path, stage=stage, remedy=_REMEDY) from error
    except RuntimeError as error:
        reason = "its weights do not fit the dimensions that it states"
        raise DubdError(f"a broken Whisper checkpoint: {reason}", file=path, stage=stage, remedy=_REMEDY) from error
    heads = whisper._ALIGNMENT_HEADS.get(published or "")
    if heads is not None:
        made.set_alignment_heads(heads)
    if half:
        made.half()
        for module in made.modules():
            if isinstance(module, LayerNorm):  # whisper's own computes in fp32
                module.float()
    return made.to(device).eval()


def _layout(folder: Path) -> str:
    if (folder / "model.bin").is_file():
        return " as faster-whisper has them"
    return " as transformers has them" if (folder / "config.json").is_file() else ""


def _recognised(read: Any) -> str:
    keys = [key for key in read if isinstance(key, str)] if isinstance(read, dict) else []
    if any(key.startswith(("model.encoder.", "encoder.layers.", "proj_out")) for key in keys):
        return ", but one of transformers"
    return f", it holds {', '.join(keys[:3])}" if keys else ""


class TorchDecoder:
    """`whisper_batch.Decoder` with a PyTorch model. `encode` returns audio features, (windows, 1500, state)."""

    def __init__(self, loaded: Whisper, *, half: bool, beam: int) -> None:
        self._model = loaded
        self._half = half
        self._beam = beam
        self.limit = loaded.dims.n_text_ctx // 2
        self.eot, self.timestamp = self._tokenizer("en").eot, self._tokenizer("en").timestamp_begin

    def knows(self, language: str) -> bool:
        return language in self._tokenizer("en").all_language_codes if self._model.is_multilingual else language == "en"

    def encode(self, windows: Sequence[Window]) -> torch.Tensor:
        # Each alone: log_mel_spectrogram takes its loudest value from all that it is given, so a neighbour would count.
        mels = [
            log_mel_spectrogram(torch.from_numpy(window.samples), self._model.dims.n_mels)[:, :N_FRAMES]
            for window in windows
        ]
        mel = torch.stack(mels).to(self._model.device, torch.float16 if self._half else torch.float32)
        with torch.no_grad():
            # On a processor one by one: what a window needs stays in its caches (an eighth less time).
            alone = self._model.device.type == "cpu"
            return torch.cat([self._model.encoder(part) for part in mel.split(1 if alone else len(mel))])

    def choose(self, encoded: torch.Tensor, which: Sequence[int]) -> torch.Tensor:
        return encoded[list(which)]

    def languages(self, encoded: torch.Tensor) -> list[tuple[str, float]]:
        if not self._model.is_multilingual:
            return [("en", 1.0)] * len(encoded)
        _, probabilities = self._model.detect_language(encoded)
        return [max(one.items(), key=lambda pair: pair[1]) for one in probabilities]

    def decode(self, encoded: torch.Tensor, language: str, temperature: float, seeds: Sequence[int]) -> list[Decoded]:
        beam = self._beam if temperature == 0 and self._beam > 1 else None
        options = DecodingOptions(language=language, temperature=temperature, beam_size=beam, fp16=self._half)
        task = _BatchTask(self._model, options)
        if temperature > 0:
            task.decoder = _Drawn(temperature, self.eot, seeds, task.sample_len)
        made = task.run(encoded)
        return [Decoded(tuple(one.tokens), one.text, float(one.avg_logprob), float(one.no_speech_prob)) for one in made]

    def align(
        self, encoded: torch.Tensor, texts: Sequence[Sequence[int]], frames: Sequence[int], language: str
    ) -> list[list[Timed]]:
        tokenizer = self._tokenizer(language)
        encoded_already = _Encoded(self._model)
        return [
            [
                Timed(one.word, float(one.start), float(one.end), float(one.probability))
                for one in find_alignment(encoded_already, tokenizer, list(text), features, count)
            ]
            for features, text, count in zip(encoded, texts, frames, strict=True)
        ]

    def _tokenizer(self, language: str) -> Any:
        return get_tokenizer(
            self._model.is_multilingual, num_languages=self._model.num_languages, language=language, task="transcribe"
        )


class _BatchTask(DecodingTask):
    """whisper.decode for several windows with a beam: 20250625 no longer repeats their features for each of its rows.

    With one window the library gets by (one row is broadcast over the beam), with two it fails in the cross-attention.
    """

    def _get_audio_features(self, mel: torch.Tensor) -> torch.Tensor:
        return mel.repeat_interleave(self.n_group, dim=0)

    def _detect_language(self, audio_features: torch.Tensor, tokens: torch.Tensor) -> tuple[list[str | None], None]:  # noqa: ARG002
        return [self.options.language] * len(tokens), None


class _Drawn(GreedyDecoder):
    """Draws each window's tokens by its own seed: what a window says does not depend on those beside it."""

    def __init__(self, temperature: float, eot: int, seeds: Sequence[int], steps: int) -> None:
        super().__init__(temperature, eot)
        # On the CPU, so that every device draws the same.
        drawn = [
            torch.rand(steps, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) for seed in seeds
        ]
        self._drawn = torch.stack(drawn, dim=1)  # (steps, windows), in [0, 1)
        self._step = 0

    def update(
        self, tokens: torch.Tensor, logits: torch.Tensor, sum_logprobs: torch.Tensor
    ) -> tuple[torch.Tensor, bool]:
        """As the library's, but for how a token is drawn: by the inverse of the distribution's sum."""
        upto = (logits.double() / self.temperature).softmax(dim=-1).cumsum(dim=-1)
        drawn = self._drawn[self._step].to(logits.device)[:, None] * upto[:, -1:]
        self._step += 1
        chosen = torch.searchsorted(upto, drawn, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)
        ended = tokens[:, -1] == self.eot
        rows = torch.arange(len(chosen), device=logits.device)
        sum_logprobs += logits.float().log_softmax(dim=-1)[rows, chosen] * ~ended
        tokens = torch.cat([tokens, torch.where(ended, self.eot, chosen)[:, None]], dim=-1)
        return tokens, bool((tokens[:, -1] == self.eot).all())


class _Encoded:
    """The model as find_alignment sees it, for what is encoded already: it would encode every window once more."""

    def __init__(self, loaded: Whisper) -> None:
        self.dims, self.device, self.decoder = loaded.dims, loaded.device, loaded.decoder
        self.alignment_heads = loaded.alignment_heads

    def __call__(self, features: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        return self.decoder(tokens, features)
