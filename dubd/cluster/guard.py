"""The parent of a process that uses Ray: it says what Ray's end was, which that one does not live to say.

A process that is connected to a cluster is ended by Ray's own core, with `_Exit(1)`, once the head of the cluster is
gone, or the raylet of its machine: no handler runs, no exception is raised, and the code is that of a failed task.
Where the head hangs, calls of Ray hang with it, and so may the end of the process.
"""

from __future__ import annotations

import atexit
import errno
import os
import signal
import sys
import threading
import time
from contextlib import suppress

from dubd.cluster import probe
from dubd.errors import DubdError, Exit
from dubd.schedule.worker import die_with_parent

_STOPS = {signal.SIGINT, signal.SIGTERM}
_HANDED_ON = {*_STOPS, signal.SIGHUP, signal.SIGQUIT}
_AWAITED = {*_HANDED_ON, signal.SIGCHLD, signal.SIGTSTP}
_BY_RAY = {1, -signal.SIGABRT}  # how Ray's core ends a process: when it has lost something, when it does not understand
_AWAY = "RAY_gcs_rpc_server_reconnect_timeout_s"  # s that the head of the cluster may be away; Ray alone gives it 60
_SECONDS = "15"
_EVERY = 5.0  # s between two looks whether it answers
_UNREACHED = {errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENETUNREACH, errno.ENETDOWN}  # as where it has no power
_LATE = 3.0  # s that the child has to end where it was told twice, or had nothing under way
_UP, _ORDERLY = b"\n", b"\0"  # what the child says after its cluster's address: it is connected; its last word

_pipe: int | None = None  # to the parent, in a child


def guard() -> None:
    """Go on in a child process. This one hands it signals, waits for it, and leaves as it does.

    To be called before there are threads, locks or connections. Errors, in the parent alone: DubdError (CLUSTER) where
    Ray has ended the child, or its head is silent for too long; SystemExit with the child's exit code else.
    """
    global _pipe
    os.environ.setdefault(_AWAY, _SECONDS)
    sys.stdout.flush()
    sys.stderr.flush()
    hearing, telling = os.pipe()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where it is ignored no child is waited for
    parent, before = os.getpid(), signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
    pid = os.fork()
    if pid:
        os.close(telling)
        with suppress(OSError):  # the child may be quicker
            os.setpgid(pid, pid)
        child = _Child(pid, hearing)
        code = child.wait()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        raise _end_of(child, code)
    os.close(hearing)
    os.setpgid(0, 0)  # else Ctrl-C would reach it twice: that ends it at once
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # it still writes to the terminal
    die_with_parent()
    if os.getppid() != parent:
        os._exit(Exit.STOPPED)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    os.environ.pop("WATCHDOG_PID", None)  # systemd means the parent, and hears the child (systemd/ray.conf)
    _pipe = telling
    atexit.register(_tell, _ORDERLY)


def connecting(address: str) -> None:
    """What the parent should know, to look after the head there and to tell of its loss."""
    _tell(address.encode())


def connected() -> None:
    """From now on a stop has something to wait for."""
    _tell(_UP)


def ended() -> None:
    """End this process as Ray's core would, which has not noticed yet: the raylet of this machine is gone."""
    if _pipe is not None:
        os._exit(1)


def _tell(word: bytes) -> None:
    if _pipe is not None:
        os.write(_pipe, word)


class _Child:
    """The process that works, as its parent sees it.

    `stop`: the first signal that asked it to end. `silence`: for which it was killed, in a few words.
    """

    def __init__(self, pid: int, hearing: int) -> None:
        self.stop: int | None = None
        self.silence: str | None = None
        self._pid, self._hearing, self._said = pid, hearing, b""
        self._guard = threading.Lock()
        self._silent: tuple[float, str] | None = None  # since when (s) the head of the cluster is, and in which way
        os.set_blocking(hearing, False)

    @property
    def address(self) -> str:
        """Of the head that it is connected to, or tries; empty before that."""
        return self._hear().rstrip(_UP + _ORDERLY).decode()

    @property
    def orderly(self) -> bool:
        """Whether it came to its own end."""
        return self._hear().endswith(_ORDERLY)

    def wait(self) -> int | None:
        """Its exit code, or minus its signal; None where it had to be killed: for that silence, or late for a stop."""
        threading.Thread(target=self._look, name="looking", daemon=True).start()
        late = float("inf")
        while True:
            came = signal.sigtimedwait(_AWAITED, 1.0)
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            if came and came.si_signo == signal.SIGTSTP:
                self._pause()
            elif came and came.si_signo in _HANDED_ON:
                os.kill(self._pid, came.si_signo)
                if came.si_signo in _STOPS:
                    if self.stop or _UP not in self._hear():
                        late = min(late, time.monotonic() + _LATE)
                    self.stop = self.stop or came.si_signo
            self.silence = self._too_long()
            if self.silence or time.monotonic() > late:
                os.kill(self._pid, signal.SIGKILL)
                os.waitpid(self._pid, 0)
                return None

    def _too_long(self) -> str | None:
        since, why = self._silent or (float("inf"), "")
        return why if time.monotonic() - since > float(os.environ[_AWAY]) else None

    def _look(self) -> None:
        """Whether the head answers, from a thread of its own: that takes seconds where it does not."""
        while True:
            time.sleep(_EVERY)
            if not (address := self.address):
                continue
            began = time.monotonic()
            try:
                probe.greet(address)
            except OSError as error:
                told = isinstance(error, (TimeoutError, ConnectionError)) or error.errno in _UNREACHED
                since = self._silent[0] if self._silent else began
                # A name that is not found, or no more files, says nothing of the head.
                self._silent = (since, probe.words(error)) if told else None
            else:
                self._silent = None

    def _pause(self) -> None:
        """As the terminal asks, of both; until a shell lets them go on."""
        with suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        with suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGCONT)

    def _hear(self) -> bytes:
        with self._guard:
            with suppress(BlockingIOError):  # a program that it has started may hold the other end
                self._said += os.read(self._hearing, 1 << 12)
            return self._said


def _end_of(child: _Child, code: int | None) -> BaseException:
    """What this process is to leave with. Where a stop was asked for, that is what has happened."""
    by_ray = code is None or (code in _BY_RAY and not child.orderly)
    if by_ray and sys.stderr.isatty():
        sys.stderr.write("\x1b[?25h")  # the bars have hidden the cursor
    if by_ray and child.stop is None:
        return _lost(child.address, child.silence)
    if code is None or by_ray:
        code = Exit.STOPPED if child.stop == signal.SIGINT else -(child.stop or 0)
    if code < 0:  # as a shell is used to: by the same signal
        with suppress(OSError):  # SIGKILL has no other handler
            signal.signal(-code, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {-code})
        os.kill(os.getpid(), -code)
    return SystemExit(code if code >= 0 else 128 - code)


def _lost(address: str, silence: str | None) -> DubdError:
    if not address:
        what, remedy = "Ray has ended dubd before it was connected", "see Ray's own logs, and start dubd again"
    elif why := silence or probe.silence(address):
        what, remedy = f"the head of the Ray cluster at {address} is lost ({why})", "start Ray, then dubd"
    else:
        what = f"this machine is not, or no longer, in the Ray cluster at {address}: it has no raylet that answers"
        remedy = f"`ray start --address={address}`, then start dubd"
    return DubdError(what, remedy=f"{remedy}: what is finished stays", exit=Exit.CLUSTER)
