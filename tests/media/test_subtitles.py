from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubd.errors import DubdError
from dubd.media import subtitles
from dubd.media.subtitles import GAP, LINE, LINES, SHORTEST, SPEED, Cue, lay_out

SRT = "1\n00:00:01,000 --> 00:00:02,500\nHello,\nworld.\n\n2\n00:00:03,000 --> 00:00:04,000\nCafé\n"
HELLO = [Cue(1.0, 2.5, "Hello, world."), Cue(3.0, 4.0, "Café")]


def read(tmp_path: Path, content: str | bytes, name: str = "a.srt") -> list[Cue]:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return subtitles.read(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_encodings_and_line_ends(tmp_path: Path, encoding: str, newline: str) -> None:
    assert read(tmp_path, SRT.replace("\n", newline).encode(encoding)) == HELLO


def test_a_vtt_with_all_its_parts(tmp_path: Path) -> None:
    text = (
        "WEBVTT - talk\n\nSTYLE\n::cue { color: red }\n\nNOTE\nnot said\n\nintro\n00:01.000 --> 00:02.500 align:start\n"
        "<v.loud Anna Lee>Hello, <c.x>wor</c><00:00:02.000>ld &amp; all.</v>\n\nNOTE also not\n\n"
        "01:00:03.000 --> 01:00:04.000\n<i>Bye.</i>\n"
    )
    assert read(tmp_path, text, "a.vtt") == [
        Cue(1.0, 2.5, "Hello, world & all.", "Anna Lee"),
        Cue(3603.0, 3604.0, "Bye."),
    ]


@pytest.mark.parametrize(
    ("text", "speaker", "said"),
    [
        ("ANNA: Hello.", "ANNA", "Hello."),
        ("- Dr. Lee: Hello.", "Dr. Lee", "Hello."),
        ("[Anna] Hello.", "Anna", "Hello."),
        (r"{\an8}<font color='red'>Hello.</font>", None, "Hello."),
        ("it is 10:30 now", None, "it is 10:30 now"),
        ("We said: no.", None, "We said: no."),
    ],
)
def test_speakers_and_markup(tmp_path: Path, text: str, speaker: str | None, said: str) -> None:
    assert read(tmp_path, f"1\n00:00:01,000 --> 00:00:02,000\n{text}\n") == [Cue(1.0, 2.0, said, speaker)]


def test_sounds_in_brackets_are_not_said(tmp_path: Path) -> None:
    text = "00:00:01,000 --> 00:00:02,000\n[door slams]\n\n00:00:02,000 --> 00:00:03,000\n♪ la la ♪\n\n"
    assert read(tmp_path, text + "00:00:04,000 --> 00:00:05,000\n(sighs) Well.\n") == [Cue(4.0, 5.0, "Well.")]


def test_absurd_times_are_put_right(tmp_path: Path) -> None:
    text = (
        "00:00:05,000 --> 00:00:06,000\nlater\n\n-00:00:01,000 --> 00:00:01,000\nearly\n\n"
        "00:00:09,000 --> 00:00:08,000\nbackwards\n\n0:00:02 -> 0:00:03.5\nloose\n"
    )
    assert read(tmp_path, text) == [Cue(0.0, 1.0, "early"), Cue(2.0, 3.5, "loose"), Cue(5.0, 6.0, "later")]


def test_a_time_that_is_none_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(DubdError, match="line 5: ") as caught:
        read(tmp_path, "1\n00:00:01,000 --> 00:00:02,000\nHi.\n\n00:00:aa,000 --> 00:00:04,000\nBye.\n")
    assert "a.srt" in str(caught.value)


@pytest.mark.parametrize("content", ["", "just text", b"\x00\x01\x02\xff" * 90])
def test_a_file_without_subtitles_is_told(tmp_path: Path, content: str | bytes) -> None:
    with pytest.raises(DubdError, match="no subtitle"):
        read(tmp_path, content)


@pytest.mark.parametrize("format", ["srt", "vtt"])
def test_what_is_written_is_read_back(tmp_path: Path, format: str) -> None:
    path = tmp_path / f"a.{format}"
    cues = [Cue(0.5, 1.25, "¿Qué tal, Ñandú & Cía?"), Cue(3661.0, 3662.007, "a\nb")]
    subtitles.write(path, cues, format)
    assert subtitles.read(path) == [cues[0], Cue(3661.0, 3662.007, "a b")]
    assert b"\r" not in path.read_bytes()


def test_a_quick_cue_stays_until_it_is_read_or_the_next_one_comes() -> None:
    alone, first, second = lay_out([Cue(0, 0.2, "x" * 42), Cue(10, 10.1, "No."), Cue(10.5, 12, "Yes.")])
    assert alone.end == pytest.approx(42 / SPEED)
    assert first.end == pytest.approx(10.5 - GAP)
    assert second.end == 12


def test_no_cue_outlasts_the_picture() -> None:
    (cue,) = lay_out([Cue(5.28, 5.83, "Hoy hablo tu lengua.")], length=6.006)
    assert (cue.start, cue.end) == (5.28, 6.006)


def test_a_long_cue_breaks_at_a_clause() -> None:
    text = "This is the first part of a sentence that is long, and this is the second part of the very same sentence."
    made = lay_out([Cue(0, 8, text)])
    assert [cue.text.split()[-1] for cue in made] == ["long,", "sentence."]
    assert made[0].end <= made[1].start


@given(
    st.lists(
        st.tuples(st.floats(0, 50), st.floats(0.05, 20), st.text(alphabet="abc ,.ñ中", max_size=300).filter(str.strip)),
        max_size=6,
    )
)
def test_laid_out_cues_fit_the_screen_and_keep_every_word(given_: list[tuple[float, float, str]]) -> None:
    cues = [Cue(start, start + length, text) for start, length, text in given_]
    made = lay_out(cues)
    for cue in made:
        lines = cue.text.split("\n")
        assert len(lines) <= LINES and all(len(line) <= LINE for line in lines)
        assert cue.end > cue.start
    for before, after in pairwise(made):
        assert before.end <= after.start
    said = "".join("".join(text.split()) for _, _, text in sorted(given_, key=lambda one: (one[0], one[0] + one[1])))
    assert "".join("".join(cue.text.split()) for cue in made) == said
    if len(made) == 1:
        assert made[0].end - made[0].start >= SHORTEST - 1e-9
