"""How well a dub keeps the source's time: the figures of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

from dubd.media.timeline import Span, union

FAST = 1.2  # tempo above which speech sounds hurried (VideoLingo's and VoiceStudio's "accept" limit)

TARGETS: Mapping[str, float] = {
    "overlap": 0.75,
    "start_error_median": 0.08,
    "start_error_p95": 0.2,
    "end_error_p95": 0.5,
    "tempo_median": 1.05,
    "tempo_p95": 1.25,
    "tempo_max": 1.35,
    "fast_share": 0.1,
    "overruns": 0,
    "tempo_jump_max": 0.15,
    "loudness_error": 1.0,
    "true_peak": -1.0,
}
"""What a good dub reaches: `overlap` at least so much, all others at most. Brannon, Virkar and Thompson (TACL
2023, 319 h of human dubs) is why small timing errors weigh less than hurried speech."""


def figures(lines: Sequence[Mapping[str, Any]], heard: Sequence[Span]) -> dict[str, Any]:
    """The figures of one dub, from the lines of speech.json and the source's utterances (s, programme clock).

    `overlap` is the intersection of source and dubbed speech over their union; errors are in seconds,
    `tempo_jump_max` is the greatest relative change between neighbouring lines of a speaker.
    Values are None where there are no lines.
    """
    starts = [abs(line["start"] - line["slot"][0]) for line in lines]
    ends = [abs(line["end"] - line["slot"][1]) for line in lines]
    tempos = [float(line["tempo"]) for line in lines]
    over = [line["overrun"] for line in lines if line["overrun"] > 0]
    return {
        "lines": len(lines),
        "overlap": overlap(heard, [(line["start"], line["end"]) for line in lines]) if lines else None,
        "start_error_median": quantile(starts, 0.5),
        "start_error_p95": quantile(starts, 0.95),
        "end_error_p95": quantile(ends, 0.95),
        "tempo_median": quantile(tempos, 0.5),
        "tempo_p95": quantile(tempos, 0.95),
        "tempo_max": quantile(tempos, 1.0),
        "fast_share": round(sum(tempo > FAST for tempo in tempos) / len(tempos), 3) if tempos else None,
        "overruns": len(over),
        "overrun_seconds": round(sum(over), 3),
        "tempo_jump_max": _jump(lines),
    }


def overlap(one: Sequence[Span], other: Sequence[Span]) -> float | None:
    """Intersection over union of two sets of stretches; None where both are empty."""
    first, second = union(one), union(other)
    both = sum(
        max(0.0, min(end, other_end) - max(start, other_start))
        for start, end in first
        for other_start, other_end in second
    )
    either = sum(end - start for start, end in first) + sum(end - start for start, end in second) - both
    return round(both / either, 3) if either > 0 else None


def quantile(values: Sequence[float], share: float) -> float | None:
    """The least value that `share` of all do not exceed (nearest rank), rounded to 1 ms."""
    if not values:
        return None
    return round(sorted(values)[max(0, ceil(share * len(values)) - 1)], 3)


def _jump(lines: Sequence[Mapping[str, Any]]) -> float | None:
    last: dict[Any, float] = {}
    jumps = []
    for line in lines:
        if before := last.get(line["speaker"]):
            jumps.append(abs(line["tempo"] / before - 1))
        last[line["speaker"]] = line["tempo"]
    return round(max(jumps), 3) if jumps else None
