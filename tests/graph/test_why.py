"""What `dubd why` says of a long value: short, and with what changed in it."""

from __future__ import annotations

import pytest
from doit.task import Task
from hypothesis import given
from hypothesis import strategies as st

from dubd.cli.why import _tell
from dubd.graph.tasks import Key, shortened
from dubd.graph.why import Verdict

LONG = "/srv/dubbing/projects/the-long-name-of-a-customer/2026/spring/glossaries/"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f"{LONG}one.csv", f"{LONG}two.csv"),
        (f"one{LONG * 3}", f"two{LONG * 3}"),
        (f"{LONG}one{LONG}", f"{LONG}two{LONG}"),
        (f"{LONG}one", f"{LONG}{'two' * 80}"),
    ],
)
def test_a_change_is_seen_wherever_it_is_in_a_long_value(old: str, new: str) -> None:
    key = Key({"params": {"glossary": new}})
    (line,) = key.differences({"key": {"params": {"glossary": old}}})
    assert len(line) <= len("glossary: ") + 2 * 60 + len(" -> ")
    was, now = line.removeprefix("glossary: ").split(" -> ")
    assert "one" in was
    assert "two" in now
    assert not key(Task("t", None), {"key": {"params": {"glossary": old}}})


@given(st.text(min_size=1, max_size=200), st.integers(0, 199))
def test_what_is_left_is_part_of_the_value_with_the_place_in_it(text: str, at: int) -> None:
    at = min(at, len(text) - 1)
    short = shortened(text, at)
    assert len(short) <= 60
    if len(text) <= 60:
        assert short == text
    else:
        kept = short[0 if text[:59] == short[:59] else 1 : 60 if text[-59:] == short[-59:] else 59]
        assert kept in text
        assert text[at] in kept


def test_each_reason_of_what_is_waited_for_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    reasons = tuple(f"parameter voice{number}: {'a' * 55} -> {'b' * 55}" for number in range(6))
    root = Verdict("v:000/speak", ("speech.wav",), True, reasons)
    last = {"at": 1.0, "state": "ran", "seconds": 1.0, "why": "; ".join(reasons)}
    _tell(Verdict("v:assemble", ("dubbed.es.mp4",), True, (), (root,), last))
    said = capsys.readouterr().out
    assert all(reason in said for reason in reasons)
    assert max(map(len, said.splitlines())) < 220
