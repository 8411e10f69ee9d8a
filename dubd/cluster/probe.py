"""Whether the head of a Ray cluster answers at an address, in bounded time and without Ray, which tries for minutes."""

from __future__ import annotations

import os
import re
import socket

from dubd.errors import DubdError, Exit

_ANSWER = 5.0  # s that it has to accept a connection, and again to say its first word
# What an HTTP/2 client begins with (RFC 9113, 3.4): its preface, and a frame of settings that sets none.
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
_FRAME, _SETTINGS = 9, 4  # bytes of a frame's header, whose fourth is its type; a server begins with its settings
_ADDRESS = re.compile(r"(?P<host>[^\s/:]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5})")


def parted(address: str) -> tuple[str, int]:
    """Host and port. Errors: DubdError (USAGE) where `address` is no HOST:PORT."""
    found = _ADDRESS.fullmatch(address)
    if found is None or not 0 < int(found["port"]) < 1 << 16:
        raise DubdError(
            f"--address or RAY_ADDRESS: {address!r} is no HOST:PORT",
            remedy="give that of `ray start --head`, such as 10.0.0.1:6379",
            exit=Exit.USAGE,
        )
    return found["host"].strip("[]"), int(found["port"])


def silence(address: str) -> str | None:
    """Why there is no Ray to be spoken to at HOST:PORT, in a few words; None where there may be."""
    try:
        return None if greet(address) else "what answers there is no Ray"
    except OSError as error:
        return words(error)


def greet(address: str) -> bool:
    """Whether what answers at HOST:PORT may be Ray. Errors: OSError where nothing answers.

    A process that hangs has its connections accepted by the kernel: only its first word tells that it lives. With TLS
    that is not heard, and a connection is enough.
    """
    with socket.create_connection(parted(address), timeout=_ANSWER) as line:
        if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
            return True
        line.sendall(_HELLO)
        return line.recv(_FRAME)[3:4] == bytes([_SETTINGS])


def words(error: OSError) -> str:
    """In a few words what went wrong."""
    return f"no answer for {_ANSWER:g} s" if isinstance(error, TimeoutError) else error.strerror or str(error)
