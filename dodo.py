"""The dubbing graph for plain `doit`: every video in workspace/, the same tasks that the daemon builds.

doit list --all --status      what there is, and what is stale
doit                          build what is stale
doit workspace/<video>/dubbed.es.mp4
"""

import sys
from pathlib import Path

from dubd.errors import DubdError
from dubd.folders import Folders
from dubd.graph.content import ContentChecker
from dubd.graph.doit_run import creators, seen_from
from dubd.service.local import require_local

_folders = Folders.find()
_root = Path(__file__).resolve().parent

try:
    require_local(_folders.workspace)
except DubdError as error:
    sys.stderr.write(f"dubd: {error}\n")
    raise SystemExit(int(error.exit)) from None

DOIT_CONFIG = {
    "backend": "dubd",
    "dep_file": seen_from(_root, _folders.workspace),
    "check_file_uptodate": ContentChecker,
}

globals().update(creators(_folders, _root))
