from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("faster_whisper", reason="needs the extra faster-whisper")
pytest.importorskip("whisper", reason="its scripted model is made with openai-whisper")

from dubd.engines.contract import Engine, Heard, Recording, Room
from dubd.engines.faster_whisper import FasterWhisper
from dubd.engines.whisper import Whisper, WhisperParams
from dubd.errors import DubdError
from dubd.models.model import Model
from dubd.stages import transcribe
from tests.engines import tiny_whisper
from tests.engines.test_whisper import LOOP, recording, ruled, segment, texts
from tests.engines.voices import BRIGHT


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_whisper.make(tmp_path_factory.mktemp("whisper"), bright=LOOP)


@pytest.fixture(scope="module")
def converted(checkpoint: Path) -> Path:
    return tiny_whisper.converted(checkpoint, checkpoint.parent / "converted")


def loaded(engine: Engine[Recording, Heard], path: Path, precision: str | None = "fp32") -> Engine[Recording, Heard]:
    engine.room, engine.precision = Room(batch=8), precision
    engine.load("cpu", WhisperParams(str(path)))
    return engine


def test_it_writes_the_transcript_that_whisper_writes(tmp_path: Path, checkpoint: Path, converted: Path) -> None:
    ours, theirs = (
        segment(tmp_path / "a", recording()),
        segment(tmp_path / "b", recording()),
    )
    transcribe.run([ours], loaded(FasterWhisper(), converted))
    transcribe.run([theirs], loaded(Whisper(), checkpoint))
    made, wanted = (json.loads(job.outputs["transcript"].read_text()) for job in (ours, theirs))
    lines = list(zip(made["utterances"], wanted["utterances"], strict=True))
    assert [line["text"] for line, _ in lines] == [text for _, _, text in tiny_whisper.KANNADA]
    for line, other in lines:
        assert line["text"] == other["text"]
        for word, same in zip(line["words"], other["words"], strict=True):
            assert word["text"] == same["text"] and set(word) == set(same)
            assert [word["start"], word["end"]] == pytest.approx([same["start"], same["end"]], abs=0.05)


def test_int8_a_batch_and_a_loop_in_it(converted: Path) -> None:
    engine = loaded(FasterWhisper(), converted, None)
    batch = [recording(), recording(BRIGHT), recording(speech=((0.3, 4.0),), seconds=5)]
    first, loop, short = engine.run(batch)
    assert texts(first) == " ".join(text for _, _, text in tiny_whisper.KANNADA)
    assert texts(loop) == "" and short == engine.run(batch[2:])[0]


def test_drawing_at_random_gives_the_same_again_whatever_came_before(converted: Path) -> None:
    from dubd.engines.whisper_batch import HOTTER
    from dubd.engines.whisper_ct2 import Ct2Decoder, model
    from dubd.engines.whisper_window import windows

    decoder = Ct2Decoder(lambda: model(converted, "transcribe", "cpu", "fp32"), converted, beam=1)
    encoded = decoder.encode(windows(recording()))

    def drawn(seed: int) -> list[float]:
        cold = decoder.decode(encoded, "kn", HOTTER[0], [seed])
        return [one.sure for one in [*cold, *decoder.decode(encoded, "kn", 4.0, [seed])]]

    first, other = drawn(1), drawn(2)
    assert drawn(1) == first != other


def test_a_text_without_an_end_is_cut_where_whisper_cuts_it(tmp_path: Path) -> None:
    from dubd.engines.whisper_ct2 import Ct2Decoder, model
    from dubd.engines.whisper_window import windows

    endless = tiny_whisper.make(tmp_path, said=((0.5, 9.0, "no " * 300),))
    folder = tiny_whisper.converted(endless, tmp_path / "converted")
    decoder = Ct2Decoder(lambda: model(folder, "transcribe", "cpu", "fp32"), folder, beam=1)
    (decoded,) = decoder.decode(decoder.encode(windows(recording())), "kn", 0.0, [0])
    assert len(decoded.tokens) == decoder.limit == 224


def test_windows_that_fail_are_encoded_once_and_the_model_is_loaded_anew_once_for_all_of_them(converted: Path) -> None:
    from dubd.engines.whisper_batch import recognise
    from dubd.engines.whisper_ct2 import Ct2Decoder, model

    loads, encoded = [], []

    def load() -> Any:
        made = model(converted, "transcribe", "cpu", "fp32")
        loads.append(made)
        real = made.model

        class Noting:
            """The real model; notes how many windows each call encodes, alone or in a decoder's call."""

            def __getattr__(self, name: str) -> Any:
                return getattr(real, name)

            def encode(self, features: Any, **how: Any) -> Any:
                encoded.append(features.shape[0])
                return real.encode(features, **how)

        made.model = Noting()
        return made

    decoder = Ct2Decoder(load, converted, beam=1)
    loops = [recording(BRIGHT), recording(BRIGHT, seconds=12), recording()]
    first = recognise(loops, decoder, "faster-whisper", 8)
    assert len(loads) == 1 and encoded == [1, 1, 1]
    assert recognise(loops, decoder, "faster-whisper", 8) == first
    assert len(loads) == 2 and encoded == [1, 1, 1] * 2


def test_what_it_holds_is_told_for_a_gpu_only(converted: Path) -> None:
    engine = loaded(FasterWhisper(), converted)
    assert (engine.held(), engine.peak()) == (None, None)
    large = FasterWhisper.vram(WhisperParams("large-v3"), None)
    assert FasterWhisper.vram(WhisperParams("large-v3"), "int8").model < large.model
    assert large.at(8) < 7 * 1024


def test_published_models_are_pinned_to_a_commit_and_their_files_to_a_sum() -> None:
    for one in FasterWhisper.published.values():
        assert isinstance(one, Model) and re.fullmatch("[0-9a-f]{40}", one.revision)
        assert all(one.revision in str(file.url) and file.sha256 and file.size for file in one.files)


def _cut(folder: Path) -> None:
    whole = (folder / "model.bin").read_bytes()
    (folder / "model.bin").write_bytes(whole[: len(whole) // 2])


def _without_tokens(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def _transformers(folder: Path) -> None:
    (folder / "model.bin").rename(folder / "model.safetensors")


def _garbled(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_cut, "not a whole CTranslate2 model"),
        (_without_tokens, "no tokenizer.json"),
        (_transformers, "ct2-transformers-converter"),
        (_garbled, "not a whole CTranslate2 model"),
    ],
)
def test_a_bad_model_is_told_in_one_line(
    tmp_path: Path, converted: Path, spoil: Callable[[Path], None], said: str
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for path in converted.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    spoil(folder)
    with pytest.raises(DubdError, match=said) as caught:
        FasterWhisper().load("cpu", WhisperParams(str(folder)))
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("form", ["vocabulary.json", "vocabulary.txt"])
def test_a_converted_folder_with_a_vocabulary_for_english_is_refused_when_the_rule_is_read(
    tmp_path: Path, converted: Path, form: str
) -> None:
    words = json.loads((converted / "vocabulary.json").read_text())
    folder = tmp_path / "distil-medium.en"
    folder.mkdir()
    for few in (words, words[:-1]):  # CTranslate2 tells the two kinds apart by this one word
        text = json.dumps(few) if form.endswith("json") else "\n".join(few) + "\n"
        (folder / form).write_text(text, encoding="utf-8")
        found = ruled(tmp_path, "{engine: faster-whisper, model: ./distil-medium.en}")
        assert [line.split(": ", 2)[2] for line in found] == [
            "distil-medium.en hears English alone, and languages.source is kn; "
            "choose a model without .en (dubd models list)"
        ] * (few is not words)
    assert ruled(tmp_path, "{engine: faster-whisper, model: ./distil-medium.en}", "en") == []


def test_a_vocabulary_that_is_none_fails_no_rule(tmp_path: Path) -> None:
    (tmp_path / "vocabulary.json").write_text("[" * 100_000)
    assert FasterWhisper.unfit(WhisperParams(model=str(tmp_path)), "kn") is None
