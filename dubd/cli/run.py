"""dubd run: dub videos here and now, and leave."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dubd.cli.where import Address, Executor, Storage
from dubd.cluster.choice import Choice
from dubd.errors import DubdError, Exit

if TYPE_CHECKING:
    from dubd.cli.board import Board
    from dubd.folders import Folders
    from dubd.graph.build import Event
    from dubd.graph.video import Video
    from dubd.graph.video_build import VideoBuild
    from dubd.schedule.executor import Executor as AnyExecutor


def run(
    videos: Annotated[
        list[str], typer.Argument(metavar="VIDEO...", help="Video files, or ids of videos in the workspace.")
    ],
    rule: Annotated[str | None, typer.Option("--rule", "-r", help="A rule's name, or the path of one.")] = None,
    clip: Annotated[
        str | None, typer.Option("--clip", metavar="START+DURATION", help="Only this stretch, such as 00:15+15.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line: task, state, seconds, why, ...")
    ] = False,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="CPU slots; all by default.")] = None,
    executor: Executor = None,
    address: Address = None,
    storage: Storage = None,
) -> None:
    """Dub videos now: only what is stale is computed, and what is finished stays whatever happens.

    [bold]dubd run talk.mp4[/]  by the default rule, or by talk.yaml beside it

    [bold]dubd run talk.mp4 --rule kannada-hindi --clip 00:15+15[/]  one stretch, by a named rule
    """
    from dubd.cli.board import board
    from dubd.cli.voice import voiced
    from dubd.folders import Folders
    from dubd.service.local import require_local

    choice = Choice.of(executor, address, storage)
    choice.guard()
    folders = Folders.find()
    require_local(folders.workspace)
    with board(json=json) as shown, voiced(shown):
        _Run(folders, shown, jobs, choice).all(videos, rule, clip)


class _Run:
    """One `dubd run`: `exit` is the code of the first fault that is shown, whichever video it is of."""

    def __init__(self, folders: Folders, board: Board, jobs: int | None, choice: Choice | None = None) -> None:
        self.folders, self.board, self.jobs, self.choice = folders, board, jobs, choice or Choice()
        self.exit = Exit.OK
        self.stopped = False
        self._unread = False  # whoever read the output has gone, as with `| head`
        self._executor: AnyExecutor | None = None  # one that was opened before the videos were claimed
        self._told: set[tuple[Path, str]] = set()  # failures that the board has shown

    def all(self, texts: list[str], rule: str | None, clip: str | None) -> None:
        """Claim, build and close every video; one that fails keeps none of the others back."""
        with ExitStack() as held:
            if self.choice.far:  # before any rule is read: what it can have depends on the GPUs of the cluster
                self._executor = held.enter_context(self.choice.open(self._logs(), self.jobs))
            self._all(texts, rule, clip)

    def _all(self, texts: list[str], rule: str | None, clip: str | None) -> None:
        claimed: list[Video] = []
        for text in texts:
            try:
                video = self._claim(text, rule, clip)
            except DubdError as error:
                self._fault(error)
                continue
            if video.folder not in [known.folder for known in claimed]:
                claimed.append(video)
        if claimed:
            self._build(claimed)
        if self._unread:
            raise BrokenPipeError
        if self.stopped:
            raise typer.Exit(int(Exit.STOPPED))
        if self.exit:
            raise typer.Exit(int(self.exit))

    def _claim(self, text: str, name: str | None, clip: str | None) -> Video:
        from dubd.cli.chosen import chosen
        from dubd.graph.rules import SUFFIXES, Rules, load, with_clip
        from dubd.graph.video import Video
        from dubd.media.source import require_clip
        from dubd.service.aliases import taken
        from dubd.service.inbox import VIDEO, subtitles_beside

        path = Path(text)
        if not path.is_file():
            if path.suffix.lower() in VIDEO:
                raise DubdError("no such file", file=text, remedy="check the path", exit=Exit.INPUT)
            video = Video.open(chosen(text, self.folders))
            video.require_source()
            if name or clip:
                raise DubdError(
                    "is in the workspace with a rule of its own",
                    file=text,
                    remedy="edit its rule.yaml, or give the original file",
                    exit=Exit.USAGE,
                )
            return video
        path, folder = taken(Path(os.path.abspath(path)), self.folders)
        if folder and str(path) != os.path.abspath(text):
            self.board.warn(f"{text}: has the content of {path}; {folder.name} is the dub of both")
        rules = Rules(self.folders.rules)
        if name is None:
            rule = rules.for_drop(path, self.folders.inbox)
        elif name.endswith(SUFFIXES):
            rule = load(Path(name))
        else:
            rule = rules.named(name)
        if clip:
            rule = with_clip(rule, clip)
        if rule.clip and (clip or name):  # before anything is changed: the build that is there may be a good one
            require_clip(path, rule.clip.model_dump(), Exit.USAGE if clip else Exit.INPUT)
        insist = name is not None or clip is not None  # what is asked for now goes before an edited rule.yaml
        video = Video.claim(path, rule, self.folders, subtitles_beside(path), insist=insist, known=folder)
        video.require_source()
        return video

    def _build(self, videos: list[Video]) -> None:
        from dubd.graph import device
        from dubd.graph.video_build import VideoBuild
        from dubd.schedule.scheduler import Scheduler
        from dubd.schedule.stopping import stopping
        from dubd.service.fault import fault_of

        logs = self._logs()
        device.tell(pair for video in videos for pair in video.rule.stages)
        with ExitStack() as held:
            executor = self._executor or held.enter_context(self.choice.open(logs, self.jobs))
            scheduler = Scheduler(executor)
            builds: list[VideoBuild] = []
            held.callback(_close, builds)
            with stopping(lambda: self._stop(builds)):
                began = time.monotonic()
                for video in videos:
                    if self.stopped:
                        self.board.line(f"{video.id}: stopped before it began; run it again", "yellow")
                        continue
                    try:
                        build = VideoBuild(video, self._listener(video, builds))
                    except Exception as error:  # one that fails keeps none of the others back
                        self._fault(fault_of(error, video.folder))
                        continue
                    builds.append(build)
                    if self.stopped:  # the signal came while it was made, before it could be told
                        build.stop()
                    scheduler.add(build)
                while builds:
                    scheduler.step(0.2)
                    for build in [build for build in builds if build.done]:
                        builds.remove(build)
                        self._end(build, time.monotonic() - began)

    def _logs(self) -> Path:
        from dubd.cli.voice import LOGS, keep_log

        with suppress(OSError):  # whoever needs the folder says so
            (logs := self.folders.workspace / LOGS).mkdir(exist_ok=True, parents=self.choice.far)
        keep_log(logs)
        return logs

    def _listener(self, video: Video, builds: list[VideoBuild]) -> Callable[[Event], None]:
        from dubd.graph.tasks import VideoTasks

        def hear(event: Event) -> None:
            try:
                self.board.hear(video.folder, event)
            except (BrokenPipeError, SystemExit):  # rich leaves by the latter: here what runs ends first
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                self._unread = True
                self._stop(builds)
            if event.state == "failed" and event.error:
                self._told.add((video.folder, event.task))
                self._remember(event.error)
            if event.state == "waits" and event.error:
                self._remember(event.error)
            if event.stage == "plan" and event.state in ("ran", "skipped"):
                tasks = [VideoTasks(video).plan(), *VideoTasks(video).rest()]
                self.board.know(video.folder, {task.name: task.meta["ticket"].stage for task in tasks if task.meta})

        return hear

    def _stop(self, builds: list[VideoBuild]) -> None:
        self.stopped = True
        for build in builds:
            build.stop()

    def _end(self, build: VideoBuild, seconds: float) -> None:
        from dubd.graph.dubbed import dubbed
        from dubd.graph.report import write
        from dubd.service.fault import fault_of

        folder = build.video.folder
        settled, failed, waiting = build.settled, list(build.failed), build.waiting
        try:
            build.close()
            if self.stopped and not settled:
                self.board.line(f"{folder.name}: stopped; what is finished stays, run it again to go on", "yellow")
                return
            write(folder)
        except Exception as error:  # the folder was removed, the disk is full
            failed.append(("close", fault_of(error, folder)))
        for task, fault in failed:
            if (folder, task) not in self._told:  # a fault of the whole build: no task has told it
                fault.file = fault.file or str(folder)
                self._fault(fault)
        if failed:
            self.board.failed(folder, [fault for _, fault in failed], seconds)
        elif waiting:
            self.board.waiting(folder, [lack.fault(folder.name) for lack in waiting], seconds)
        else:
            self.board.built(folder, dubbed(build.video), seconds)

    def _fault(self, error: DubdError) -> None:
        self.board.fault(error)
        self._remember(error)

    def _remember(self, error: DubdError) -> None:
        self.exit = self.exit or error.exit


def _close(builds: list[VideoBuild]) -> None:
    for build in builds:
        build.close()
