"""Whether the head of a cluster answers: sockets stand for it here, as gRPC's own begins with a frame of settings."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dubd.cluster import probe
from dubd.errors import DubdError, Exit


@contextmanager
def answering(word: bytes | None) -> Iterator[str]:
    """The address of a server that says this to whoever connects; None: it says nothing, and holds the line."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            line, _ = server.accept()
            with line:
                line.recv(1 << 12)
                if word is not None:
                    line.sendall(word)
                else:
                    line.recv(1 << 12)  # until the other side is tired of it

        serving = threading.Thread(target=answer, daemon=True)
        serving.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        serving.join(5)


def test_settings_are_the_first_word_of_one_that_lives() -> None:
    with answering(bytes.fromhex("000018040000000000")) as address:
        assert probe.silence(address) is None


@pytest.mark.parametrize("word", [b"HTTP/1.1 400 Bad Request\r\n", b""], ids=["a web server", "one that hangs up"])
def test_anything_else_is_no_ray(word: bytes) -> None:
    with answering(word) as address:
        assert probe.silence(address) == "what answers there is no Ray"


def test_one_that_takes_the_connection_and_says_nothing_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_ANSWER", 0.3)
    with answering(None) as address:
        assert probe.silence(address) == "no answer for 0.3 s"


def test_nobody_there_is_what_the_system_says() -> None:
    assert probe.silence("127.0.0.1:1") == "Connection refused"


@pytest.mark.parametrize(
    ("address", "host", "port"), [("box1:6379", "box1", 6379), ("[fe80::1]:10001", "fe80::1", 10001)]
)
def test_an_address_is_a_host_and_a_port(address: str, host: str, port: int) -> None:
    assert probe.parted(address) == (host, port)


@pytest.mark.parametrize("address", ["box1", "box1:", ":6379", "box1:70000", "ray://box1:10001", "a b:1", "fe80::1:1"])
def test_what_is_none_is_a_wrong_command_line(address: str) -> None:
    with pytest.raises(DubdError, match="is no HOST:PORT; give that of `ray start --head`") as found:
        probe.parted(address)
    assert found.value.exit == Exit.USAGE
