"""The Whisper models that OpenAI published, and SYSTRAN's conversions of them: files, sizes, memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dubd.engines.contract import Vram
from dubd.models.model import File, Model, Needed, Own, from_hub

_OPENAI: Final = "https://openaipublic.azureedge.net/main/whisper/models"
_TOKENS: Final = 230  # that one window may take: half the text context and what begins and ends it
_AUDIO: Final = 1500  # positions of the encoder's output for a window
_VOCABULARY: Final = 51_866


@dataclass(frozen=True)
class Shape:
    """What a model's memory follows from. README of openai/whisper; ModelDimensions of the checkpoints."""

    parameters: float  # millions
    layers: int  # of the decoder
    state: int
    heads: int


_TINY, _BASE = Shape(39, 4, 384, 6), Shape(74, 6, 512, 8)
_SMALL, _MEDIUM = Shape(244, 12, 768, 12), Shape(769, 24, 1024, 16)
_LARGE, _TURBO = Shape(1550, 32, 1280, 20), Shape(809, 4, 1280, 20)
_SHAPES: Final = {
    "tiny": _TINY, "base": _BASE, "small": _SMALL, "medium": _MEDIUM,
    "large-v2": _LARGE, "large-v3": _LARGE, "turbo": _TURBO,
}  # fmt: skip


def _checkpoint(name: str, size: int, sha256: str) -> Model:
    """Its address and sha256 are those of whisper._MODELS (20250625)."""
    file = "large-v3-turbo.pt" if name == "turbo" else f"{name}.pt"
    url = f"{_OPENAI}/{sha256}/{file}"
    return Model(f"whisper/{name}", (File(file, url, size, sha256),), "MIT", "https://github.com/openai/whisper")


def _converted(name: str, repo: str, revision: str, weights: tuple[int, str], config: tuple[int, str]) -> Model:
    files: tuple[File, ...] = (File("config.json", None, *config), File("model.bin", None, *weights))
    if name == "turbo":
        files += (_PREPROCESSOR, _TURBO_TOKENIZER, _VOCABULARY_3)
    elif name == "large-v3":
        files += (_PREPROCESSOR, _TOKENIZER_3, _VOCABULARY_3)
    else:
        files += (_TOKENIZER_2, _VOCABULARY_2)
    return from_hub(f"faster-whisper/{name}", repo, revision, files, "MIT")


_TOKENIZER_2: Final = File(
    "tokenizer.json", None, 2_203_239, "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab"
)
_VOCABULARY_2: Final = File(
    "vocabulary.txt", None, 459_861, "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913"
)
_TOKENIZER_3: Final = File(
    "tokenizer.json", None, 2_480_617, "6d8cbd7cd0d8d5815e478dac67b85a26bbe77c1f5e0c6d76d1ce2abc0e5f21ca"
)
_TURBO_TOKENIZER: Final = File(
    "tokenizer.json", None, 2_710_337, "297b13372ac43916285644fb9687add3cc62ee2a1adb60da3dc25cc94c1871fd"
)
_VOCABULARY_3: Final = File(
    "vocabulary.json", None, 1_068_114, "c69260f2ab26d659b7c398f9a2b2b48ed0df16c3b47d7326782fd9cba71690c1"
)
_PREPROCESSOR: Final = File(
    "preprocessor_config.json", None, 340, "7ccc62c6f2765af1f3b46c00c9b5894426835a05021c8b9c01eecb6dfb542711"
)

OPENAI: Final = {
    name: _checkpoint(name, size, sha256)
    for name, size, sha256 in (
        ("large-v3", 3_087_371_615, "e5b1a55b89c1367dacf97e3e19bfd829a01529dbfdeefa8caeb59b3f1b81dadb"),
        ("large-v2", 3_086_999_982, "81f7c96c852ee8fc832187b0132e569d6c3065a3252ed18e56effd0b6a73e524"),
        ("turbo", 1_617_941_637, "aff26ae408abcba5fbf8813c21e62b0941638c5f6eebfb145be0c9839262a19a"),
        ("medium", 1_528_008_539, "345ae4da62f9b3d59415adc60127b97c714f32e89e936602e85993674d08dcb1"),
        ("small", 483_617_219, "9ecf779972d90ba49c06d968637d720dd632c55bbf19d441fb42bf17a411e794"),
        ("base", 145_262_807, "ed3a0b6b1c0edf879ad9b11b1af5a0e6ab5db9205f891f668f8b0e6c6326e34e"),
        ("tiny", 75_572_083, "65147644a518d12f04e32d6f3b26facc3f8dd46e5390956a9424a650c0ce22b9"),
        ("medium.en", 1_528_006_491, "d7440d1dc186f76616474e0ff0b3b6b879abc9d1a4926b7adfa41db2d497ab4f"),
        ("small.en", 483_615_683, "f953ad0fd29cacd07d5a9eda5624af0f6bcf2258be67c92b79389873d91e0872"),
        ("base.en", 145_261_783, "25a8566e1d0c1e2231d1c762132cd20e0f96a85d16145c3a00adf5d1ac670ead"),
        ("tiny.en", 75_571_315, "d3dd57d32accea0b295c96e26691aa14d8822fac7d9d27d5dc00b4ca2826dd03"),
    )
}

CONVERTED: Final = {
    name: _converted(name, repo, revision, weights, config)
    for name, repo, revision, weights, config in (
        ("large-v3", "Systran/faster-whisper-large-v3", "edaa852ec7e145841d8ffdb056a99866b5f0a478",
         (3_087_284_237, "69f74147e3334731bc3a76048724833325d2ec74642fb52620eda87352e3d4f1"),
         (2_394, "a9306624f5ec14270a014b647e5c316b6e03a662c369758d1b90697a7b0655b9")),
        ("large-v2", "Systran/faster-whisper-large-v2", "f0fe81560cb8b68660e564f55dd99207059c092e",
         (3_086_912_962, "bf2a9746382e1aa7ffff6b3a0d137ed9edbd9670c3b87e5d35f5e85e70d0333a"),
         (2_796, "d86b7a7664a12559d644aa210a32ce9a7e03913e794b7ea4fb7182de69e273a7")),
        ("turbo", "dropbox-dash/faster-whisper-large-v3-turbo", "0a363e9161cbc7ed1431c9597a8ceaf0c4f78fcf",
         (1_617_884_929, "e76620f83d5f5b69efd3d87e3dc180c1bd21df9fbebacfd4335e5e1efcc018da"),
         (2_263, "b0253ea6c0d3bea6b1e19e91a02acfd3b53f4467362efcb5a3e6b16c9b3a9b7e")),
        ("medium", "Systran/faster-whisper-medium", "08e178d48790749d25932bbc082711ddcfdfbc4f",
         (1_527_906_378, "9b45e1009dcc4ab601eff815b61d80e60ce3fd8c74c1a14f4a282258286b51ae"),
         (2_257, "3622a2ddc41ec0e0fd4e68c13c6830f03b90c38d89aaad184de02c8c642cf807")),
        ("small", "Systran/faster-whisper-small", "536b0662742c02347bc0e980a01041f333bce120",
         (483_546_902, "3e305921506d8872816023e4c273e75d2419fb89b24da97b4fe7bce14170d671"),
         (2_370, "b55496ac7940a7ae47d2c01eab40edfd8701feec1229d9cce3b40014383fb828")),
        ("base", "Systran/faster-whisper-base", "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
         (145_217_532, "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"),
         (2_309, "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a")),
        ("tiny", "Systran/faster-whisper-tiny", "d90ca5fe260221311c53c58e660288d3deb8d356",
         (75_538_270, "dcb76c6586fc06cbdac6dd21f14cfd129cc4cdd9dce19bf4ffa62e59cbe6e6d1"),
         (2_249, "a73a28cdfe1c43ccc7202fa333d1f89c202477271407ae9a7f19afa52039cac8")),
    )
}  # fmt: skip


def shape(needed: Needed, weights: Path | None = None) -> Shape:
    """Of a published model by its name; of one's own by the size of its `weights`, taken to be fp16, rounded up."""
    if not isinstance(needed, Own):
        return _SHAPES[needed.name.split("/")[1].removesuffix(".en")]
    size = weights.stat().st_size / 1e6 if weights is not None and weights.is_file() else float("inf")
    return next((one for one in (_TINY, _BASE, _SMALL, _MEDIUM) if size <= 2.1 * one.parameters), _LARGE)


def torch_vram(shape: Shape, bytes_each: int, beam: int) -> Vram:
    """MiB in PyTorch.

    For each window: keys and values of the cross-attention for every row of the beam, those of the text twice (they
    are copied when they grow), and the encoder's widest layer (10 states a position). Once: the attention of all heads
    over all tokens, fp32, while one window's words are timed, and its logits.
    """
    row = 2 * shape.layers * shape.state * (_AUDIO + 2 * _TOKENS) * bytes_each
    item = beam * row + 10 * _AUDIO * shape.state * bytes_each
    timing = shape.layers * shape.heads * _TOKENS * _AUDIO * 4 + 2 * _TOKENS * _VOCABULARY * 4
    return Vram(_mib(shape.parameters * 1e6 * bytes_each + timing), _mib(item))


def ct2_vram(shape: Shape, weight_bytes: int, activation_bytes: int, beam: int) -> Vram:
    """MiB in CTranslate2.

    For each window: the cross-attention's keys and values once for all rows of the beam, those of the text a row, the
    encoder's widest layer, and the logits of all tokens, fp32, while words are timed.
    """
    item = 2 * shape.layers * shape.state * (_AUDIO + 2 * beam * _TOKENS) * activation_bytes
    item += 10 * _AUDIO * shape.state * activation_bytes + _TOKENS * _VOCABULARY * 4
    return Vram(_mib(shape.parameters * 1e6 * weight_bytes), _mib(item))


def _mib(count: float) -> int:
    return round(count / 2**20) + 1
