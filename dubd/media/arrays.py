"""The arrays of a .npz file that may have been edited, cut short or replaced since it was written."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def read(path: Path) -> dict[str, npt.NDArray[Any]]:
    """All of them by name; none can run code. Errors: ValueError where it is no such file, OSError where there is none.

    NumPy lets through whatever its reader of archives raises: RuntimeError for a member that wants a password, or that
    was packed in a way that is not known here.
    """
    try:
        found = np.load(path, allow_pickle=False)
        if not isinstance(found, np.lib.npyio.NpzFile):
            raise ValueError("one array and no archive of them")
        with found:
            return {name: found[name] for name in found.files}
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, RuntimeError) as error:
        raise ValueError(str(error)) from error
