"""assemble: one programme out of its segments: picture, dub, original sound, subtitles, metadata.

Sound is mixed over the whole programme on one clock and encoded once; the picture is never encoded here.
Output bytes do not depend on how many segments there were, but for the renders' own key frames.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from dubd.errors import DubdError
from dubd.media import mastering, mix, subtitles
from dubd.media.languages import alpha3
from dubd.media.mux import Programme, Track, mux
from dubd.media.timeline import SAMPLE_RATE, union
from dubd.stages.job import Facts, Job, one_by_one


@one_by_one
def run(job: Job) -> Facts:
    """Lists `audios`, `speeches`, `timings`, `transcripts`, `translations` and, but for a copied picture, `renders`.

    DubdError where a segment's sound is not as long as the plan says.
    """
    params = job.params
    languages, output = params["languages"], params["output"]
    heard = _utterances(job.lists["transcripts"])
    said = _utterances(job.lists["translations"])
    lines = [line for path in job.lists["timings"] for line in _read(path)["lines"]]
    pieces = [
        mix.Piece(audio, speech, segment["first_sample"], segment["samples"])
        for audio, speech, segment in zip(job.lists["audios"], job.lists["speeches"], params["segments"], strict=True)
    ]
    spans = union((item["start"], item["end"]) for item in (*heard, *lines))
    channels, samples = mix.count_channels(pieces), params["samples"]

    dubbed = job.outputs["dubbed"]
    with tempfile.TemporaryDirectory(dir=dubbed.parent) as folder:
        scratch = Path(folder)
        level = mastering.master(
            lambda: mix.programme(pieces, spans, output["background"]),
            scratch / "dub.m4a",
            channels=channels,
            samples=samples,
            target=output["loudness"],
        )
        job.progress(0.7)
        source, target = alpha3(languages["source"]), alpha3(languages["target"])
        sounds = [Track(scratch / "dub.m4a", target, "Dub (synthetic speech)")]
        if output["keep_original_audio"]:
            mastering.encode(mix.original(pieces), scratch / "original.m4a", channels=channels, samples=samples)
            sounds.append(Track(scratch / "original.m4a", source, "Original"))
        job.progress(0.9)
        length = samples / SAMPLE_RATE
        cues = {languages["source"]: _cues(heard, length), languages["target"]: _cues(said, length)}
        texts = _write_subtitles(job.outputs, cues, scratch) if output["subtitles"] else []
        mux(
            Programme(
                rate=Fraction(params["rate"]),
                sounds=sounds,
                subtitles=texts,
                renders=[] if params["copy"] else job.lists["renders"],
                source=job.inputs["source"] if params["copy"] else None,
                metadata=_metadata(params),
            ),
            dubbed,
            scratch,
        )
    return {
        "loudness": round(level.loudness, 1),
        "true_peak": round(level.peak, 1),
        "utterances": len(heard),
        "lines": len(lines),
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise DubdError(
            f"not JSON: {error}", file=path, remedy="mend it, or delete it to have it made again"
        ) from error
    return data


def _utterances(paths: Sequence[Path]) -> list[dict[str, Any]]:
    return [utterance for path in paths for utterance in _read(path)["utterances"]]


def _cues(utterances: Sequence[Mapping[str, Any]], length: float) -> list[subtitles.Cue]:
    return subtitles.lay_out([subtitles.Cue(item["start"], item["end"], item["text"]) for item in utterances], length)


def _write_subtitles(
    outputs: Mapping[str, Path], cues: Mapping[str, Sequence[subtitles.Cue]], scratch: Path
) -> list[Track]:
    """Write the sidecar files that are asked for, and an .srt of each language for the container."""
    for name, path in outputs.items():
        form, _, language = name.partition(":")
        if language:
            subtitles.write(path, cues[language], form)
    tracks: list[Track] = []
    for language in reversed(list(cues)):
        if cues[language]:
            path = scratch / f"{alpha3(language)}.srt"
            subtitles.write(path, cues[language], "srt")
            tracks.append(Track(path, alpha3(language), "Dub" if not tracks else "Original"))
    return tracks


def _metadata(params: Mapping[str, Any]) -> dict[str, str]:
    """Tags of the file: viewers and crawlers learn that the voice is not the speaker's own."""
    languages, engines = params["languages"], params["engines"]
    made = ", ".join(f"{stage}: {name}" for stage, name in engines.items())
    note = (
        f"Dubbed by machine from {languages['source']} to {languages['target']}. "
        f"The speech of the default sound track is synthetic. Made with {made}."
    )
    return {"title": params["title"], "comment": note, "synopsis": note}
