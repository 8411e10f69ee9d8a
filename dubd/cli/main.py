"""dubd's command line: what each command is called, and how every one of them ends."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from dubd import __version__
from dubd.cli import clean, doctor, gpu, licences, models, plan, report, retry, rules, run, status, watch, why
from dubd.cli.console import complain
from dubd.cli.voice import LOGS, keep_log
from dubd.errors import DubdError, Exit
from dubd.folders import Folders

app = typer.Typer(
    name="dubd",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Dub video: drop a file, get it back in another language, lips in time.",
    epilog="Folders: DUBD_INBOX, DUBD_WORKSPACE, DUBD_RULES, DUBD_MODELS move them. Exit codes: docs/cli.md.",
)
app.command("watch")(watch.watch)
app.command("run")(run.run)
app.command("status")(status.status)
app.command("gpu")(gpu.gpu)
app.command("why")(why.why)
app.command("retry")(retry.retry)
app.command("clean")(clean.clean)
app.command("plan")(plan.plan)
app.command("report")(report.report)
app.add_typer(rules.app, name="rules")
app.add_typer(models.app, name="models")
app.command("licences")(licences.licences)
app.command("doctor")(doctor.doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dubd {__version__}")
        raise typer.Exit


@app.callback()
def _dubd(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; a fault becomes one line on standard error and the exit code that it names."""
    keep_log(Folders.find().workspace / LOGS)
    try:
        app()
    except DubdError as error:
        complain(error)
        sys.exit(int(error.exit))
    except KeyboardInterrupt:
        sys.exit(int(Exit.STOPPED))
    except BrokenPipeError:
        sys.stderr.close()  # the reader has gone, as with `| head`
        sys.exit(int(Exit.OK))


if __name__ == "__main__":
    main()
