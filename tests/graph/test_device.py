"""GPU or CPU: what a rule asks for against what the machine has, told when the rule is read."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from dubd.engines.contract import Vram
from dubd.graph import device
from dubd.graph.rule import StageRule
from dubd.graph.rules import check
from dubd.schedule.gpu import Device
from dubd.schedule.ledger import MARGIN
from dubd.schedule.simulated import simulate
from tests.graph.plugin import installed

RULE = "languages: {source: en, target: es}\nstages:\n  speak: {%s}\n"


@pytest.fixture(autouse=True)
def _engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed(tmp_path_factory.mktemp("plugin")):
        yield


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose cards are those of a folder: none yet."""
    folder = tmp_path / "cards"
    folder.mkdir()
    monkeypatch.setenv("DUBD_SIMULATED_GPUS", str(folder))
    return folder


def put(cards: Path, *gib: float) -> None:
    simulate(cards, [Device(f"GPU-{n}", "Paper 1", MARGIN + round(1024 * size)) for n, size in enumerate(gib)])


def faults(folder: Path, text: str) -> list[str]:
    path = folder / "talk.yaml"
    path.write_text(RULE % text)
    return [str(fault) for fault in check(path)[1] if fault.stage == "speak"]


class TestRule:
    def test_more_than_the_largest_card_has_is_refused_with_both_numbers(self, cards: Path, tmp_path: Path) -> None:
        put(cards, 2, 4)
        (line,) = faults(tmp_path, "engine: heavy")
        assert "talk.yaml:3: speak: heavy asks for 5.0 GiB; the largest GPU here has 4.0; " in line

    def test_amounts_that_differ_by_little_are_told_in_mib(self, cards: Path, tmp_path: Path) -> None:
        put(cards, 5.5)
        (line,) = faults(tmp_path, "engine: heavy, vram: 5633")
        assert "heavy asks for 5633 MiB; the largest GPU here has 5632 MiB; " in line

    def test_what_the_rule_gives_goes_before_what_the_engine_declares(self, cards: Path, tmp_path: Path) -> None:
        put(cards, 5.5)
        assert faults(tmp_path, "engine: heavy, vram: 5.5 GiB") == []
        assert "heavy asks for 6.0 GiB" in faults(tmp_path, "engine: heavy, vram: 6 GiB")[0]

    def test_less_than_the_model_and_one_item_is_refused_with_both_numbers(self, cards: Path, tmp_path: Path) -> None:
        put(cards, 8)
        (line,) = faults(tmp_path, "engine: heavy, vram: 5119")
        assert ":3: speak: vram: 5119 MiB is less than heavy needs for its model and one item, 5120 MiB" in line
        assert faults(tmp_path, "engine: heavy, vram: 5120") == []
        assert faults(tmp_path, "engine: heavy, vram: 5119, device: cpu") == []

    def test_a_precision_that_fits_is_taken(self, cards: Path, tmp_path: Path) -> None:
        put(cards, 4)
        assert faults(tmp_path, "engine: heavy, precision: fp16") == []

    def test_a_gpu_that_is_asked_for_and_not_there_is_never_silently_done_without(
        self, cards: Path, tmp_path: Path
    ) -> None:
        assert "no simulated GPU" in faults(tmp_path, "engine: heavy, device: gpu")[0]
        assert faults(tmp_path, "engine: heavy") == []
        put(cards, 8)
        assert faults(tmp_path, "engine: heavy, device: gpu") == []

    def test_an_engine_that_cannot_use_one_cannot_be_told_to(self, cards: Path, tmp_path: Path) -> None:
        put(cards, 8)
        assert "say cannot use a GPU" in faults(tmp_path, "engine: say, device: gpu")[0]

    def test_too_large_a_model_may_still_run_on_the_cpu(self, cards: Path, tmp_path: Path) -> None:
        put(cards, 2)
        assert faults(tmp_path, "engine: heavy, device: cpu") == []


NLLB = StageRule(engine="nllb")


class TestVram:
    def test_an_engine_that_declares_memory_runs_on_a_card_where_there_is_one(self, cards: Path) -> None:
        put(cards, 8)
        assert device.vram("speak", StageRule(engine="heavy")) == Vram(4700, 20)
        assert device.vram("speak", StageRule(engine="heavy", device="cpu")) is None
        assert device.vram("speak", StageRule(engine="say")) is None

    def test_without_a_card_it_runs_on_the_cpu_and_the_log_says_so_once(
        self, cards: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                assert device.vram("speak", StageRule(engine="heavy")) is None
        (line,) = [record.message for record in caplog.records if record.name == "dubd.gpu"]
        assert line.startswith("NO GPU: speak with heavy runs on the CPU")
        assert str(cards) in line

    def test_at_a_start_all_engines_of_all_rules_share_one_line_and_a_later_one_has_its_own(
        self, cards: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        heavy, plain, off = (StageRule(engine=name) for name in ("heavy", "say", "none"))
        rules = [("speak", heavy), ("speak", plain), ("lipsync", off), ("speak", heavy), ("translate", NLLB)]
        device.tell(rules)
        device.tell(rules)
        for stage, rule in rules:
            if rule.on:
                device.vram(stage, rule)
        device.tell([*rules, ("transcribe", StageRule(engine="whisper"))])
        for asked in ("cpu", "gpu"):  # nothing else than it was told to; and a rule for a GPU is refused
            device.tell([("lipsync", StageRule(engine="wav2lip", device=asked))])
        first, second = [record.message for record in caplog.records if record.name == "dubd.gpu"]
        assert first.startswith("NO GPU: speak with heavy and translate with nllb run on the CPU, which is slow: ")
        assert second.startswith("NO GPU: transcribe with whisper runs on the CPU, which is slow: ")
        assert str(cards) in first

    def test_a_card_that_comes_later_is_told_of_once_and_its_loss_again(
        self, cards: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        device.vram("speak", StageRule(engine="heavy"))
        caplog.clear()
        for there in ([8, 8], [8, 8], [], []):
            put(cards, *there)
            device.vram("speak", StageRule(engine="heavy"))
        came, went = [record.message for record in caplog.records if record.name == "dubd.gpu"]
        assert came == "a GPU is here now: Paper 1, Paper 1; what is built from now on may run on it"
        assert went.startswith("NO GPU: speak with heavy runs on the CPU")

    def test_an_engine_of_the_cpu_asks_no_driver(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(device, "reachable", lambda: pytest.fail("the driver was asked"))
        assert device.vram("speak", StageRule(engine="say")) is None
