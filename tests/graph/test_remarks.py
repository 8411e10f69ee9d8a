"""What a report says of a dub that came to be otherwise than its rule asks."""

from __future__ import annotations

from dubd.graph.remarks import facts, remarks


def test_the_facts_are_those_of_tasks_that_ran_by_their_names_in_the_video() -> None:
    runs = {
        "talk-1:000/lipsync": {"state": "ran", "facts": {"changed": 3}},
        "talk-1:001/lipsync": {"state": "failed", "facts": {"changed": 9}},
        "talk-1:000/speak": {"state": "ran", "facts": {}},
    }
    assert facts(runs) == {"000/lipsync": {"changed": 3}}


def test_a_fallback_a_repair_and_a_lost_term_are_told_with_their_reasons() -> None:
    told = {
        "000/lipsync": {"pieces": 4, "fallback": 2, "why": ["it wrote nothing"], "repaired": 3},
        "000/translate": {"glossary_missed": 1},
        "001/lipsync": {"pieces": 2, "fallback": 0, "repaired": 0},
    }
    assert remarks(told, []) == [
        "000/lipsync: 2 of 4 stretches by the fallback engine: it wrote nothing",
        "000/lipsync: 3 frames cut off or repeated, to have the exact number of them",
        "000/translate: 1 glossary term not kept: look at translation.json",
    ]


def test_a_line_that_the_engine_doubts_is_named() -> None:
    lines = [
        {"id": "000-01", "language": "hi", "doubts": ["too short: 0.1 s for 65 characters"]},
        {"id": "000-02", "language": "hi", "doubts": []},
    ]
    assert remarks({}, lines) == ["line 000-01 (hi) may sound wrong: too short: 0.1 s for 65 characters"]


def test_speakers_whose_voices_could_be_cloned_and_may_not_are_named_once_for_all_their_lines() -> None:
    lines = [{"id": f"00{n}", "language": "hi", "speaker": name} for n, name in enumerate(("S2", "S1", "S2"))]
    assert remarks({}, lines, consented=False) == ["S1 and S2 speak in catalogue voices: the rule has no consent: true"]
    one = ["S2 speaks in a catalogue voice: the rule has no consent: true"]
    assert remarks({}, lines[::2], consented=False) == one
    assert remarks({}, lines) == remarks({}, [], consented=False) == []
