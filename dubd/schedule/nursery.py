"""Where workers are born: a process that has the common libraries in memory and forks a worker from itself on request.

Importing NumPy, SciPy's signal and OpenCV takes over a second of a processor; a fork takes milliseconds, and the pages
are shared. A worker with an interpreter of its own (`python:` in a rule) cannot be born here.
Run as `python -m dubd.schedule.nursery` with a socket as standard input. One message each way:
`{"start": argv, "temporary": folder or null}` with three descriptors, and a fourth where there is a lease -> `{"pid"}`,
or `{"error": errno}`;
`{"wait": pid}` -> `{"status"}` (as of os.waitpid).
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO

from dubd.schedule import logs, worker

_COMMON = ("numpy", "scipy.signal", "scipy.ndimage", "cv2", "soundfile")
_STAGES = (
    "plan",
    "extract",
    "transcribe",
    "voice",
    "clone",
    "translate",
    "speak",
    "faces",
    "lipsync",
    "restore",
    "render",
)
_MESSAGE = 1 << 14


class Nursery:
    """The parent's end. The process is started with the first worker and ends with its parent.

    More exactly, it ends with the thread that called `start` (prctl(2)): always call that from one that stays.
    """

    def __init__(self, log: Path, environ: dict[str, str]) -> None:
        self._log, self._environ = log, environ
        self._guard = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def start(self, argv: list[str], log: IO[bytes], lease: list[int], temporary: Path | None = None) -> Born:
        """A new worker with pipes to it, that also holds the descriptor in `lease` for as long as it lives.

        `temporary` is a folder for its temporary files, where it is not to use the system's.
        Errors: OSError where there is no memory or no process to be had.
        """
        into, their_in = (os.fdopen(fd, mode) for fd, mode in zip(reversed(os.pipe()), ("wb", "rb"), strict=True))
        out, their_out = (os.fdopen(fd, mode) for fd, mode in zip(os.pipe(), ("rb", "wb"), strict=True))
        with their_in, their_out:
            given = [their_in.fileno(), their_out.fileno(), log.fileno(), *lease]
            with self._guard:
                if self._process is None or self._process.poll() is not None:
                    self._process = self._launch()
                parent, reply = (
                    self._process,
                    self._ask({"start": argv, "temporary": temporary and str(temporary)}, given),
                )
        return Born(self, parent, int(reply["pid"]), into, out)

    def status(self, pid: int, parent: subprocess.Popen[bytes]) -> int:
        """Reap a worker that has ended or is ending: its exit code, or minus the signal.

        Errors: OSError where the process it was born of has ended. Another one could not tell, and would fail.
        """
        with self._guard:
            if self._process is not parent or parent.poll() is not None:
                raise ProcessLookupError(errno.ESRCH, "the process that started this worker has ended")
            return os.waitstatus_to_exitcode(int(self._ask({"wait": pid}, [])["status"]))

    def close(self) -> None:
        """End the process; its workers go with it."""
        with self._guard:
            if self._process and self._socket:
                self._socket.close()
                self._process.kill()
                self._process.wait()
                self._process = None

    def _ask(self, message: dict[str, object], descriptors: list[int]) -> dict[str, int]:
        """With the guard held. Errors: OSError where it could not do it, or has ended."""
        assert self._socket is not None
        socket.send_fds(self._socket, [json.dumps(message).encode()], descriptors)
        answer = self._socket.recv(_MESSAGE)
        if not answer:
            raise OSError(None, "the process that starts workers has ended")
        found: dict[str, int] = json.loads(answer)
        if "error" in found:
            raise OSError(found["error"], os.strerror(found["error"]))
        return found

    def _launch(self) -> subprocess.Popen[bytes]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, logs.opened(self._log) as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "dubd.schedule.nursery"],
                stdin=theirs.fileno(),
                stdout=log,
                stderr=log,
                env=self._environ,
                start_new_session=True,  # a terminal's Ctrl-C is for its parent
            )
        if self._socket:
            self._socket.close()
        self._socket = ours
        return process


class Born:
    """A worker that the nursery forked, with as much of Popen as a worker needs."""

    def __init__(
        self, nursery: Nursery, parent: subprocess.Popen[bytes], pid: int, into: IO[bytes], out: IO[bytes]
    ) -> None:
        self.pid, self.stdin, self.stdout = pid, into, out
        self._nursery, self._parent = nursery, parent
        self._ended = os.pidfd_open(pid)
        self._code: int | None = None
        self._guard = threading.Lock()

    def poll(self) -> int | None:
        """The exit code, None while the worker lives."""
        if self._code is not None or not self._guard.acquire(blocking=False):  # another thread waits for its end
            return self._code
        try:
            # Without its nursery it is about to be killed: work for it would be lost, as by a second kill of its own.
            ended = self._code is not None or self._over(0) or self._parent.poll() is not None
        finally:
            self._guard.release()
        return self.wait() if ended else None

    def wait(self) -> int:
        """The exit code, once there is one."""
        with self._guard:
            if self._code is None:
                self._over(None)
                os.close(self._ended)
                try:
                    self._code = self._nursery.status(self.pid, self._parent)
                except OSError:  # the nursery ended first, and took its workers along
                    self._code = -signal.SIGKILL
            return self._code

    def _over(self, timeout: int | None) -> bool:
        ended = select.poll()  # not select, which fails with more than 1024 files
        ended.register(self._ended, select.POLLIN)
        return bool(ended.poll(timeout))


def main() -> None:
    """Serve until the socket closes."""
    worker.die_with_parent()
    channel = socket.socket(fileno=os.dup(0))
    for name in (*_COMMON, *(f"dubd.stages.{stage}" for stage in _STAGES)):
        importlib.import_module(name)
    while True:
        data, descriptors, _, _ = socket.recv_fds(channel, _MESSAGE, 4)
        if not data:
            return
        message = json.loads(data)
        if "wait" in message:
            _, status = os.waitpid(message["wait"], 0)
            channel.send(json.dumps({"status": status}).encode())
            continue
        nursery = os.getpid()
        try:
            answer = {"pid": os.fork()}
        except OSError as error:  # no process to be had now: the workers that live go on
            answer = {"error": error.errno or errno.EAGAIN}
        if answer.get("pid") == 0:
            worker.die_with_parent()
            if os.getppid() != nursery:  # it ended before the line above: nobody would end this one
                os._exit(1)
            channel.close()
            _become(message["start"], message["temporary"], descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        channel.send(json.dumps(answer).encode())


def _become(argv: list[str], temporary: str | None, descriptors: list[int]) -> None:
    """The forked child: a session, standard streams and a life of its own."""
    code = 1
    try:
        os.setsid()
        if temporary:
            os.environ["TMPDIR"], tempfile.tempdir = temporary, None
        for number, descriptor in enumerate(descriptors[:3]):
            os.dup2(descriptor, number)
            os.close(descriptor)
        for lease in descriptors[3:]:
            os.set_inheritable(lease, False)  # ffmpeg must not hold the card's memory when the worker ends
        sys.stdin, sys.stdout, sys.stderr = (open(n, m, closefd=False) for n, m in ((0, "r"), (1, "w"), (2, "w")))  # noqa: SIM115
        worker.main(argv)
        code = 0
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
