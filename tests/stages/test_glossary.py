from __future__ import annotations

from pathlib import Path

import pytest

from dubd.errors import DubdError
from dubd.stages import glossary


def read(tmp_path: Path, data: str | bytes) -> tuple[tuple[str, str], ...]:
    path = tmp_path / "glossary.csv"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return glossary.read(path).terms


def test_terms_with_header_comment_note_and_mark(tmp_path: Path) -> None:
    text = '\ufeffsource,target,note\n# tools\ndub,doblaje,the thing\n\n"lip, upper",labio\n'
    assert read(tmp_path, text) == (("dub", "doblaje"), ("lip, upper", "labio"))


def test_no_header_and_semicolons(tmp_path: Path) -> None:
    assert read(tmp_path, "dub;doblaje\nlip;labio") == (("dub", "doblaje"), ("lip", "labio"))


@pytest.mark.parametrize(
    ("text", "line"),
    [("a,b\nc\n", "line 2"), ("a,b\n,c\n", "line 2"), ("a,b\n\nA,c\n", "line 3"), ('a,b\n"c,d\n', "line 2")],
)
def test_a_broken_line_is_told(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(DubdError, match=line) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path))


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    with pytest.raises(DubdError, match="UTF-8"):
        read(tmp_path, b"caf\xe9,caf\xe9\n")


def test_a_column_that_the_header_calls_pivot_has_the_terms_in_between(tmp_path: Path) -> None:
    path = tmp_path / "glossary.csv"
    path.write_text("source,target,note,Pivot\nಮನೆ,महल,as in the song,palace\nಮರ,पेड़\nನೀರು,पानी,,\n")
    found = glossary.read(path)
    assert found.terms == (("ಮನೆ", "महल"), ("ಮರ", "पेड़"), ("ನೀರು", "पानी"))
    assert found.pivots == (("ಮನೆ", "palace"),)


def test_a_note_is_no_pivot(tmp_path: Path) -> None:
    path = tmp_path / "glossary.csv"
    path.write_text("source,target,note\nಮನೆ,महल,pivot\n")
    assert glossary.read(path).pivots == ()


def test_the_pivot_may_stand_before_the_target(tmp_path: Path) -> None:
    path = tmp_path / "glossary.csv"
    path.write_text("source,pivot,target\nಮನೆ,palace,महल\nಮರ,,पेड़\n")
    assert glossary.read(path) == glossary.Glossary((("ಮನೆ", "महल"), ("ಮರ", "पेड़")), (("ಮನೆ", "palace"),))


def test_a_line_that_ends_before_its_target_is_told(tmp_path: Path) -> None:
    with pytest.raises(DubdError, match="line 2: no source and target"):
        read(tmp_path, "source,pivot,target\nಮನೆ,palace\n")


def test_a_term_with_two_words_in_the_pivot_is_told(tmp_path: Path) -> None:
    with pytest.raises(DubdError, match="line 3: 'ಮನೆ' has another rendering on line 2"):
        read(tmp_path, "source,target,pivot\nಮನೆ,महल,palace\nಮನೆ,महल,house\n")
