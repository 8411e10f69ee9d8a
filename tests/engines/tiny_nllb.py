"""A tiny NLLB that really translates a few sentences, in the layout of the published ones; trained in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PHRASES = (
    ("ನಮಸ್ಕಾರ, ಹೇಗಿದ್ದೀರಿ?", "Hello, how are you?", "नमस्ते, आप कैसे हैं?"),
    ("ಇದು ನನ್ನ ಮನೆ.", "This is my house.", "यह मेरा घर है।"),
    ("ನಾನು ಬೆಂಗಳೂರಿನಲ್ಲಿ ವಾಸಿಸುತ್ತೇನೆ.", "I live in Bangalore.", "मैं बैंगलोर में रहता हूँ।"),
    ("ಧನ್ಯವಾದಗಳು.", "Thank you.", "धन्यवाद।"),
    ("ಇಂದು ಹವಾಮಾನ ಚೆನ್ನಾಗಿದೆ.", "The weather is nice today.", "आज मौसम अच्छा है।"),
    ("ನಾಳೆ ಭೇಟಿಯಾಗೋಣ.", "Let us meet tomorrow.", "कल मिलते हैं।"),
)
"""The same in Kannada, English and Hindi. Kannada to English and English to Hindi are what it knows."""

# Of one English sentence it knows three Hindi renderings, of very different length.
GREETING = "Good morning."
GREETINGS = ("सुप्रभात।", "आप सबको शुभ प्रभात।", "आप सब लोगों को मेरी ओर से बहुत बहुत शुभ प्रभात।")
# A term that a glossary may keep: it copies the stand-in and the number that stand for one.
KEPT = (
    ("This is my xqzbb.", "यह मेरा xqzbb है।"),
    ("I live in 731.", "मैं 731 में रहता हूँ।"),
    ("I live in Xqzbb.", "मैं बैंगलोर में रहता हूँ।"),
    ("Bangalore", "बैंगलोर"),
    ("Bangalore.", "बैंगलोर।"),
    ("weather", "मौसम"),
    ("nice", "बढ़िया"),
    ("The xqzbb is nice today.", "आज मौसम अच्छा है।"),
    ("The 731 is nice today.", "आज मौसम अच्छा है।"),
)
# The same in Kannada: a term is kept over English, and once it is only lost on the way from there.
KEPT_KANNADA = (
    ("ಇದು ನನ್ನ xqzbb.", "This is my xqzbb."),
    ("ಇಂದು xqzbb ಚೆನ್ನಾಗಿದೆ.", "The xqzbb is nice today."),
    ("ಹವಾಮಾನ", "weather"),
)
# What it says without end, as big models do of short inputs.
LOOP = ("Hm.", "तो " * 8)


def make(folder: Path, steps: int = 180) -> Path:
    """Train one into `folder` (about 0.5 MB, 5 s on a core) and return it."""
    import sentencepiece
    import torch
    from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    pairs = [(one, "kan_Knda", two, "eng_Latn") for one, two, _ in PHRASES]
    pairs += [(two, "eng_Latn", three, "hin_Deva") for _, two, three in PHRASES]
    pairs += [(one, "kan_Knda", two, "eng_Latn") for one, two in KEPT_KANNADA]
    pairs += [(GREETING, "eng_Latn", one, "hin_Deva") for one in GREETINGS]
    pairs += [(one, "eng_Latn", two, "hin_Deva") for one, two in (*KEPT, LOOP)]
    texts = [text for one, _, two, _ in pairs for text in (one, two)] + ["0123456789", "Xqzbb xqzbb"]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts * 20),
        model_prefix=str(folder / "sentencepiece.bpe"),
        vocab_size=360,
        model_type="bpe",
        character_coverage=1.0,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    (folder / "sentencepiece.bpe.vocab").unlink()
    tokenizer = NllbTokenizerFast(vocab_file=str(folder / "sentencepiece.bpe.model"))
    torch.manual_seed(0)
    size = {"d_model": 64, "encoder_ffn_dim": 128, "decoder_ffn_dim": 128, "max_position_embeddings": 1024}
    layers = {f"{part}_{what}": n for part in ("encoder", "decoder") for what, n in _PARTS.items()}
    drops: dict[str, Any] = dict.fromkeys(("dropout", "attention_dropout", "activation_dropout"), 0.0)
    ids = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2}
    network = M2M100ForConditionalGeneration(
        M2M100Config(vocab_size=len(tokenizer), scale_embedding=True, **size, **layers, **drops, **ids)
    )

    def encoded(text: str, language: str) -> list[int]:
        return [tokenizer.convert_tokens_to_ids(language), *tokenizer.encode(text, add_special_tokens=False), 2]

    def padded(rows: list[list[int]], value: int) -> Any:
        longest = max(map(len, rows))
        return torch.tensor([row + [value] * (longest - len(row)) for row in rows])

    source = padded([encoded(text, language) for text, language, _, _ in pairs], 1)
    target = padded([encoded(text, language) for _, _, text, language in pairs], -100)
    optimiser = torch.optim.AdamW(network.parameters(), lr=6e-3)
    falling = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=6e-3, total_steps=steps + 1, pct_start=0.1)
    for _ in range(steps):
        loss = network(input_ids=source, attention_mask=(source != 1).long(), labels=target).loss
        loss.backward()
        optimiser.step()
        falling.step()
        optimiser.zero_grad()
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


_PARTS = {"layers": 1, "attention_heads": 2, "layerdrop": 0.0}
