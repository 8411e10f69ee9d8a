"""What a batch gains in speech recognition: N segments in one batch against one after the other, in the same run.

    python -m benchmarks.engine_whisper [--size base] [--batch 8] [--tokens 60] [--engine whisper faster-whisper]

The model has the true dimensions of its size and random weights, so nothing is downloaded; the work of a step is that
of the published one. The end of the text is suppressed and the length fixed: every segment decodes exactly `--tokens`
tokens, as true segments of 15 to 20 s do. The encoder, the decoder and the timing of words are timed apart.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import whisper
from whisper.decoding import DecodingOptions

from benchmarks.engine_report import Row, hand
from dubd.engines.contract import Recording
from dubd.engines.whisper_torch import TorchDecoder, _BatchTask
from dubd.engines.whisper_window import RATE, windows

# layers and state of each size (heads are state / 64), from the README and checkpoints of openai/whisper
SIZES = {"tiny": (4, 384), "base": (6, 512), "small": (12, 768), "medium": (24, 1024)}


def random_model(size: str) -> Any:
    layers, state = SIZES[size]
    torch.manual_seed(0)
    dims = whisper.model.ModelDimensions(80, 1500, state, state // 64, layers, 51865, 448, state, state // 64, layers)
    model = whisper.model.Whisper(dims).eval()
    torch.nn.init.normal_(model.decoder.positional_embedding, std=0.02)
    return model


class PyTorch:
    name = "whisper"

    def __init__(self, model: Any, _: Path) -> None:
        self.model = model
        self.decoder = TorchDecoder(model, half=False, beam=1)
        end = self.decoder.eot
        self.options: Callable[[int], DecodingOptions] = lambda tokens: DecodingOptions(
            language="en", fp16=False, sample_len=tokens, suppress_tokens=[end], without_timestamps=True
        )

    def encode(self, samples: list[np.ndarray]) -> Any:
        return self.decoder.encode([windows(Recording(one, "en"))[0] for one in samples])

    def decode(self, encoded: Any, tokens: int) -> list[list[int]]:
        return [list(one.tokens) for one in _BatchTask(self.model, self.options(tokens)).run(encoded)]

    def align(self, encoded: Any, texts: list[list[int]]) -> None:
        self.decoder.align(encoded, [[token % 50_000 for token in text] for text in texts], [2000] * len(texts), "en")


class CTranslate2:
    name = "faster-whisper"

    def __init__(self, model: Any, folder: Path) -> None:
        from dubd.engines.whisper_ct2 import Ct2Decoder
        from dubd.engines.whisper_ct2 import model as load
        from tests.engines.tiny_whisper import converted

        torch.save({"dims": model.dims.__dict__, "model_state_dict": model.state_dict()}, folder / "random.pt")
        made = converted(folder / "random.pt", folder / "converted")
        self.decoder = Ct2Decoder(lambda: load(made, "benchmark", "cpu", "int8"), made, beam=1)

    def encode(self, samples: list[np.ndarray]) -> Any:
        return self.decoder.encode([windows(Recording(one, "en"))[0] for one in samples])

    def decode(self, encoded: Any, tokens: int) -> list[list[int]]:
        from dubd.engines.whisper_ct2 import _view

        tokenizer = self.decoder._tokenizer("en")
        prompt = [*tokenizer.sot_sequence, tokenizer.no_timestamps]
        made = self.decoder._model.model.generate(
            _view(encoded), [prompt] * len(encoded), beam_size=1,
            max_length=max(2 * tokens, len(prompt) - 1 + tokens),  # it writes half of it at the most
            suppress_tokens=[tokenizer.eot], suppress_blank=False,
        )  # fmt: skip
        return [one.sequences_ids[0] for one in made]

    def align(self, encoded: Any, texts: list[list[int]]) -> None:
        self.decoder.align(encoded, [[token % 50_000 for token in text] for text in texts], [2000] * len(texts), "en")


def once(engine: Any, samples: list[np.ndarray], tokens: int) -> list[float]:
    """Processor seconds of encoding, of decoding and of timing the words."""
    marks = [time.process_time()]
    encoded = engine.encode(samples)
    marks.append(time.process_time())
    texts = engine.decode(encoded, tokens)
    marks.append(time.process_time())
    assert [len(text) for text in texts] == [tokens] * len(samples), [len(text) for text in texts]
    engine.align(encoded, texts)
    marks.append(time.process_time())
    return [after - before for before, after in pairwise(marks)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="base")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=60)
    parser.add_argument("--engine", nargs="+", default=["whisper", "faster-whisper"])
    args = parser.parse_args()
    noise = np.random.default_rng(0)
    samples = [(noise.standard_normal(20 * RATE) * 0.1).astype(np.float32) for _ in range(args.batch)]
    model = random_model(args.size)
    print(f"{args.size}, {args.batch} segments of 20 s, {args.tokens} tokens each, {torch.get_num_threads()} threads")
    for kind in (PyTorch, CTranslate2):
        if kind.name not in args.engine:
            continue
        with tempfile.TemporaryDirectory() as folder:
            engine = kind(model, Path(folder))
            once(engine, samples[:1], 2)  # what a first call alone takes: kernels, and code that is compiled
            together = once(engine, samples, args.tokens)
            alone = np.sum([once(engine, [one], args.tokens) for one in samples], axis=0)
        for label, figures in (("one by one", alone), ("one batch", together)):
            parts = ", ".join(f"{part} {s:.2f}" for part, s in zip(("encode", "decode", "time"), figures, strict=True))
            print(f"  {engine.name:15} {label:11} {sum(figures):6.2f} s  ({parts})")
        print(
            f"  {engine.name:15} {sum(alone) / sum(together):.2f} times as fast, decoding {alone[1] / together[1]:.2f}"
        )
        name = f"{engine.name}: {args.batch} windows one by one, in one batch"
        hand(Row(name, "cpu s", sum(alone), sum(together)))
        hand(Row(f"{engine.name}: of these, decoding alone", "cpu s", alone[1], together[1]))


if __name__ == "__main__":
    main()
