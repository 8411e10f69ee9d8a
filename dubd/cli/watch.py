"""dubd watch: the daemon. It takes what is dropped in the inbox, and builds what became stale."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Annotated

import typer

from dubd.cli.where import Address, Executor, Storage
from dubd.errors import DubdError, Exit

if TYPE_CHECKING:
    from dubd.cli.board import Board
    from dubd.service.news import News


def watch(
    until_idle: Annotated[bool, typer.Option("--until-idle", help="Leave when everything is built.")] = False,
    settle: Annotated[
        float | None,
        typer.Option("--settle", min=0.1, help="Seconds a drop must be still; 2, on a network file system 30."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line, as dubd run prints them.")] = False,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="CPU slots; all by default.")] = None,
    drain: Annotated[
        float, typer.Option("--drain", min=0, help="Seconds that running tasks may take to end after a stop.")
    ] = 90.0,
    metrics: Annotated[
        str,
        typer.Option("--metrics", metavar="PORT", help="Serve Prometheus on 127.0.0.1:PORT/metrics."),
    ] = "",
    executor: Executor = None,
    address: Address = None,
    storage: Storage = None,
) -> None:
    """Watch the inbox and dub what is dropped there, until it is stopped.

    Hand edits in the workspace and changed rules are taken up too. SIGTERM or Ctrl-C ends it after what runs
    now, or after --drain seconds; nothing that is finished is lost. SIGHUP has it
    look at every rule and every video again. The rule of a drop: talk.yaml beside talk.mp4, else the name of its
    folder in the inbox, else the match of a rule, else the default rule.
    """
    from dubd.cli.board import board
    from dubd.cli.voice import LOGS, keep_log, voiced
    from dubd.cluster.choice import Choice
    from dubd.folders import Folders
    from dubd.graph import device
    from dubd.graph.rules import Rules, check
    from dubd.schedule.stopping import stopping
    from dubd.service.daemon import Daemon
    from dubd.service.local import require_local
    from dubd.service.metrics import Metrics
    from dubd.service.notify import Notify
    from dubd.service.retries import watching

    choice = Choice.of(executor, address, storage)
    choice.guard()
    folders = Folders.find()
    require_local(folders.workspace)
    try:
        folders.inbox.mkdir(parents=True, exist_ok=True)
        logs = folders.workspace / LOGS
        logs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DubdError(
            f"cannot be made: {error.strerror}",
            file=error.filename,
            remedy="make its parent writable, or set DUBD_INBOX and DUBD_WORKSPACE",
            exit=Exit.WORKSPACE,
        ) from error
    keep_log(logs)
    with (
        watching(folders.workspace),
        board(json=json) as shown,
        voiced(shown),
        choice.open(logs, jobs) as opened,
    ):
        teller = _Teller(shown)
        served = Metrics(folders) if metrics else None
        daemon = Daemon(
            folders,
            opened,
            served.hearing(teller.tell) if served else teller.tell,
            settle=settle,
            drain=drain,
            notify=Notify(),
        )
        shown.line(f"watching {folders.inbox}; {devices()}")
        rules = [check(path, ready=False)[0] for path in Rules(folders.rules).paths()]
        device.tell(pair for rule in rules if rule for pair in rule.stages)
        if served:
            shown.line(f"metrics at {served.serve(daemon, metrics)}")
        signal.signal(signal.SIGHUP, lambda *_: daemon.reload())
        with stopping(daemon.stop):
            daemon.run(until_idle=until_idle)
    if daemon.stopping:
        shown.line("stopped; what is finished stays")
    if teller.exit and until_idle:
        raise typer.Exit(int(teller.exit))


def devices() -> str:
    """What engines run on here, in a few words."""
    from dubd.schedule.gpu import reachable
    from dubd.service.gpus import size

    found, why = reachable()
    if why:
        return f"no GPU is used: every engine runs on the CPU ({why})"
    names = ", ".join(f"{device.name} with {size(device.total)}" for device in found)
    return f"engines that can use a GPU run on {names}"


class _Teller:
    """Puts the daemon's news on the board; `exit` is the code of the first fault that is shown."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self.exit = Exit.OK

    def tell(self, news: News) -> None:
        """One piece of news."""
        from dubd.graph.dubbed import dubbed
        from dubd.graph.tasks import VideoTasks

        if news.kind == "note":  # nothing failed
            self._board.warn(str(news.error))
            return
        error = news.event.error if news.event and news.event.state in ("failed", "waits") else news.error
        if error:
            self.exit = self.exit or error.exit
        if news.event:
            self._board.hear(news.path, news.event)
            if news.video and news.event.stage == "plan" and news.event.state in ("ran", "skipped"):
                tasks = [*VideoTasks(news.video).rest()]
                stages = {task.name: task.meta["ticket"].stage for task in tasks if task.meta}
                self._board.know(news.path, {news.event.task: "plan", **stages})
        elif news.kind == "claimed":
            self._board.line(f"{news.path}: taken")
        elif news.kind == "alias" and news.same:
            drop, folder = news.same
            self._board.warn(f"{news.path}: has the content of {drop}; {folder.name} is the dub of both")
        elif news.kind == "refused" and news.error:
            self._board.fault(news.error)
        elif news.build and news.kind == "built":
            self._board.built(news.path, dubbed(news.build.video), news.seconds)
        elif news.build and news.kind == "current":
            self._board.current(news.path, dubbed(news.build.video), news.seconds)
        elif news.kind == "waiting":
            self._board.waiting(news.path, news.failed, news.seconds)
        elif news.kind == "failed":
            self._board.failed(news.path, news.failed, news.seconds)
        elif news.kind == "over":
            self._board.over(news.path)
