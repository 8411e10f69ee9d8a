"""What a node keeps of the artifacts that it was sent or made, by content: the next stage's inputs are mostly there."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path


class Hold:
    """Files in a folder, named by their sha256, at most so many bytes; those not used for longest go first."""

    def __init__(self, folder: Path, most: int) -> None:
        self._folder, self._most = folder, most
        self._sizes: dict[str, int] = {}  # longest unused first
        self._guard = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)

    def lacks(self, digests: set[str]) -> set[str]:
        """Those that are not here."""
        with self._guard:
            return digests - self._sizes.keys()

    def put(self, digest: str, data: bytes) -> None:
        """Keep one. OSError where the disk has no room."""
        with self._guard:
            if digest not in self._sizes:
                path = self._folder / digest
                path.write_bytes(data)
                self._add(digest, len(data))

    def keep(self, path: Path) -> tuple[str, bytes]:
        """Move a file in here: its digest and its bytes."""
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        with self._guard:
            os.replace(path, self._folder / digest)
            self._add(digest, len(data))
        return digest, data

    def link(self, digest: str, path: Path) -> bool:
        """Have it under another name as well, which stays when it goes from here. False where it went already."""
        with self._guard:
            if digest not in self._sizes:
                return False
            os.link(self._folder / digest, path)
            self._sizes[digest] = self._sizes.pop(digest)
            return True

    def _add(self, digest: str, size: int) -> None:
        self._sizes.pop(digest, None)
        self._sizes[digest] = size
        while sum(self._sizes.values()) > self._most and len(self._sizes) > 1:
            oldest = next(iter(self._sizes))
            del self._sizes[oldest]
            (self._folder / oldest).unlink(missing_ok=True)
