"""The first signal asks for a stop; the second one is the process's own again."""

from __future__ import annotations

import os
import signal

import pytest

from dubd.schedule.stopping import stopping


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_asks_and_the_next_does_what_it_did_before(number: signal.Signals) -> None:
    asked: list[str] = []
    own = signal.signal(number, lambda *_: asked.append("own"))
    try:
        with stopping(lambda: asked.append("stop")):
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)
            assert asked == ["stop", "own"]
        os.kill(os.getpid(), number)
        assert asked == ["stop", "own", "own"]
    finally:
        signal.signal(number, own)
