"""From rule and plan to steps: every stage run of a video with its files and its key. Pure; nothing is run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dubd.engines import registry
from dubd.engines.contract import Vram
from dubd.graph import device
from dubd.graph.catalogue import VERSIONS
from dubd.graph.needed import needed
from dubd.graph.rule import Rule, StageRule
from dubd.models import store
from dubd.models.model import Needed


@dataclass(frozen=True)
class Step:
    """One stage run. Paths are relative to the video's folder, or absolute outside it.

    `inputs` and `lists` are watched for change; `reads` are not (the source: its sha256 is in `params`).
    """

    name: str
    stage: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    params: Mapping[str, Any]
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    reads: Mapping[str, str] = field(default_factory=dict)
    rule: StageRule | None = None  # of the engine, where the stage has one

    @property
    def engine(self) -> str | None:
        """The engine's name, None for a stage that has none."""
        return self.rule.engine if self.rule else None

    @property
    def key(self) -> dict[str, Any]:
        """What changes the step's bytes besides the contents of its inputs."""
        return self.keyed({})

    def keyed(self, revisions: dict[tuple[str, str], str]) -> dict[str, Any]:
        """The key; `revisions` keeps those of engines, a millisecond each, for the other steps of a build."""
        key: dict[str, Any] = {"version": VERSIONS[self.stage], "params": dict(self.params)}
        if self.rule:
            engine, named = registry.find(self.stage, self.rule.engine), (self.stage, self.rule.engine)
            if named not in revisions:
                revisions[named] = engine.revision()
            params, apart = self.rule.params, {*engine.model_params, *engine.upkeep_params}
            kept = engine.clone_params if self.stage == "clone" else None
            key["engine"] = {
                "name": self.rule.engine,
                "revision": revisions[named],
                "params": {
                    name: value
                    for name, value in params.items()
                    if name not in apart and (kept is None or name in kept)
                },
                "precision": self.rule.precision,
            }
            if models := self.models:
                key["engine"]["models"] = [store.identity(model) for model in models]
            if helpers := engine.helpers(engine.Params(**params)):
                key["engine"]["helpers"] = {one: registry.find(self.stage, one).revision() for one in helpers}
        return key

    @property
    def models(self) -> tuple[Needed, ...]:
        """The models that its engine loads."""
        return needed(self.stage, self.rule) if self.rule else ()

    @property
    def batch(self) -> int:
        """How many of its kind one call may take."""
        if self.rule is None:
            return 1
        return self.rule.batch or registry.find(self.stage, self.rule.engine).batch

    @property
    def parallel(self) -> int:
        """How many workers of the engine may run on one card at once: nothing of it is in the key."""
        if self.rule is None:
            return 1
        return self.rule.workers or registry.find(self.stage, self.rule.engine).parallel

    @property
    def vram(self) -> Vram | None:
        """What the engine needs of a GPU, None where the step runs on the CPU: nothing of it is in the key."""
        return device.vram(self.stage, self.rule) if self.rule else None


def plan_step(rule: Rule, source: str) -> Step:
    """The first step, which all others are made from."""
    return Step(
        name="plan",
        stage="plan",
        inputs={"source": source},
        outputs={"plan": "plan.json"},
        params={
            "clip": rule.clip.model_dump() if rule.clip else None,
            "segments": rule.segments.model_dump(),
        },
    )


def steps(rule: Rule, plan: Mapping[str, Any], source: str, subtitles: str | None, title: str) -> Iterator[Step]:
    """Every step after the plan, in the order of the chain, segment by segment.

    `source` and `subtitles` are file names in the video's folder. The first target language's artifacts lie
    in the segment's folder, a further one's in a folder of its name in there, so that adding a language
    leaves the first one's as they are.
    """
    chain = _Chain(rule, plan, source, subtitles, title)
    for segment in plan["segments"]:
        yield from chain.shared(segment)
    yield chain.voice()
    if chain.cloned:
        yield chain.clone()
    for target in rule.languages.target:
        for segment in plan["segments"]:
            yield from chain.spoken(segment, target)
        yield chain.assemble(target)


class _Chain:
    def __init__(self, rule: Rule, plan: Mapping[str, Any], source: str, subtitles: str | None, title: str) -> None:
        self.rule, self.plan, self.source, self.subtitles, self.title = rule, plan, source, subtitles, title
        self.rate = plan["picture"]["rate"]
        self.lips = rule.stages.lipsync.on
        speak = rule.stages.speak
        engine = registry.find("speak", speak.engine)
        self.cloned = rule.consent and engine.clones(engine.Params(**speak.params))
        # Only a whole stream that a browser can play is handed through as it is.
        self.copied = not self.lips and rule.clip is None and bool(plan["picture"]["copy"])

    def shared(self, segment: Mapping[str, Any]) -> Iterator[Step]:
        """What all target languages have in common."""
        stages, where = self.rule.stages, f"segments/{segment['id']}"
        outputs = {"audio": f"{where}/audio.wav"}
        if not self.copied:
            outputs["video"] = f"{where}/video.mp4"
        yield Step(
            name=f"{segment['id']}/extract",
            stage="extract",
            inputs={},
            reads={"source": self.source},
            outputs=outputs,
            params={
                "source": self.plan["source"]["sha256"],
                "start": self.plan["start"],
                "picture": self.plan["picture"],
                "sound": self.plan["sound"],
                "segment": _stretch(segment),
            },
        )
        heard = {"audio": f"{where}/audio.wav"}
        if self.subtitles:
            heard["subtitles"] = self.subtitles
        yield Step(
            name=f"{segment['id']}/transcribe",
            stage="transcribe",
            inputs=heard,
            outputs={"transcript": f"{where}/transcript.json"},
            params={
                "language": self.rule.languages.source,
                "start": self.plan["start"],
                "segment": _stretch(segment),
            },
            rule=None if self.subtitles else stages.transcribe,  # nobody recognises what a person has written down
        )
        if self.lips:
            yield Step(
                name=f"{segment['id']}/faces",
                stage="faces",
                inputs={"video": f"{where}/video.mp4"},
                outputs={"faces": f"{where}/faces.npz"},
                params={"rate": self.rate},
                rule=stages.faces,
            )

    def voice(self) -> Step:
        return Step(
            name="voice",
            stage="voice",
            inputs={},
            lists={"audios": self.each("audio.wav"), "transcripts": self.each("transcript.json")},
            outputs={"speakers": "voice/speakers.json"}
            | ({"references": "voice/references.npz"} if self.cloned else {}),
            params={},
        )

    def clone(self) -> Step:
        """Once for a video: what the engine that speaks needs to know of each speaker's voice."""
        return Step(
            name="clone",
            stage="clone",
            inputs={"references": "voice/references.npz"},
            outputs={"latents": "voice/latents.npz"},
            params={},
            rule=self.rule.stages.speak,
        )

    def spoken(self, segment: Mapping[str, Any], target: str) -> Iterator[Step]:
        """From the transcript to the picture that ships, in one language."""
        stages, languages = self.rule.stages, self.rule.languages
        where, there = f"segments/{segment['id']}", self.folder(segment, target)
        prefix = there.removeprefix("segments/")
        translated = {"transcript": f"{where}/transcript.json"}
        if stages.translate.glossary:
            translated["glossary"] = str(stages.translate.glossary)
        yield Step(
            name=f"{prefix}/translate",
            stage="translate",
            inputs=translated,
            outputs={"translation": f"{there}/translation.json"},
            params={"source": languages.source, "pivot": languages.pivot, "target": target},
            rule=stages.translate,
        )
        yield Step(
            name=f"{prefix}/speak",
            stage="speak",
            inputs={
                "translation": f"{there}/translation.json",
                "speakers": "voice/speakers.json",
                "audio": f"{where}/audio.wav",
            }
            | ({"latents": "voice/latents.npz"} if self.cloned else {}),
            outputs={"speech": f"{there}/speech.wav", "timing": f"{there}/speech.json"},
            params={"language": target, "segment": _stretch(segment)} | ({"cloned": True} if self.cloned else {}),
            rule=stages.speak,
        )
        patched: dict[str, str] = {}
        picture = {"video": f"{where}/video.mp4", "faces": f"{where}/faces.npz"}
        if self.lips:
            patched = _patches(there, "lipsync")
            yield Step(
                name=f"{prefix}/lipsync",
                stage="lipsync",
                inputs={
                    **picture,
                    "speech": f"{there}/speech.wav",
                    "timing": f"{there}/speech.json",
                    "audio": f"{where}/audio.wav",
                },
                outputs=patched,
                params={"rate": self.rate, "start": segment["start"]},
                rule=stages.lipsync,
            )
        if self.lips and stages.restore.on:
            sharp = _patches(there, "restore")
            yield Step(
                name=f"{prefix}/restore",
                stage="restore",
                inputs={**picture, **patched},
                outputs=sharp,
                params={"rate": self.rate},
                rule=stages.restore,
            )
            patched = sharp
        if not self.copied:
            yield Step(
                name=f"{prefix}/render",
                stage="render",
                inputs={"video": f"{where}/video.mp4", **patched},
                outputs={"render": f"{there}/render.mp4"},
                params={"rate": self.rate, "picture": self.plan["picture"]},
            )

    def assemble(self, target: str) -> Step:
        output, languages = self.rule.output, self.rule.languages
        first = target == languages.target[0]
        lists = {
            "audios": self.each("audio.wav"),
            "transcripts": self.each("transcript.json"),
            "translations": self.each("translation.json", target),
            "speeches": self.each("speech.wav", target),
            "timings": self.each("speech.json", target),
        }
        if not self.copied:
            lists["renders"] = self.each("render.mp4", target)
        outputs = {"dubbed": f"dubbed.{target}.mp4"}
        for form in output.subtitles:
            outputs[f"{form}:{target}"] = f"dubbed.{target}.{form}"
            if first:
                outputs[f"{form}:{languages.source}"] = f"original.{languages.source}.{form}"
        return Step(
            name="assemble" if first else f"assemble-{target}",
            stage="assemble",
            inputs={},
            lists=lists,
            reads={"source": self.source} if self.copied else {},
            outputs=outputs,
            params={
                "languages": {"source": languages.source, "target": target},
                "output": output.model_dump(mode="json"),
                "source": self.plan["source"]["sha256"] if self.copied else None,
                "rate": self.rate,
                "frames": self.plan["frames"],
                "samples": self.plan["samples"],
                "start": self.plan["start"],
                "copy": self.copied,
                "title": self.title,
                "engines": self.engines(),
                "segments": [_stretch(segment) for segment in self.plan["segments"]],
            },
        )

    def engines(self) -> dict[str, str]:
        """Who does what, for the file's metadata: only stages that are on."""
        silent = () if self.lips else ("faces", "lipsync", "restore")
        return {stage: rule.engine for stage, rule in self.rule.stages if rule.on and stage not in silent}

    def each(self, file: str, target: str | None = None) -> tuple[str, ...]:
        return tuple(f"{self.folder(segment, target)}/{file}" for segment in self.plan["segments"])

    def folder(self, segment: Mapping[str, Any], target: str | None) -> str:
        where = f"segments/{segment['id']}"
        return where if target in (None, self.rule.languages.target[0]) else f"{where}/{target}"


def _stretch(segment: Mapping[str, Any]) -> dict[str, Any]:
    """A segment without what changes nothing in it: why it ends where it does."""
    return {name: value for name, value in segment.items() if name != "cut"}


def _patches(folder: str, stage: str) -> dict[str, str]:
    return {"patches": f"{folder}/{stage}/patches.mkv", "geometry": f"{folder}/{stage}/geometry.npz"}
