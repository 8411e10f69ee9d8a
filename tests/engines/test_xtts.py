"""xtts: a small checkpoint through the library's own loader; voices, languages, guards, and the stages that use it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dubd.engines import xtts_text
from dubd.engines.contract import Latents, Line, Reference, Spoken
from dubd.engines.espeak import Espeak
from dubd.engines.xtts import PUBLISHED, Manner, Xtts
from dubd.errors import DubdError
from dubd.graph import rules
from dubd.media import ffmpeg
from dubd.stages import clone, speak, voice
from dubd.stages.job import Job
from tests.engines import tiny_xtts
from tests.graph.plugin import installed

pytestmark = pytest.mark.skipif(Xtts.missing() is not None, reason=str(Xtts.missing()))

RATE = 48_000
HELLO = Line("नमस्ते दोस्तों, 25 लोग आए।", "hi", "auto", 1.0, 110.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_xtts.make(tmp_path_factory.mktemp("xtts"))


@pytest.fixture(scope="module")
def engine(folder: Path) -> Xtts:
    return loaded(folder)


@pytest.fixture(scope="module")
def heard(talking_head: Path) -> np.ndarray:
    return ffmpeg.read_audio(talking_head, 24_000)


def loaded(folder: Path, precision: str | None = None, **params: Any) -> Xtts:
    made = Xtts()
    made.precision = precision
    made.load("cpu", Manner(model=str(folder), **{"retries": 0, **params}))
    return made


def said(engine: Xtts, line: Line) -> Spoken:
    (spoken,) = engine.run([line])
    assert isinstance(spoken, Spoken), spoken
    return spoken


def latents(engine: Xtts, samples: np.ndarray) -> Latents:
    (made,) = engine.condition([Reference((samples,), 24_000)])
    assert isinstance(made, Latents), made
    return made


def test_a_line_is_the_same_sound_every_time_and_in_every_order(engine: Xtts, folder: Path) -> None:
    first = said(engine, HELLO)
    assert first.rate == 24_000
    assert first.samples.dtype == np.float32
    assert 0.2 < len(first.samples) / first.rate < 2.0
    assert 0.01 < float(np.abs(first.samples).max()) <= 1.0
    other = said(engine, replace(HELLO, text="अलविदा।"))
    again = loaded(folder)
    assert np.array_equal(said(again, replace(HELLO, text="अलविदा।")).samples, other.samples)
    assert np.array_equal(said(again, HELLO).samples, first.samples)


def test_tokens_and_sound_are_those_of_the_librarys_own_inference(engine: Xtts) -> None:
    import torch

    model = engine._loaded()
    voice = model.catalogue["Damien Black"]
    settings = engine._params.settings(0.75)
    ours = model.sound(model.utter("नमस्ते दोस्तों।", "hi", voice, 5, settings), voice, 1.0)
    torch.manual_seed(5)
    theirs = model._model.inference("नमस्ते दोस्तों।", "hi", voice.latent, voice.embedding, **settings)["wav"]
    assert np.abs(ours - theirs).max() < 1e-5


def test_another_rate_is_the_same_speech_in_less_time(engine: Xtts) -> None:
    natural, quick = said(engine, HELLO), said(engine, replace(HELLO, rate=1.15))
    assert len(natural.samples) / len(quick.samples) == pytest.approx(1.15, abs=0.06)


def test_half_precision_ends_before_the_vocoder(folder: Path, engine: Xtts) -> None:
    half = loaded(folder, precision="bf16")
    spoken = said(half, HELLO)
    assert np.isfinite(spoken.samples).all()
    assert next(half._loaded()._model.hifigan_decoder.parameters()).dtype.itemsize == 4
    assert not np.array_equal(spoken.samples, said(engine, HELLO).samples)


def test_a_cloned_voice_is_another_voice_and_speakers_differ(engine: Xtts, heard: np.ndarray) -> None:
    one, other = latents(engine, heard[:120_000]), latents(engine, heard[120_000:])
    assert one.digest != other.digest
    assert one == latents(engine, heard[:120_000])
    sounds = [said(engine, replace(HELLO, latents=made)).samples for made in (None, one, other)]
    assert len({samples.tobytes() for samples in sounds}) == 3


def test_without_latents_each_speaker_gets_a_voice_of_the_catalogue(engine: Xtts) -> None:
    assert engine._voice(HELLO)[0] == "Damien Black"
    assert engine._voice(replace(HELLO, speaker=1))[0] == "Luis Moray"
    assert engine._voice(replace(HELLO, pitch=220.0, speaker=1))[0] == "Ana Florence"


def test_a_line_that_came_out_wrong_is_tried_again_and_the_best_is_kept(folder: Path) -> None:
    engine = loaded(folder, retries=2)
    drawn: list[tuple[int, float]] = []
    model = engine._loaded()
    model._model.gpt.max_gen_mel_tokens = 12
    model._model.gpt.mel_head.bias.data[model._model.gpt.stop_audio_token] = -100.0  # it never comes to an end
    utter = model.utter

    def watched(text: str, language: str, voice: Any, seed: int, settings: Any) -> Any:
        drawn.append((seed, settings["temperature"]))
        return utter(text, language, voice, seed, settings)

    model.utter = watched  # type: ignore[method-assign]
    spoken = said(engine, HELLO)
    assert any(doubt.startswith("cut off") for doubt in spoken.doubts)
    assert len({seed for seed, _ in drawn}) == 3
    assert drawn[0][1] == 0.75 > drawn[-1][1]


def test_a_long_text_is_said_in_pieces_within_the_languages_limit(engine: Xtts) -> None:
    text = "पहले हम नींव रखते हैं, फिर दीवारें उठाते हैं; और अंत में छत डालते हैं। " * 4
    pieces = engine._pieces(text, "hi")
    assert len(pieces) > 1
    assert all(len(piece.text) <= 150 for piece in pieces)
    whole = said(engine, replace(HELLO, text=text))
    assert len(whole.samples) / whole.rate > sum(piece.pause for piece in pieces)


def test_the_limits_are_the_librarys(engine: Xtts) -> None:
    theirs = engine._loaded().tokenizer.char_limits
    assert {code.split("-")[0]: limit for code, limit in xtts_text.LIMITS.items()} == theirs


def test_numbers_are_words_in_every_language_that_is_read_here(engine: Xtts) -> None:
    for language in xtts_text.LIMITS:
        if Xtts.refuses("en", language) is None:
            (piece,) = engine._pieces("25% = $20, ₹500", language)
            assert not any(one.isdecimal() or one in "%$₹" for one in piece.text), piece


def test_what_the_vocabulary_lacks_is_left_out(engine: Xtts) -> None:
    (piece,) = engine._pieces("नमस्ते ♪ ಕನ್ನಡ 🙂 दोस्तों", "hi")
    assert piece.text == "नमस्ते दोस्तों"


def test_a_line_of_which_nothing_is_left_fails_alone(engine: Xtts) -> None:
    failed, spoken = engine.run([replace(HELLO, text="♪ ♪"), HELLO])
    assert isinstance(failed, ValueError)
    assert "nothing in '♪ ♪'" in str(failed)
    assert isinstance(spoken, Spoken)


def test_a_checkpoint_with_an_old_configuration_loads_and_is_not_rewritten(tmp_path: Path) -> None:
    old = tiny_xtts.make(tmp_path / "old", old=True)
    before = hashlib.sha256((old / "model.pth").read_bytes()).digest()
    loaded(old)
    assert hashlib.sha256((old / "model.pth").read_bytes()).digest() == before


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("open('sprung', 'w')",)


@pytest.mark.parametrize("file", ["model.pth", "speakers_xtts.pth"])
def test_a_checkpoint_that_would_run_code_is_refused_before_it_does(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    import torch

    monkeypatch.chdir(tmp_path)
    bad = copied(folder, tmp_path / "bad", file)
    torch.save({"model": Trap()}, bad / file)
    with pytest.raises(DubdError, match="exec") as caught:
        loaded(bad)
    assert caught.value.file == str(bad / file)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("model.pth", b"PK\x03\x04 cut short", "not a whole PyTorch checkpoint"),
        ("config.json", b'{"model": "vits"}', "the configuration of 'vits', not of xtts"),
        (
            "config.json",
            b"[]",
            "XTTS's configuration: it has another form; copy it again from where it came from",
        ),
        ("config.json", b"{", "config.json: speak: not XTTS's configuration: Expecting"),
        ("vocab.json", b"{}", "vocabulary"),
        ("vocab.json", None, "no vocab.json there"),
    ],
)
def test_a_broken_file_is_named(folder: Path, tmp_path: Path, file: str, content: bytes | None, said: str) -> None:
    bad = copied(folder, tmp_path / "bad", file)
    if content is not None:
        (bad / file).write_bytes(content)
    with pytest.raises(DubdError, match=said) as caught:
        loaded(bad)
    assert str(bad) in str(caught.value)
    assert caught.value.remedy


def test_a_folder_of_ones_own_that_lacks_files_is_told_with_all_of_them(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    remedy = "; dubd models pull, or name a folder with config.json, vocab.json and model.pth"
    for name, said in (("config.json", "no vocab.json and no model.pth there"), ("vocab.json", "no model.pth there")):
        (own / name).write_text("{}")
        with pytest.raises(DubdError) as caught:
            loaded(own)
        assert str(caught.value) == f"{own}: speak: {said}{remedy}"
    with pytest.raises(DubdError, match="a file, where a model's folder is wanted"):
        loaded(own / "vocab.json")


def test_the_weights_of_another_size_are_named(folder: Path, tmp_path: Path) -> None:
    import torch

    bad = copied(folder, tmp_path / "bad", "model.pth")
    torch.save({"model": {"gpt.text_embedding.weight": torch.zeros(2, 2)}}, bad / "model.pth")
    with pytest.raises(DubdError, match="not the weights of this XTTS"):
        loaded(bad)


def copied(folder: Path, target: Path, without: str) -> Path:
    target.mkdir()
    for path in folder.iterdir():
        if path.name != without:
            (target / path.name).symlink_to(path)
    return target


def test_a_voice_that_the_model_lacks_is_told_at_load(folder: Path) -> None:
    with pytest.raises(DubdError, match="no voice 'Nobody'") as caught:
        loaded(folder, voice="Nobody")
    assert "Ana Florence" in caught.value.remedy


def test_the_whole_chain_clones_once_and_speaks_each_segment_with_it(
    engine: Xtts, talking_head: Path, tmp_path: Path
) -> None:
    """voice, clone and speak as the graph runs them, with real speech."""
    sound = ffmpeg.read_audio(talking_head, RATE)
    ffmpeg.write_wav(tmp_path / "audio.wav", sound, RATE)
    seconds = len(sound) / RATE
    turns = [{"id": "000-01", "start": 0.2, "end": seconds - 0.2, "speaker": "S1", "text": "x"}]
    (tmp_path / "transcript.json").write_text(json.dumps({"utterances": turns}))
    files = {name: tmp_path / f"{name}.npz" for name in ("references", "latents")} | {"speakers": tmp_path / "s.json"}
    lists: dict[str, Sequence[Path]] = {
        "audios": [tmp_path / "audio.wav"],
        "transcripts": [tmp_path / "transcript.json"],
    }
    outputs = {name: files[name] for name in ("speakers", "references")}
    (facts,) = voice.run([Job("a/voice", "voice", {}, outputs, {}, lists)])
    assert isinstance(facts, dict), facts
    assert facts["references"]["S1"] > 6

    job = Job("a/clone", "clone", {"references": files["references"]}, {"latents": files["latents"]}, {})
    assert clone.run([job], engine) == [{"voices": 1}]
    made = clone.read(files["latents"], "speak")

    lines = [
        {"id": "000-01", "start": 0.5, "end": 3.0, "speaker": "S1", "text": "नमस्ते दोस्तों।"},
        {"id": "000-02", "start": 4.0, "end": 6.0, "speaker": "S2", "text": "आप कैसे हैं?"},
    ]
    (tmp_path / "translation.json").write_text(json.dumps({"utterances": lines}))
    inputs = {"translation": tmp_path / "translation.json", "audio": tmp_path / "audio.wav"}
    inputs |= {"speakers": files["speakers"], "latents": files["latents"]}
    segment = {"id": "000", "first_sample": 0, "samples": len(sound), "first_frame": 0, "frames": 240}
    outputs = {"speech": tmp_path / "speech.wav", "timing": tmp_path / "speech.json"}
    job = Job("a/000/speak", "speak", inputs, outputs, {"language": "hi", "segment": segment, "cloned": True})
    (facts,) = speak.run([job], engine)
    assert isinstance(facts, dict), facts
    assert facts["lines"] == 2
    first, second = json.loads((tmp_path / "speech.json").read_text())["lines"]
    assert "not in the speaker's voice" not in str(first.get("doubts"))
    assert "not in the speaker's voice" in str(second["doubts"])
    pitch = json.loads(files["speakers"].read_text())["speakers"]["S1"]["pitch"]
    cloned = said(engine, Line("नमस्ते दोस्तों।", "hi", "auto", 1.0, pitch, 0, made["S1"]))
    assert first["natural"] == pytest.approx(len(cloned.samples) / cloned.rate, abs=0.15)


# What a rule says, without a model.


def faults(folder: Path, speak: str, languages: str = "{source: en, target: es}") -> str:
    path = folder / "rule.yaml"
    path.write_text(f"languages: {languages}\nstages: {{translate: turn, speak: {speak}}}\n", encoding="utf-8")
    with installed(folder):
        return "\n".join(map(str, rules.check(path, ready=False)[1]))


def test_a_language_that_it_lacks_is_refused_when_the_rule_is_read_and_who_has_it_is_named(tmp_path: Path) -> None:
    told = faults(tmp_path, "xtts", "{source: en, target: kn}")
    assert "xtts (speak) cannot do en -> kn: its 17 languages are en" in told
    if Espeak.missing() is None:
        assert "espeak" in told


@pytest.mark.parametrize(
    ("speak", "told"),
    [
        ("{engine: xtts, voice: Anna Florence}", "did you mean Ana Florence?"),
        ("{engine: xtts, model: xtts_v3}", "did you mean xtts_v2?"),
        ("{engine: xtts, temperature: 0.0}", "temperature must be above 0"),
    ],
)
def test_a_slip_in_a_rule_is_told_with_what_was_meant(tmp_path: Path, speak: str, told: str) -> None:
    assert told in faults(tmp_path, speak)


def test_only_auto_and_clone_take_on_the_speakers_voice() -> None:
    assert [Xtts.clones(Manner(voice=name)) for name in ("auto", "clone", "Ana Florence")] == [True, True, False]


def test_what_is_published_is_pinned_to_the_byte() -> None:
    (model,) = Xtts.models(Manner())
    assert model is PUBLISHED["xtts_v2"]
    assert all(file.size and file.sha256 and model.revision in str(file.url) for file in PUBLISHED["xtts_v2"].files)


def test_half_precision_costs_a_copy_of_the_weights_on_a_gpu() -> None:
    whole, half = Xtts.vram(Manner(), "fp32"), Xtts.vram(Manner(), None)
    assert whole.model == 1781
    assert half.model - whole.model == pytest.approx(841, abs=1)
