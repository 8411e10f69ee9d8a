"""What systemd is told of the service: ready, alive, busy with what, stopping (sd_notify(3)); nothing without it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

EXTENSION = 30.0  # s by which each word while stopping moves the deadline of systemd's stop


class Notify:
    """Words for the socket in $NOTIFY_SOCKET; without one, or one that nobody reads, each call does nothing.

    `alive` is for the main loop, and for it alone: a thread of its own would go on when the loop hangs.
    """

    def __init__(self, environ: Mapping[str, str] | None = None, now: Callable[[], float] = time.monotonic) -> None:
        env = os.environ if environ is None else environ
        name = env.get("NOTIFY_SOCKET", "")
        self._address = f"\0{name[1:]}" if name.startswith("@") else name  # @: Linux's abstract names
        self._every = _half(env)
        self._now = now
        self._last = -float("inf")
        self._status = ""
        self._ready = False

    def ready(self, status: str) -> None:
        """The service works from now on; said once, however often it is called."""
        if not self._ready:
            self._ready = True
            self._status = status
            self._say("READY=1", f"STATUS={_line(status)}")

    def alive(self, status: str) -> None:
        """The main loop turns. The status goes out when it changes, the watchdog's word twice in its time."""
        words = []
        if status != self._status:
            self._status = status
            words.append(f"STATUS={_line(status)}")
        now = self._now()
        if self._every is not None and now - self._last >= self._every:
            self._last = now
            words.append("WATCHDOG=1")
        if words:
            self._say(*words)

    def stopping(self, status: str) -> None:
        """The service lets what runs end; called again and again, it keeps systemd from losing its patience."""
        self._say("STOPPING=1", f"STATUS={_line(status)}", f"EXTEND_TIMEOUT_USEC={EXTENSION * 1e6:.0f}", "WATCHDOG=1")

    def _say(self, *words: str) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.setblocking(False)  # a reader that hangs must not stop the daemon
            out.sendto("\n".join(words).encode(), self._address)


def _half(environ: Mapping[str, str]) -> float | None:
    """Seconds between two words for the watchdog; None where it is off, or meant for another process."""
    asked, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not asked.isdigit() or int(asked) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(asked) / 2e6


def _line(text: str) -> str:
    return " ".join(text.split())
