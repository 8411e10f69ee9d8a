from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("whisper", reason="needs the extra whisper")
pytest.importorskip("torch", reason="needs the extra whisper")

import torch

from dubd.engines.contract import Heard, Recording, Room, Word
from dubd.engines.whisper import Whisper, WhisperParams
from dubd.engines.whisper_batch import Decoded, recognise, repetition
from dubd.engines.whisper_torch import TorchDecoder, model
from dubd.engines.whisper_window import LONGEST, RATE, Timed, Window, spoken, windows, written
from dubd.errors import DubdError
from dubd.graph.rules import check
from dubd.media.timeline import SAMPLE_RATE
from dubd.models.model import Model
from dubd.stages import transcribe
from dubd.stages.job import Job
from tests.engines import tiny_whisper
from tests.engines.voices import BRIGHT, DARK, voice

KANNADA = [text for _, _, text in tiny_whisper.KANNADA]
LOOP = ((0.5, 9.0, "no " * 20),)
CONTEXT = 128  # what never ends is cut at 64 tokens
SPEECH = ((0.5, 2.5), (3.5, 6.0), (7.0, 9.5))


class Counting(TorchDecoder):
    """The real decoder; notes how many windows each call decoded, and how hot."""

    def __init__(self, *of: Any, **kinds: Any) -> None:
        super().__init__(*of, **kinds)
        self.calls: list[tuple[int, float]] = []

    def decode(self, encoded: torch.Tensor, language: str, temperature: float, seeds: Sequence[int]) -> list[Decoded]:
        self.calls.append((len(encoded), temperature))
        return super().decode(encoded, language, temperature, seeds)


def recording(
    harmonics: int = DARK, speech: Sequence[tuple[float, float]] = SPEECH, seconds: float = 11.0
) -> Recording:
    samples = np.zeros(round(seconds * RATE), np.float32)
    for start, end in speech:
        sound = voice(end - start, harmonics)
        samples[round(start * RATE) : round(start * RATE) + len(sound)] = sound
    return Recording(samples, "kn", tuple(speech))


def segment(folder: Path, recording: Recording, language: str = "kn") -> Job:
    folder.mkdir()
    high = np.interp(
        np.arange(len(recording.samples) * 3) / 3, np.arange(len(recording.samples)), recording.samples
    ).astype(np.float32)
    soundfile.write(folder / "audio.wav", high, SAMPLE_RATE, subtype="PCM_16")
    params = {
        "language": language,
        "start": 0.0,
        "segment": {"id": "003", "first_sample": 20 * SAMPLE_RATE, "samples": len(high)},
    }
    outputs = {"transcript": folder / "transcript.json"}
    return Job(folder.name, "transcribe", {"audio": folder / "audio.wav"}, outputs, params, engine="whisper")


def texts(heard: Heard | Exception) -> str:
    assert isinstance(heard, Heard), heard
    return " ".join(word.text for word in heard.words)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Says the Kannada sentences of a dark voice, goes round in circles over a bright one."""
    return tiny_whisper.make(tmp_path_factory.mktemp("whisper"), bright=LOOP, context=CONTEXT)


@pytest.fixture(scope="module")
def engine(made: Path) -> Whisper:
    one = Whisper()
    one.room = Room(batch=8)
    one.load("cpu", WhisperParams(str(made)))
    return one


@pytest.fixture
def counting(made: Path) -> Counting:
    return Counting(model(made, "transcribe", "cpu", half=False, published=None), half=False, beam=1)


def test_the_stage_writes_sentences_with_word_times_on_the_programme_clock(tmp_path: Path, engine: Whisper) -> None:
    job = segment(tmp_path / "a", recording())
    (facts,) = transcribe.run([job], engine)
    assert isinstance(facts, dict), facts
    transcript = json.loads(job.outputs["transcript"].read_text(encoding="utf-8"))
    assert (transcript["language"], transcript["origin"]) == ("kn", "whisper")
    lines = transcript["utterances"]
    assert [line["text"] for line in lines] == KANNADA
    for line, (start, end) in zip(lines, SPEECH, strict=True):
        assert [line["start"], line["end"]] == pytest.approx([20 + start, 20 + end], abs=0.15)
        assert all(line["start"] - 0.1 <= word["start"] < word["end"] <= line["end"] + 0.1 for word in line["words"])
    assert all(word["confidence"] > 0.9 and word["text"] == word["text"].strip() for word in lines[2]["words"])


def test_a_batch_gives_what_each_recording_gives_alone(engine: Whisper) -> None:
    short = recording(speech=((0.3, 4.0),), seconds=5)
    batch = [recording(), short, recording(speech=((2.0, 9.0),))]
    together, alone = engine.run(batch), [engine.run([one])[0] for one in batch]
    assert together == alone
    assert texts(together[0]) == " ".join(KANNADA) and together[0] != together[1]


def test_recordings_of_up_to_thirty_seconds_are_decoded_in_one_call(counting: Counting) -> None:
    recognise([recording(seconds=seconds) for seconds in (10.0, 20.0, 30.0)], counting, "whisper", 8)
    assert counting.calls == [(3, 0.0)]
    counting.calls.clear()
    recognise([recording()] * 3, counting, "whisper", 2)
    assert counting.calls == [(2, 0.0), (1, 0.0)]


def test_only_what_fails_a_gate_is_decoded_again(counting: Counting) -> None:
    loops = [recording(BRIGHT), recording(BRIGHT, seconds=12)]
    first, loop, last, other = recognise([recording(), loops[0], recording(), loops[1]], counting, "whisper", 8)
    assert texts(first) == texts(last) == " ".join(KANNADA)
    assert counting.calls == [(4, 0.0), *((2, heat) for heat in (0.2, 0.4, 0.6, 0.8, 1.0))], "together, and not alone"
    assert texts(loop) == texts(other) == ""


def test_drawing_at_random_gives_the_same_again_whatever_came_before(counting: Counting) -> None:
    dark, bright = counting.encode(windows(recording())), counting.encode(windows(recording(BRIGHT)))
    first = counting.decode(bright, "kn", 5.0, [7])
    counting.decode(dark, "kn", 5.0, [3])
    assert counting.decode(bright, "kn", 5.0, [7]) == first != counting.decode(bright, "kn", 5.0, [8])


def test_what_is_drawn_for_a_window_does_not_depend_on_those_beside_it(counting: Counting) -> None:
    encoded = counting.encode([*windows(recording()), *windows(recording(BRIGHT))])
    together = counting.decode(encoded, "kn", 4.0, [7, 8])
    for n, seed in enumerate((7, 8)):
        (alone,) = counting.decode(encoded[[n]], "kn", 4.0, [seed])
        assert alone.tokens == together[n].tokens and alone.sure == pytest.approx(together[n].sure, abs=1e-4)


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    from dubd.engines.whisper_torch import _Drawn

    likely = torch.tensor([0.1, 0.0, 0.6, 0.3])
    draw = _Drawn(0.5, 9, range(4000), 1)
    tokens, _ = draw.update(torch.zeros(4000, 1, dtype=torch.long), likely.log().repeat(4000, 1), torch.zeros(4000))
    wanted = likely.square() / likely.square().sum()  # at half the temperature
    assert tokens[:, 1].bincount(minlength=4) / 4000 == pytest.approx(wanted.tolist(), abs=0.03)
    assert not (tokens[:, 1] == 1).any()


def test_beam_search_takes_a_batch_too(made: Path) -> None:
    one = Whisper()
    one.room = Room(batch=8)
    one.load("cpu", WhisperParams(str(made), beam=2))
    assert [texts(heard) for heard in one.run([recording(), recording()])] == [" ".join(KANNADA)] * 2


def test_words_over_silence_and_noise_are_no_words(tmp_path: Path) -> None:
    engine = Whisper()
    engine.load("cpu", WhisperParams(str(tiny_whisper.make(tmp_path))))  # says its three sentences over anything
    said = recording(speech=SPEECH[:1])
    noise = np.random.default_rng(1).standard_normal(len(said.samples)) * 0.05
    noise[: 3 * RATE] = 0
    noisy = replace(said, samples=(said.samples + noise).astype(np.float32))
    for heard in engine.run([said, noisy]):
        assert texts(heard).startswith(KANNADA[0]) and KANNADA[2].split()[-1] not in texts(heard)
        assert isinstance(heard, Heard) and all(0.5 <= word.start < word.end <= 2.5 for word in heard.words)


def test_what_was_left_unheard_is_heard_as_a_window_of_its_own(counting: Counting) -> None:
    (heard,) = recognise([recording(speech=(*SPEECH, (11.0, 20.5)), seconds=21)], counting, "whisper", 8)
    assert counting.calls == [(1, 0.0), (1, 0.0)]
    assert texts(heard) == " ".join(KANNADA * 2)


def test_the_language_is_checked_where_the_rule_says_so(made: Path) -> None:
    one = Whisper()
    one.load("cpu", WhisperParams(str(made), detect=True))
    right, wrong = one.run([recording(), replace(recording(), language="hi")])
    assert texts(right) == " ".join(KANNADA)
    assert isinstance(wrong, ValueError) and "'kn'" in str(wrong) and "'hi'" in str(wrong)


def test_a_bad_recording_fails_alone(engine: Whisper) -> None:
    broken = recording()
    broken = replace(broken, samples=np.where(np.arange(len(broken.samples)) == 5, np.nan, broken.samples))
    good, bad, strange = engine.run([recording(), broken, replace(recording(), language="tlh")])
    assert texts(good) == " ".join(KANNADA)
    assert isinstance(bad, ValueError) and isinstance(strange, ValueError) and "tlh" in str(strange)


@pytest.mark.parametrize(
    ("said", "refused"),
    [("kn", False), ("pt-BR", False), ("zh-CN", False), ("nb", False), ("jv", False), ("tlh", True), ("or", True)],
)
def test_it_knows_its_languages_without_its_library(said: str, refused: bool) -> None:
    assert (Whisper.refuses(said, "hi") is not None) is refused


def test_every_published_model_has_an_address_that_holds_its_sum_and_fits_a_card() -> None:
    for name, one in Whisper.published.items():
        assert isinstance(one, Model) and one.files[0].sha256 and one.files[0].sha256 in str(one.files[0].url)
        assert Whisper.vram(WhisperParams(name), "fp16").at(8) < 12 * 1024
    assert Whisper.vram(WhisperParams("large-v3"), None).at(8) < 10 * 1024


class Trap:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        import os

        return os.system, ("true",)


def _whole(path: Path) -> None:
    torch.save({"model.encoder.conv1.weight": torch.zeros(1)}, path)


def _cut(path: Path) -> None:
    tiny_whisper.make(path.parent)
    path.write_bytes(path.read_bytes()[:100_000])


def _trap(path: Path) -> None:
    torch.save({"dims": Trap()}, path)


def _narrow(path: Path) -> None:
    tiny_whisper.make(path.parent)
    read = torch.load(path, weights_only=True)
    torch.save({**read, "dims": {**read["dims"], "n_audio_state": 32}}, path)


@pytest.mark.parametrize(
    ("holds", "said"),
    [("other.bin", "a folder, where"), ("model.bin", "as faster-whisper has"), ("config.json", "as transformers has")],
)
def test_a_folder_is_told_that_a_pt_file_is_wanted(tmp_path: Path, holds: str, said: str) -> None:
    (tmp_path / holds).touch()
    with pytest.raises(DubdError, match=rf"{tmp_path}: transcribe: a folder.*, where a \.pt file is wanted") as caught:
        Whisper().load("cpu", WhisperParams(str(tmp_path)))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [(_whole, "one of transformers"), (_cut, "not a whole"), (_trap, "wants to run"), (_narrow, "broken Whisper")],
)
def test_a_bad_checkpoint_is_told_in_one_line(tmp_path: Path, spoil: Callable[[Path], None], said: str) -> None:
    path = tmp_path / "whisper.pt"
    spoil(path)
    with pytest.raises(DubdError, match=said) as caught:
        Whisper().load("cpu", WhisperParams(str(path)))
    assert str(path) in str(caught.value) and "transcribe" in str(caught.value) and "\n" not in str(caught.value)


def test_a_long_recording_is_cut_in_its_longest_silence() -> None:
    speech = ((0.0, 12.0), (12.4, 24.0), (26.0, 29.0), (29.2, 45.0))
    made = windows(Recording(np.zeros(45 * RATE, np.float32), "kn", speech))
    assert [(one.start, round(one.start + one.sound, 2)) for one in made] == [(0.0, 25.0), (25.0, 45.0)]
    assert made[1].speech == ((1.0, 4.0), (pytest.approx(4.2), 20.0))
    unbroken = windows(Recording(np.zeros(70 * RATE, np.float32), "kn", ((0.0, 70.0),)))
    assert [one.start for one in unbroken] == [0, 30, 60] and all(
        len(one.samples) == LONGEST * RATE for one in unbroken
    )


def test_marks_join_the_word_they_belong_to() -> None:
    said = [Timed(text, n, n + 1, 0.5) for n, text in enumerate([" “", "Yes", ",", " he", " said", "।", " "])]
    assert [one.text for one in written(said)] == ["“Yes,", "he", "said।"]


def test_a_word_is_drawn_in_to_the_speech_that_it_lies_in() -> None:
    window = Window(np.zeros(0, np.float32), 10.0, 30.0, ((1.0, 2.0), (4.0, 5.0)))
    said = [Timed("a", 0.2, 1.5, 0.9), Timed("b", 1.9, 4.8, 0.9), Timed("c", 5.1, 5.2, 0.9), Timed("d", 7, 8, 0.9)]
    assert spoken(said, window) == [
        Word(11.0, 11.5, "a", 0.9), Word(14.0, 14.8, "b", 0.9), Word(14.98, 15.0, "c", 0.9)
    ]  # fmt: skip


def test_ordinary_text_of_any_script_is_no_repetition() -> None:
    kannada = "ಬೆಂಗಳೂರು ಕರ್ನಾಟಕದ ರಾಜಧಾನಿ ಮತ್ತು ಭಾರತದ ಮೂರನೇ ಅತಿ ದೊಡ್ಡ ನಗರ. ಇಲ್ಲಿನ ಹವಾಮಾನ ತುಂಬಾ ಚೆನ್ನಾಗಿದೆ, ಅದಕ್ಕಾಗಿ ಜನರು ಇಲ್ಲಿಗೆ ಬರುತ್ತಾರೆ."
    assert repetition(kannada) < 1.6 and repetition("ಹೌದು " * 40) > 2.4 and repetition("thank you. " * 30) > 2.4


@pytest.mark.parametrize("precision", ["int8", "bf16"])
def test_a_precision_that_it_would_not_keep_is_refused(precision: str) -> None:
    engine = Whisper()
    engine.precision = precision
    with pytest.raises(DubdError, match=f"does not run in {precision}.*faster-whisper has int8"):
        engine.load("cpu", WhisperParams(model="tiny"))


def test_half_precision_is_kept_on_a_processor_too_and_hears_the_same(made: Path, engine: Whisper) -> None:
    half = Whisper()
    half.room, half.precision = Room(batch=8), "fp16"
    half.load("cpu", WhisperParams(str(made), detect=True))
    assert half._decoder and half._decoder._model.decoder.token_embedding.weight.dtype is torch.float16
    batch = [recording(), recording(speech=((0.3, 4.0),), seconds=5)]
    for one, other in zip(half.run(batch), engine.run(batch), strict=True):
        assert texts(one) == texts(other)
        times = [[word.start for word in each.words] for each in (one, other) if isinstance(each, Heard)]
        assert times[0] == pytest.approx(times[1], abs=0.05)


def ruled(folder: Path, transcribe: str, source: str = "kn") -> list[str]:
    rule = folder / "talk.yaml"
    stages = "translate: nllb, speak: espeak, lipsync: none, restore: none"
    rule.write_text(f"languages: {{source: {source}, target: hi}}\nstages: {{transcribe: {transcribe}, {stages}}}\n")
    return [str(fault) for fault in check(rule, ready=False)[1]]


@pytest.mark.parametrize("name", [name for name in Whisper.published if name.endswith(".en")])
def test_a_rule_with_a_model_for_english_and_another_language_is_refused_when_it_is_read(
    tmp_path: Path, name: str
) -> None:
    (fault,) = ruled(tmp_path, f"{{engine: whisper, model: {name}}}")
    said = f"transcribe: {name} hears English alone, and languages.source is kn; model: {name.removesuffix('.en')}"
    assert fault == f"{tmp_path}/talk.yaml:2: {said}"


def test_english_may_be_heard_by_a_model_for_english_and_kannada_by_one_for_all(tmp_path: Path) -> None:
    assert ruled(tmp_path, "{engine: whisper, model: tiny.en, detect: true}", "en-GB") == []
    assert ruled(tmp_path, "{engine: whisper, model: tiny}") == []
