"""Lip sync by a program in an environment of its own: a checkout that a rule names, run for each stretch of speech.

What the program returns is looked at, repaired where a few frames are lacking, and reduced to the region of the face
that it changed. Where it returns nothing of use, the `fallback` engine does the stretch, and the facts say so.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from dubd.engines import external_changed, external_exchange, external_folder, external_params, external_run, registry
from dubd.engines.contract import Engine, Shot, Vram, each
from dubd.engines.external_changed import Region
from dubd.engines.external_exchange import Returned, Unusable
from dubd.engines.external_params import ExternalParams
from dubd.engines.external_pieces import Piece, pieces
from dubd.engines.tracks import Tracks
from dubd.errors import DubdError
from dubd.media.ffmpeg import picture_of
from dubd.models.model import Needed

if TYPE_CHECKING:
    from dubd.media.patches import Patch, PatchReader

log = logging.getLogger("dubd.external")

Made = dict[str, Any]

_CHECK = 300.0  # seconds: the first import of PyTorch from a cold disk takes minutes


@dataclass(frozen=True)
class _Done:
    """What became of a piece: the program's video and the region it changed, or why there is none."""

    piece: Piece
    returned: Returned | None = None
    region: Region | None = None
    why: str = ""


class External(Engine[Shot, Made]):
    """Any program that takes a video and a sound and writes a video; all that is particular to it is in the rule."""

    name: ClassVar[str] = "external"
    stage: ClassVar[str] = "lipsync"
    summary: ClassVar[str] = "a lip-sync program of your own, such as a LatentSync or MuseTalk checkout"
    licence: ClassVar[str] = "that of the program"
    Params: ClassVar[type[Any]] = ExternalParams
    model_params: ClassVar[tuple[str, ...]] = ("repo", "python")
    upkeep_params: ClassVar[tuple[str, ...]] = ("check", "leaves", "alone", "gpu")
    operator_params: ClassVar[tuple[str, ...]] = (
        *("repo", "python", "args", "env", "files", "needs", "leaves", "check"),
    )
    page: ClassVar[str] = "docs/engines/external.md"

    @classmethod
    def revision(cls) -> str:
        return "1"

    @classmethod
    def models(cls, params: ExternalParams) -> tuple[Needed, ...]:
        """What says which program it is, and what the fallback loads: in the midst of a run is too late to lack it."""
        external_params.check(params)
        own = external_params.content(params)
        if params.fallback == "none":
            return own
        other = registry.find("lipsync", params.fallback)
        return (*own, *other.models(other.Params()))

    @classmethod
    def lacks(cls, params: ExternalParams) -> tuple[str, str] | None:
        lack = external_params.lacks(params)
        return (lack, f"{cls.page} tells how it is set up") if lack else None

    @classmethod
    def helpers(cls, params: ExternalParams) -> tuple[str, ...]:
        return () if params.fallback == "none" else (params.fallback,)

    @classmethod
    def vram(cls, params: ExternalParams, precision: str | None) -> Vram | None:  # noqa: ARG003  (the program's own)
        """What the rule says; the program has a context of its own, so that none is added."""
        return Vram(params.gpu, 0, context=0) if params.gpu else None

    def load(self, device: str, params: ExternalParams) -> None:
        """Look whether the program can run. Errors: DubdError that names what is lacking and the page that tells."""
        self.params, self.device = params, device
        self._instead: Engine[Shot, Made] | None = None
        if lack := self.lacks(params):
            raise DubdError(lack[0], stage=self.stage, remedy=lack[1])
        external_folder.sweep()
        words = external_params.values(params, device)
        self.environ = external_run.environment(params.python, {})
        if params.check:
            argv = [params.python, *(external_params.filled(text, words) for text in params.check)]
            with external_folder.folder() as folder:
                ended = external_run.run(
                    argv, cwd=Path(params.repo), env=self.environ, log=folder / "check.log", seconds=_CHECK
                )
            if ended.reason:
                self._keep_words(ended, "the check")
                said = f": {ended.last}" if ended.last else f" ({ended.reason})"
                raise self._unready(f"the environment of {params.python} is not whole{said}")

    def run(self, batch: Sequence[Shot]) -> list[Made | Exception]:
        return each(self._in_folder, batch)

    def _in_folder(self, shot: Shot) -> Made:
        with external_folder.folder() as folder:
            return self._sync(shot, folder)

    def _sync(self, shot: Shot, folder: Path) -> Made:
        """Write the shot's patches; facts are the mode, tracks, changed frames, pieces, and what went wrong."""
        assert shot.faces is not None and shot.out is not None
        assert shot.speech is not None and shot.original is not None
        tracks = Tracks.load(shot.faces)
        picture = picture_of(shot.video)
        size = int(picture["width"]), int(picture["height"])
        found = pieces(
            tracks,
            shot.speech,
            shot.original,
            shot.timing,
            float(Fraction(shot.rate)),
            size,
            min_face=self.params.min_face,
            max_seconds=self.params.max_seconds,
            context=self.params.context,
        )
        done = []
        for number, piece in enumerate(found):
            still = functools.partial(shot.progress, number / len(found))
            still()
            done.append(self._attempt(shot, piece, size, folder / f"{folder.name}_{number}", still))
        failed = [one for one in done if one.why]
        instead = self._fall_back(shot, failed, folder) if failed else None
        changed = self._write(shot, done, instead, size)
        modes = [self.name] if len(failed) < len(done) else []
        modes += [instead.mode] if instead and instead.mode != "none" else []
        shot.out.mode = "+".join(modes) or "none"
        facts = {"mode": shot.out.mode, "tracks": tracks.count, "changed": changed, "pieces": len(done)}
        facts["repaired"] = sum(one.returned.repaired for one in done if one.returned)
        facts["fallback"] = len(failed)
        if failed:
            facts["why"] = sorted({one.why for one in failed})
        return facts

    def _attempt(self, shot: Shot, piece: Piece, size: tuple[int, int], job: Path, still: Callable[[], None]) -> _Done:
        """One run of the program, a second one where it was killed, and what can be used of it.

        `still` is said now and then: the time limit here counts, and not the worker's deadline.
        """
        rate = float(Fraction(shot.rate))
        try:
            try:
                out = self._run(shot, piece, job, rate, still)
            except external_exchange.Killed as error:
                log.warning("%s: the program %s, it is tried once more", shot.video, error)
                shutil.rmtree(job)
                out = self._run(shot, piece, job, rate, still)
            made = external_exchange.returned(out, piece, rate, self.params.pad)
            return _Done(piece, made, external_changed.region(shot.video, size, piece, made, self.params.threshold))
        except Unusable as error:
            where = f"{piece.first / rate:.1f}-{piece.stop / rate:.1f} s"
            log.warning("%s, %s: the program %s", shot.video, where, error)
            return _Done(piece, why=str(error))

    def _run(self, shot: Shot, piece: Piece, job: Path, rate: float, still: Callable[[], None]) -> Path:
        """The video that one run of the program was to write. Errors: Unusable."""
        assert shot.speech is not None
        params, name = self.params, job.name
        job.mkdir()
        face, sound, out = (job / f"{name}{end}" for end in (".mp4", ".wav", "_out.mp4"))
        external_exchange.write_face(shot.video, piece, face, shot.rate, params.fps)
        external_exchange.write_sound(shot.speech, piece, sound, rate, hertz=params.audio_rate, pad=params.pad)
        seconds = piece.frames / rate
        words = {
            **external_params.values(params, self.device, name),
            **{"face": str(face), "audio": str(sound), "out": str(out), "job": str(job)},
            **{"rate": f"{params.fps or rate:g}", "seconds": f"{seconds:.3f}"},
            "frames": str(round(seconds * (params.fps or rate))),
        }

        def filled(text: str) -> str:
            return external_params.filled(text, words)

        for path, text in params.files.items():
            (job / path).write_text(filled(text), encoding="utf-8")
        repo = Path(params.repo)
        try:
            with external_run.alone(repo, still) if params.alone else contextlib.nullcontext():
                ended = external_run.run(
                    [params.python, *map(filled, params.args)],
                    cwd=repo,
                    env={**self.environ, **{key: filled(text) for key, text in params.env.items()}},
                    log=job / "log.txt",
                    seconds=max(params.timeout, params.timeout_factor * seconds),
                    tick=still,
                )
        finally:
            _remove(repo, [external_params.filled(glob, words) for glob in params.leaves])
        if ended.reason or not out.is_file():
            self._keep_words(ended, f"{seconds:.1f} s of {shot.video.name}")
        if ended.reason:
            kind = external_exchange.Killed if ended.killed else Unusable
            raise kind(f"{ended.reason}{f': {ended.last}' if ended.last else ''}")
        if not out.is_file():
            raise Unusable(f"ended well, but wrote no video{f': {ended.last}' if ended.last else ''}")
        return out

    def _fall_back(self, shot: Shot, failed: Sequence[_Done], folder: Path) -> PatchReader:
        """What the other engine makes of the whole shot. Errors: DubdError where there is to be none."""
        from dubd.media.patches import PatchReader, PatchWriter

        if self.params.fallback == "none":
            raise DubdError(
                f"the program {failed[0].why}",
                file=shot.video,
                remedy=f"its last {external_run.LINES} lines are in lipsync-{self.name}.log in the workspace's .log "
                f"folder; {self.page} tells what is known; fallback: mouths goes on without it",
            )
        if self._instead is None:
            engine = registry.find("lipsync", self.params.fallback)
            self._instead = engine()
            # Not on the card: what it would hold there between two runs is the program's.
            self._instead.room, self._instead.precision = replace(self.room, mib=None), None
            self._instead.load("cpu", engine.Params())
        assert shot.out is not None
        store = folder / "instead.mkv", folder / "instead.npz"
        space, range = _colours(shot)
        with PatchWriter(*store, canvas=shot.out.canvas, rate=shot.rate, mode="none", space=space, range=range) as out:
            (made,) = self._instead.run([replace(shot, out=out)])
            if isinstance(made, Exception):
                raise made
        return PatchReader(*store)

    def _write(self, shot: Shot, done: Sequence[_Done], instead: PatchReader | None, size: tuple[int, int]) -> int:
        """All patches in the order of their frames; how many frames have one."""
        assert shot.out is not None
        where = {
            one.piece.first: external_changed.areas(one.piece, one.region) for one in done if one.region is not None
        }
        sizes = [(x1 - x0, y1 - y0) for each in where.values() for x0, y0, x1, y1 in each]
        sizes += [instead.canvas] if instead else []
        if not sizes:
            return 0
        shot.out.shrink((max(2, *(wide for wide, _ in sizes)), max(2, *(high for _, high in sizes))))
        others = _by_frame(instead)
        waiting = next(others, None)
        changed = set()
        for one in done:
            if one.returned and one.region:
                for frame, patch in external_changed.lay(shot.video, size, one.piece, one.returned, one.region):
                    area = where[one.piece.first][frame - one.piece.first]
                    external_changed.add(shot.out, frame, area, patch)
                    changed.add(frame)
                continue
            while waiting and waiting[0] < one.piece.stop:
                frame, x, y, theirs = waiting
                if frame >= one.piece.first:
                    shot.out.add(frame, x, y, theirs)
                    changed.add(frame)
                waiting = next(others, None)
        return len(changed)

    def _keep_words(self, ended: external_run.Ended, what: str) -> None:
        """The program's last words into the worker's log, which is the workspace's."""
        log.warning("%s: the program %s; it said last:\n%s", what, ended.reason or "ended well", "\n".join(ended.lines))

    def _unready(self, lack: str) -> DubdError:
        return DubdError(lack, stage="lipsync", remedy=f"{self.page} tells how it is set up")


def _by_frame(reader: PatchReader | None) -> Iterator[tuple[int, int, int, Patch]]:
    return iter(reader) if reader else iter(())


def _colours(shot: Shot) -> tuple[str, str]:
    picture = picture_of(shot.video)
    return picture.get("color_space", "unknown"), picture.get("color_range", "tv")


def _remove(repo: Path, globs: Sequence[str]) -> None:
    for glob in globs:
        for path in repo.glob(glob):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
