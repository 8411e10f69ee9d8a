"""One answer of a server, from a byte on, with what can go wrong in three kinds: refused, cut, unreachable.

The standard library's client: what is wanted beyond it (Range, If-Range, what the hub tells while it redirects) no
library of the usual ones does by itself either, and proxies and certificates are the system's.
"""

from __future__ import annotations

import http.client
import os
import re
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from typing import IO, Any
from urllib.parse import urlsplit

from dubd import __version__
from dubd.models.model import HUB
from dubd.models.sums import SHA256

ENDPOINT = "HF_ENDPOINT"
NO_ADDRESS = 0  # the status of a refusal that no server has given
_TIMEOUT = 30.0  # s without a byte
_PASSING = frozenset((408, 425, 429, 500, 502, 503, 504))


class Refused(Exception):
    """The server has answered, and will answer the same again."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Cut(Exception):
    """The connection broke, or the server is busy: trying again may help."""


class Unreachable(Exception):
    """There is no way to the server: no network, no such host, nobody listens, no trust."""


def address(url: str, environ: Mapping[str, str] | None = None) -> str:
    """`url` as it is asked for: HF_ENDPOINT stands in for the hub where it is set."""
    endpoint = mirror(url, environ)
    return endpoint.rstrip("/") + url.removeprefix(HUB) if endpoint else url


def host(url: str) -> str:
    """Who is asked for `url`: its host, and its port where it names one."""
    return address(url).partition("://")[2].partition("/")[0]  # of a mirror that is no address too


def shown(text: str) -> str:
    """An address without the name and the password that somebody wrote into it."""
    return re.sub(r"(?<=//)[^/]*@", "…@", text)


def mirror(url: str, environ: Mapping[str, str] | None = None) -> str:
    """What HF_ENDPOINT holds, where it decides who is asked for `url`; else empty."""
    env = os.environ if environ is None else environ
    named = env.get(ENDPOINT, "")
    return named if url.startswith(f"{HUB}/") and named.rstrip("/") != HUB else ""


class Answer:
    """A file's bytes from `start` on. `total` is the file's size, `validator` what names this state of it.

    `sha256` is the hub's own word for what the whole file hashes to. A `start` of None: the server has nothing from
    the byte on that was asked for.
    """

    def __init__(self, response: Any, status: int, headers: Message, linked: Mapping[str, str], hub: bool) -> None:
        self._response = response
        length = headers.get("Content-Length")
        self.start: int | None = 0
        self.total = int(length) if length and length.isdigit() else None
        if status in (206, 416):
            found = re.match(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", headers.get("Content-Range") or "")
            self.start = int(found[1]) if found and found[1] else None
            self.total = int(found[2]) if found and found[2] != "*" else None
        tag = headers.get("ETag") or ""
        # A weak tag must not be resumed by (RFC 9110, 13.1.5), and a date only where there is no tag.
        self.validator = (None if tag.startswith("W/") else tag) or (None if tag else headers.get("Last-Modified"))
        told = [linked.get("X-Linked-Etag"), headers.get("X-Linked-Etag"), tag if hub else None]
        sums = [text.removeprefix("W/").strip('"') for text in told if text]
        self.sha256 = next((text for text in sums if SHA256.match(text)), None)

    def read(self, most: int) -> bytes:
        """The next bytes, at most so many; empty at the end. Errors: Cut."""
        try:
            return bytes(self._response.read1(most))  # what is there now: a cut loses nothing
        except (OSError, http.client.HTTPException) as error:
            raise Cut(_words(error)) from error

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()


def ask(url: str, start: int = 0, validator: str | None = None) -> Answer:
    """Ask for a file from byte `start` on, or for all of it where it is no longer as `validator` says.

    A redirect may lead elsewhere, but from https never to http. Errors: Refused, Cut, Unreachable.
    """
    where = address(url)
    if not where.startswith(("https://", "http://")):
        raise Refused(NO_ADDRESS, f"{shown(where)} is no web address")
    headers = {"User-Agent": f"dubd/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if validator:
            headers["If-Range"] = validator
    follow = _Redirects(plain=where.startswith("http://"))
    hub = url.startswith(f"{HUB}/")
    try:
        response = urllib.request.build_opener(follow).open(
            urllib.request.Request(where, headers=headers), timeout=_TIMEOUT
        )
    except urllib.error.HTTPError as error:
        if error.code == 416:
            return Answer(error, 416, error.headers, follow.linked, hub)
        error.close()
        reason = f"{error.code} {error.reason}"
        if (host := urlsplit(error.url).netloc) != urlsplit(where).netloc:
            reason += f" from {host}, where it was sent on to"
        raise Cut(reason) if error.code in _PASSING else Refused(error.code, reason) from error
    except urllib.error.URLError as error:
        cause = error.reason if isinstance(error.reason, OSError) else error
        if isinstance(cause, (ConnectionResetError, BrokenPipeError)):
            raise Cut(_words(cause)) from error
        raise Unreachable(_words(cause)) from error
    except (ValueError, http.client.InvalidURL) as error:
        raise Refused(NO_ADDRESS, f"{shown(where)} is no web address: {shown(str(error))}") from error
    except (OSError, http.client.HTTPException) as error:
        raise Cut(_words(error)) from error
    return Answer(response, response.status, response.headers, follow.linked, hub)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Goes where it is sent, and keeps what the hub tells of a file on the way to where it lies."""

    def __init__(self, *, plain: bool) -> None:
        self._plain = plain
        self.linked: dict[str, str] = {}

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """See HTTPRedirectHandler; it carries the request's headers on."""
        if not newurl.startswith("https://") and not (self._plain and newurl.startswith("http://")):
            raise Refused(code, f"{code}, sent on to {newurl.partition('?')[0]}, which is not https")
        if told := headers.get("X-Linked-Etag"):
            self.linked["X-Linked-Etag"] = told
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _words(error: BaseException) -> str:
    if isinstance(error, (TimeoutError, socket.timeout)):
        return f"no answer for {_TIMEOUT:.0f} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, http.client.IncompleteRead):
        return "the connection was closed"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
