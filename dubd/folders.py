"""Where things live: inbox, workspace, rules and models, each movable by an environment variable."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dubd.models import store

_CHECKOUT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Folders:
    """The four folders of one dubd installation, as absolute paths."""

    inbox: Path
    workspace: Path
    rules: Path
    models: Path

    @classmethod
    def find(cls, environ: dict[str, str] | None = None) -> Folders:
        """DUBD_INBOX, DUBD_WORKSPACE, DUBD_RULES and DUBD_MODELS, else beside the checkout's dodo.py.

        Outside a checkout (dubd installed as a wheel) the folders are those of the current
        directory, and the models those of the XDG cache.
        """
        env = os.environ if environ is None else environ
        root = _CHECKOUT if (_CHECKOUT / "dodo.py").exists() else Path.cwd()

        def folder(variable: str, default: Path) -> Path:
            return Path(os.path.abspath(env.get(variable) or default))

        return cls(
            inbox=folder("DUBD_INBOX", root / "inbox"),
            workspace=folder("DUBD_WORKSPACE", root / "workspace"),
            rules=folder("DUBD_RULES", root / "rules"),
            models=store.root(env),
        )
