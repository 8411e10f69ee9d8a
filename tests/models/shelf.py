"""A web server of files that behaves as servers do on bad days, and keeps a record of what it was asked."""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Shelf:
    """Files by path ("/a.pt"). Each list in `cuts` and `refusals` is used up request by request."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.ranges = True  # whether it can begin in the middle
        self.tags = True  # whether it names the state of a file
        self.lengths = True  # whether it says how much it sends
        self.cuts: defaultdict[str, list[int]] = defaultdict(list)  # close after so many bytes of this answer
        self.refusals: defaultdict[str, list[int]] = defaultdict(list)  # answer this status
        self.links: dict[str, str] = {}  # redirect, with the sum of what lies there as the hub tells it
        self.words: dict[str, str] = {}  # another sum than the right one
        self.gates: dict[str, threading.Event] = {}  # half of it at once, the rest when this is set
        self.asked: list[tuple[str, str | None]] = []  # path and Range
        self.url = ""

    def tag(self, path: str) -> str:
        return f'"{hashlib.md5(self.files[path]).hexdigest()}"'

    def ranges_of(self, path: str) -> list[str | None]:
        return [asked for where, asked in self.asked if where == path]


class _Handler(BaseHTTPRequestHandler):
    shelf: Shelf
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        shelf, path = self.shelf, self.path
        shelf.asked.append((path, self.headers.get("Range")))
        self.close_connection = True
        if shelf.refusals[path]:
            self._head(shelf.refusals[path].pop(0), 0)
        elif path in shelf.links:
            target = shelf.links[path]
            linked = shelf.words.get(path) or hashlib.sha256(shelf.files[target]).hexdigest()
            self._head(302, 0, Location=f"{shelf.url}{target}", X_Linked_Etag=f'"{linked}"')
        elif path in shelf.files:
            self._send(shelf, path, self.headers.get("Range"))
        else:
            self._head(404, 0)

    def _send(self, shelf: Shelf, path: str, asked: str | None) -> None:
        data, start, more = shelf.files[path], 0, {}
        if shelf.tags:
            more["ETag"] = shelf.tag(path)
        same = self.headers.get("If-Range") in (None, more.get("ETag"))
        if asked and shelf.ranges and same:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(data):
                self._head(416, 0, Content_Range=f"bytes */{len(data)}")
                return
            more["Content_Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._head(206 if "Content_Range" in more else 200, len(data) - start, **more)
        body = data[start:]
        if shelf.cuts[path]:
            body = body[: shelf.cuts[path].pop(0)]
        if gate := shelf.gates.get(path):
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            gate.wait(30)
            body = body[len(body) // 2 :]
        with suppress(ConnectionError):  # whoever asked has heard enough
            self.wfile.write(body)

    def _head(self, status: int, length: int, **more: str) -> None:
        self.send_response(status)
        if self.shelf.lengths:
            self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close")
        for name, value in more.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        del format, args


@contextmanager
def served() -> Iterator[Shelf]:
    """A shelf at a port of its own, for as long as one is inside."""
    shelf = Shelf()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"shelf": shelf}))
    server.daemon_threads = True
    shelf.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield shelf
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
