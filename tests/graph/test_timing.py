"""The figures of a dub's timing."""

from __future__ import annotations

import pytest

from dubd.graph.report_page import page
from dubd.graph.timing import figures, overlap, quantile


def line(
    start: float, end: float, *, slot: tuple[float, float], tempo: float = 1.0, speaker: str = "S1"
) -> dict[str, object]:
    over = max(0.0, end - slot[1] - 0.5)
    return {"start": start, "end": end, "slot": list(slot), "tempo": tempo, "overrun": over, "speaker": speaker}


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [
        ([(0, 2)], [(0, 2)], 1.0),
        ([(0, 2)], [(1, 3)], 0.333),
        ([(0, 1), (2, 3)], [(0, 3)], 0.667),
        ([(0, 2), (1, 3)], [(0, 3)], 1.0),  # two speakers at once are one stretch of speech
        ([(0, 1)], [(2, 3)], 0.0),
        ([], [], None),
    ],
)
def test_overlap_is_intersection_over_union(
    one: list[tuple[float, float]], other: list[tuple[float, float]], share: float | None
) -> None:
    assert overlap(one, other) == share


def test_quantiles_are_values_that_occurred() -> None:
    values = [float(value) for value in range(1, 101)]
    assert (quantile(values, 0.5), quantile(values, 0.95), quantile(values, 1.0)) == (50, 95, 100)
    assert quantile([3.0], 0.5) == 3.0
    assert quantile([], 0.5) is None


def test_the_figures_of_a_dub() -> None:
    lines = [
        line(1.0, 2.0, slot=(1.0, 2.0), tempo=1.0),
        line(3.1, 4.0, slot=(3.0, 4.0), tempo=1.25),
        line(5.0, 6.9, slot=(5.0, 6.0), tempo=1.0, speaker="S2"),
    ]
    found = figures(lines, [(1.0, 2.0), (3.0, 4.0), (5.0, 6.0)])
    assert found["lines"] == 3
    assert found["overlap"] == round(2.9 / 3.9, 3)
    assert found["start_error_p95"] == 0.1
    assert found["end_error_p95"] == 0.9
    assert found["tempo_max"] == 1.25
    assert found["fast_share"] == 0.333
    assert (found["overruns"], found["overrun_seconds"]) == (1, 0.4)
    assert found["tempo_jump_max"] == 0.25  # S2's line is no jump of S1's


def test_nothing_spoken_has_no_figures() -> None:
    found = figures([], [(0.0, 1.0)])
    assert found["overlap"] is None
    assert found["tempo_max"] is None


def test_the_page_escapes_what_people_say() -> None:
    spoken = {**line(0.0, 1.0, slot=(0.0, 1.0)), "id": "000-01", "text": "<b>& so</b>", "source": "<script>"}
    report = {
        "dubd": "1",
        "title": "a<b",
        "rule": "lite",
        "device": "cpu",
        "source": None,
        "segments": 0,
        "seconds": 0.0,
        "engines": {"lipsync": None},
        "stages": {},
        "dubs": [{"language": "es", "figures": figures([spoken], []), "lines": [spoken], "lips": None}],
        "state": "done",
        "remarks": ["<i>remark"],
        "edited": [],
        "failed": [],
    }
    made = page(report)
    assert "<script>" not in made
    assert "<b>& so" not in made
    assert "<i>remark" not in made
    assert "&lt;b&gt;&amp; so&lt;/b&gt;" in made
