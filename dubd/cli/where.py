"""The options that say where tasks run, the same for every command that runs some."""

from __future__ import annotations

from typing import Annotated

import typer

Executor = Annotated[
    str | None,
    typer.Option("--executor", metavar="local|ray", help="This machine, or the nodes of a Ray cluster; DUBD_EXECUTOR."),
]
Address = Annotated[
    str | None,
    typer.Option("--address", metavar="HOST:PORT", help="Of Ray's head; auto: the cluster this machine is in."),
]
Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="value|shared",
        help="How nodes get at files: sent to them, or the workspace is mounted there too; DUBD_STORAGE.",
    ),
]
