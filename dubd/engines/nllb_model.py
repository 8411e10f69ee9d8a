"""NLLB's network: read safely from a folder, asked in batches of like length. Imported by a worker alone: torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, NllbTokenizer, NllbTokenizerFast
from transformers.utils import logging

from dubd.engines import checkpoint
from dubd.engines.nllb import longest
from dubd.engines.nllb_route import Rendering
from dubd.engines.sentences import halves, joined
from dubd.errors import DubdError
from dubd.models import store

SCORED: Final = 64  # tokens whose probabilities over the whole vocabulary are in memory at once
_STAGE: Final = "translate"
_LONGEST: Final = 400  # tokens of a sentence; NLLB was trained on up to 512
_REPEATS: Final = 4  # times in a row that no translation says the same thing
_AGAIN: Final = {"repetition_penalty": 1.3, "no_repeat_ngram_size": 4}
_DTYPES: Final = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class Translator:
    """A model of the M2M-100 architecture with NLLB's tokenizer."""

    def __init__(self, folder: Path, device: str, precision: str) -> None:
        self._folder = folder
        _plausible(folder)
        level = logging.get_verbosity()
        logging.set_verbosity_error()
        try:
            self._tokenizer = self._read_tokenizer()
            # It says that padding apart is slower; lengths are needed before batches are.
            self._tokenizer.deprecation_warnings["Asking-to-pad-a-fast-tokenizer"] = True
            self._model = self._read_model(precision).to(device).eval()
        finally:
            logging.set_verbosity(level)
        if len(self._tokenizer) > self._model.config.vocab_size:
            raise _refused(folder, "tokenizer and weights are of two models", "get all of its files from one place")

    def translate(
        self, texts: Sequence[str], source: str, target: str, beams: int, best: int, at_once: Callable[[int], int]
    ) -> list[list[Rendering]]:
        """Up to `best` different renderings of each text, best first; `source` and `target` are FLORES codes.

        Texts are taken in the order of their length, so that little is padded; `at_once` tells how many of them may go
        together where the longest has so many tokens. Padding is masked:
        what a text becomes depends on the others only by rounding (1e-6 in fp32), which may swap near-equal renderings.
        Errors: ValueError where the model has no such language.
        """
        for code in (source, target):
            self._id(code)
        self._tokenizer.src_lang = source
        ids = self._tokenizer(list(texts))["input_ids"]
        made: dict[int, list[Rendering]] = {}
        for index, text in enumerate(texts):
            if len(ids[index]) > _LONGEST and all(parts := halves(text)):
                done = self.translate(parts, source, target, beams, 1, at_once)
                score = sum(one[0].score for one in done) / len(done)
                made[index] = [Rendering(joined([one[0].text for one in done], target), score)]
        order = sorted((n for n in range(len(texts)) if n not in made), key=lambda n: (-len(ids[n]), texts[n]))
        while order:
            most = at_once(len(ids[order[0]]))
            some, order = order[:most], order[most:]
            found = self._batch([ids[n] for n in some], target, beams, best, {})
            looped = [n for n, one in enumerate(found) if not one]
            if looped:
                again = self._batch([ids[some[n]] for n in looped], target, beams, best, _AGAIN, keep=True)
                for n, one in zip(looped, again, strict=True):
                    found[n] = one
            made |= dict(zip(some, found, strict=True))
        return [made[n] for n in range(len(texts))]

    def _batch(
        self, ids: list[list[int]], target: str, beams: int, best: int, more: dict[str, Any], *, keep: bool = False
    ) -> list[list[Rendering]]:
        """Renderings of each; none where the best runs in circles. With `keep` those that do not, or it cut short."""
        with torch.inference_mode():
            return self._rendered(ids, target, beams, min(best, beams), more, keep)

    def _rendered(
        self, ids: list[list[int]], target: str, beams: int, count: int, more: dict[str, Any], keep: bool
    ) -> list[list[Rendering]]:
        padded = self._tokenizer.pad({"input_ids": ids}, return_tensors="pt").to(self._model.device)
        made = self._model.generate(
            **padded,
            forced_bos_token_id=self._id(target),
            num_beams=beams,
            num_return_sequences=count,
            max_new_tokens=longest(max(map(len, ids))),
            max_length=None,
            do_sample=False,
            **more,
        )
        scores = self._scores(padded, made, count) if count > 1 else [0.0] * len(made)
        found = []
        for n, own in enumerate(ids):
            rows = range(n * count, (n + 1) * count)
            tokens = {row: self._said(made[row]) for row in rows}
            fit = [row for row in rows if circle(tokens[row], own) is None]
            if not keep and rows[0] not in fit:
                fit = []  # beams beside a best that runs in circles are leftovers
            elif not fit:
                tokens[rows[0]] = tokens[rows[0]][: circle(tokens[rows[0]], own)]
                fit = [rows[0]]
            said = [(self._tokenizer.decode(tokens[row], skip_special_tokens=True).strip(), scores[row]) for row in fit]
            texts: dict[str, float] = {}
            for text, score in sorted(said, key=lambda one: -one[1]):
                texts.setdefault(text, score)
            found.append([Rendering(text, score) for text, score in texts.items()])
        return found

    def _scores(self, padded: Any, made: torch.Tensor, count: int) -> list[float]:
        """Mean log-probability of each row's tokens, the language token and padding aside.

        `generate` tells scores only with those of every token of the vocabulary at every step, which is gigabytes.
        """
        again = {name: value.repeat_interleave(count, 0) for name, value in padded.items()}
        hidden = self._model.model(**again, decoder_input_ids=made[:, :-1]).last_hidden_state
        wanted = made[:, 1:].clone()
        wanted[:, 0] = self._tokenizer.pad_token_id  # the forced language
        kept = wanted != self._tokenizer.pad_token_id
        flat, tokens = hidden[kept], wanted[kept]
        parts = []
        for at in range(0, len(tokens), SCORED):
            rows = self._model.lm_head(flat[at : at + SCORED]).float().log_softmax(-1)
            parts.append(rows.gather(1, tokens[at : at + SCORED, None])[:, 0].cpu())
        values = torch.zeros(kept.shape)
        values[kept.cpu()] = torch.cat(parts)
        return [float(one) for one in values.sum(1) / kept.sum(1).clamp(min=1).cpu()]

    def _said(self, row: torch.Tensor) -> list[int]:
        special = set(self._tokenizer.all_special_ids)
        return [one for one in row.tolist() if one not in special]

    def _id(self, code: str) -> int:
        found = self._tokenizer.convert_tokens_to_ids(code)
        if found is None or found == self._tokenizer.unk_token_id:
            raise ValueError(f"{self._folder.name} has no language {code}")
        return int(found)

    def _read_tokenizer(self) -> Any:
        try:
            found = AutoTokenizer.from_pretrained(self._folder, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # the tokenizers library raises bare exceptions
            raise _refused(self._folder, "its tokenizer cannot be read", _again(self._folder)) from error
        if not isinstance(found, NllbTokenizer | NllbTokenizerFast):
            raise _refused(self._folder, f"its tokenizer is {type(found).__name__}, not NLLB's", _REMEDY)
        return found

    def _read_model(self, precision: str) -> Any:
        """Errors: DubdError with the file that is cut short or more than weights, or that lacks some of them."""
        for file in sorted(self._folder.glob("*.bin")):
            checkpoint.no_bomb(file, _STAGE)
        try:
            model, told = AutoModelForSeq2SeqLM.from_pretrained(
                self._folder,
                local_files_only=True,
                trust_remote_code=False,
                torch_dtype=_DTYPES[precision],
                output_loading_info=True,
            )
        except (OSError, RuntimeError, ValueError, SafetensorError) as error:
            for file in sorted(self._folder.glob("*.bin")):
                checkpoint.read(file, _STAGE)  # which of them, and why
            raise _refused(
                self._folder, "its weights cannot be read: cut short, or of another shape", _again(self._folder)
            ) from error
        if lacking := sorted(told["missing_keys"]) + [one[0] for one in told["mismatched_keys"]]:
            raise _refused(
                self._folder, f"its weights lack {lacking[0]} and {len(lacking) - 1} more", _again(self._folder)
            )
        return model


_REMEDY: Final = "name a folder of an NLLB model as published (facebook/nllb-200-...)"
_TOKENIZERS: Final = ("tokenizer.json", "sentencepiece.bpe.model")


def circle(tokens: Sequence[int], source: Sequence[int]) -> int | None:
    """Where `tokens` begin to go round in circles, or run on too long; None where they do not.

    The same 1 to 12 tokens four times in a row, unless the source says something over and over too. As many tokens as
    `generate` is allowed for the source alone (one of them is the language) are too many: it came to no end.
    """
    most = longest(len(source)) - 1
    if _first_circle(source) is None and (found := _first_circle(tokens)) is not None:
        return found
    return most if len(tokens) >= most else None


def _first_circle(tokens: Sequence[int]) -> int | None:
    for at in range(len(tokens)):
        for size in range(1, 13):
            end = at + size * _REPEATS
            if end > len(tokens):
                break
            if list(tokens[at : at + size]) * _REPEATS == list(tokens[at:end]):
                return at + size
    return None


def _plausible(folder: Path) -> None:
    """Errors: DubdError where the folder holds something else, before anything of it is loaded."""
    if not folder.is_dir():
        raise _refused(folder, "no folder of a model there", "dubd models pull, or a path to one")
    there = {file.name for file in folder.iterdir() if file.is_file()}
    lacking = [] if "config.json" in there else ["config.json"]
    if there.isdisjoint(_TOKENIZERS):
        lacking.append(f"tokenizer ({', '.join(_TOKENIZERS)})")
    if not any(name.endswith((".safetensors", ".bin")) for name in there):
        lacking.append("weights (model.safetensors, pytorch_model.bin)")
    if lacking:
        raise _refused(folder, f"no {' and no '.join(lacking)} in it", f"dubd models pull, or {_REMEDY}")
    try:
        kind = json.loads((folder / "config.json").read_text("utf-8"))["model_type"]
    except (ValueError, KeyError, TypeError) as error:
        raise _refused(folder / "config.json", "not a model's configuration", _again(folder)) from error
    if kind != "m2m_100":
        raise _refused(folder, f"a model of the kind {kind!r}, not NLLB's (m2m_100)", _REMEDY)


def _again(folder: Path) -> str:
    return f"it may be cut short: {store.again(folder)}"


def _refused(where: Path, reason: str, remedy: str) -> DubdError:
    return DubdError(reason, file=where, stage=_STAGE, remedy=remedy)
