"""What the builds of a video took and what they spared: one note in its state, of sums alone, so it never grows."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from dubd.errors import DubdError
from dubd.graph.build import Event
from dubd.graph.state import State

NOTE = "spent"


def empty() -> dict[str, Any]:
    """A ledger of no build. Seconds of work by stage, on the CPU and on GPUs; `whole`: its last build was finished."""
    return {
        "builds": 0,
        "tasks": 0,
        "cpu": {},
        "gpu": {},
        "spared": {"tasks": 0, "cpu": 0.0, "gpu": 0.0},
        "remembered": 0,  # utterances that the translation memory had
        "fresh": {"utterances": 0, "seconds": 0.0},  # of translate tasks that it had nothing of
        "whole": False,
    }


class Ledger:
    """Hears one build's events. Each task that ends is written down at once: a kill loses none of them.

    A task that is up to date is spared where the video had been whole before and something of it ran: what a build
    goes on with after a stop or a failure is no saving. It counts with the seconds of its last run.
    """

    def __init__(self, state: State, *, whole: bool) -> None:
        """`whole`: the video was built before, as its state tells it."""
        self._state = state
        self._spent: dict[str, Any] | None = None
        self._whole = whole
        self._skipped: list[str] = []
        self._runs: dict[str, dict[str, Any]] = {}

    def hear(self, event: Event) -> None:
        """Count an event; what cannot be written costs no build."""
        with suppress(DubdError):
            if event.state == "skipped" and not event.why:
                self._skipped.append(event.task)
                if self._spent is not None:
                    self._write(self._spent)
            elif event.state in ("ran", "failed"):
                spent = self._open()
                self._count(spent, event)
                self._write(spent)

    def done(self) -> None:
        """Everything is built: what a later build skips is spared."""
        if self._spent is not None:
            with suppress(DubdError):
                self._write(self._spent | {"whole": True})

    def _open(self) -> dict[str, Any]:
        if self._spent is None:
            known = self._state.note(NOTE)
            self._spent = empty() | (known or {})
            self._spent["builds"] += 1
            # Until it is done: where this build fails, the next one only goes on with it.
            self._whole, self._spent["whole"] = self._spent["whole"] if known else self._whole, False
            self._runs = self._state.runs()
        return self._spent

    def _count(self, spent: dict[str, Any], event: Event) -> None:
        on = spent["cpu" if event.device == "cpu" else "gpu"]
        on[event.stage] = round(on.get(event.stage, 0.0) + event.seconds, 3)
        spent["tasks"] += 1
        if event.stage == "translate" and event.state == "ran":
            known = int(event.facts.get("remembered", 0))
            spent["remembered"] += known
            if not known:
                spent["fresh"]["utterances"] += int(event.facts.get("utterances", 0))
                spent["fresh"]["seconds"] = round(spent["fresh"]["seconds"] + event.seconds, 3)

    def _write(self, spent: dict[str, Any]) -> None:
        for task in self._skipped if self._whole else ():
            run = self._runs.get(task)
            if run and run["state"] == "ran":
                on = "gpu" if (run["facts"] or {}).get("device") else "cpu"
                spent["spared"]["tasks"] += 1
                spent["spared"][on] = round(spent["spared"][on] + run["seconds"], 3)
        self._skipped.clear()
        self._state.set_note(NOTE, spent)
