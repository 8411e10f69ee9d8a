"""NLLB at its true size: sentences a minute one by one and in a batch, and memory.

    python -m benchmarks.engine_nllb [--batch 32] [--alone 4] [--tokens 16] [--beams 1]

The network has the shape of nllb-200-distilled-600M and random weights; its tokenizer is a small one of the same
kind. Every sentence is decoded to the same number of tokens, so that both ways do the same work; what it says is
noise. The way through is that of the engine: sorted, padded, masked, decoded. Times are processor seconds
of one run each, after one sentence to warm up.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

from benchmarks.engine_report import Row, hand
from tests.engines import tiny_nllb


def main() -> None:
    """Measure and print."""
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--batch", type=int, default=32)
    args.add_argument("--alone", type=int, default=4)
    args.add_argument("--tokens", type=int, default=16)
    args.add_argument("--beams", type=int, default=1)
    asked = args.parse_args()

    import torch
    from transformers import M2M100Config, M2M100ForConditionalGeneration
    from transformers.modeling_utils import no_init_weights

    from dubd.engines.nllb_model import Translator

    with tempfile.TemporaryDirectory() as folder:
        translator = Translator(tiny_nllb.make(Path(folder, "tiny"), steps=1), "cpu", "fp32")
    shape = {f"{part}_{what}": n for part in ("encoder", "decoder") for what, n in _SHAPE.items()}
    with no_init_weights():
        network = M2M100ForConditionalGeneration(M2M100Config(vocab_size=256_206, d_model=1024, **shape)).eval()
    torch.manual_seed(0)
    for weights in network.parameters():
        weights.data.normal_(0.0, 0.02)
    network.tie_weights()
    count = sum(weights.numel() for weights in network.parameters())
    translator._model = network
    generate = network.generate

    def bounded(**more: object) -> object:  # every sentence ends at the same length: noise would end at any
        return generate(**{**more, "min_new_tokens": asked.tokens, "max_new_tokens": asked.tokens})

    network.generate = bounded

    words = " ".join(two for _, two, _ in tiny_nllb.PHRASES).split()
    texts = [" ".join((words * 3)[n : n + 9]) for n in range(asked.batch)]

    def seconds(some: list[str], batch: int) -> float:
        began = time.process_time()
        for at in range(0, len(some), batch):
            translator.translate(some[at : at + batch], "eng_Latn", "hin_Deva", asked.beams, 1, lambda _: batch)
        return time.process_time() - began

    seconds(texts[:1], 1)
    alone = seconds(texts[: asked.alone], 1) / asked.alone
    together = seconds(texts, asked.batch) / asked.batch
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{count / 1e6:.1f} M parameters, {torch.get_num_threads()} threads of {os.cpu_count()}, "
        f"{asked.tokens} tokens, beams {asked.beams}\n"
        f"one by one {alone:6.2f} s a sentence, in batches of {asked.batch} {together:6.2f} s: "
        f"{alone / together:.1f} times as quick; peak {peak:.0f} MiB"
    )
    hand(Row(f"nllb: a sentence alone, in a batch of {asked.batch}", "cpu s", alone, together))


_SHAPE = {"layers": 12, "attention_heads": 16, "ffn_dim": 4096}

if __name__ == "__main__":
    main()
