"""The parent of a process that uses Ray: it says what Ray's end was, which that one does not live to say.

A process that is connected to a cluster is ended by Ray's own core, with `_Exit(1)`, once the head of the cluster is
gone, or the raylet of its machine: no handler runs, no exception is raised, and the code is that of a failed task.
Where the head hangs, calls of Ray hang with it, and so may the end of the process.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import time
from contextlib import suppress

from dubd.cluster import probe
from dubd.errors import DubdError, Exit
from dubd.schedule.worker import die_with_parent

_HANDED_ON = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}
_AWAITED = _HANDED_ON | {signal.SIGCHLD}
_BY_RAY = {1, -signal.SIGABRT}  # how Ray's core ends a process: when it has lost something, when it does not understand
_AWAY = "RAY_gcs_rpc_server_reconnect_timeout_s"  # s that the head of the cluster may be away; Ray alone gives it 60
_SECONDS = "15"
_EVERY = 5.0  # s between two looks whether it answers
_ORDERLY = b"\0"  # the child's last word on its pipe; before it stands the address that it is connected to

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
    parent, before = os.getpid(), signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
    pid = os.fork()
    if pid:
        os.close(telling)
        raise _end_of(_Child(pid, hearing))
    os.close(hearing)
    os.setpgid(0, 0)  # else Ctrl-C would reach it twice: that ends it at once
    die_with_parent()
    if os.getppid() != parent:
        os._exit(Exit.STOPPED)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    os.environ.pop("WATCHDOG_PID", None)  # systemd means the parent, and hears the child (systemd/ray.conf)
    _pipe = telling
    atexit.register(os.write, telling, _ORDERLY)


def connected(address: str) -> None:
    """What the parent should know, to look after the head there and to tell of its loss."""
    if _pipe is not None:
        os.write(_pipe, address.encode())


def ended() -> None:
    """End this process as Ray's core would, which has not noticed yet: the raylet of this machine is gone."""
    if _pipe is not None:
        os._exit(1)


class _Child:
    """The process that works, as its parent sees it."""

    def __init__(self, pid: int, hearing: int) -> None:
        self.pid = pid
        self._hearing, self._said = hearing, b""
        os.set_blocking(hearing, False)

    @property
    def address(self) -> str:
        """Of the head that it is connected to; empty before that."""
        return self._hear().removesuffix(_ORDERLY).decode()

    @property
    def orderly(self) -> bool:
        """Whether it came to its own end."""
        return self._hear().endswith(_ORDERLY)

    def _hear(self) -> bytes:
        with suppress(BlockingIOError):  # a program that it has started may hold the other end
            self._said += os.read(self._hearing, 1 << 12)
        return self._said


def _end_of(child: _Child) -> BaseException:
    """Wait for the child; what this process is to leave with."""
    code = _waited(child)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _AWAITED)
    if code is None or (code in _BY_RAY and not child.orderly):
        if sys.stdout.isatty():
            print("\x1b[?25h")  # the bars have hidden the cursor
        return _lost(child.address)
    if code < 0:  # as a shell is used to: by the same signal
        with suppress(OSError):  # SIGKILL has no other handler
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return SystemExit(code if code >= 0 else 128 - code)


def _waited(child: _Child) -> int | None:
    """The child's exit code, or minus its signal; None where it was killed, as Ray's head is silent."""
    answered = time.monotonic()
    while True:
        came = signal.sigtimedwait(_AWAITED, _EVERY)
        if came is None:
            if not child.address or probe.silence(child.address) is None:
                answered = time.monotonic()
            elif time.monotonic() - answered > float(os.environ[_AWAY]):
                os.kill(child.pid, signal.SIGKILL)
                os.waitpid(child.pid, 0)
                return None
        elif came.si_signo != signal.SIGCHLD:
            os.kill(child.pid, came.si_signo)
        elif (found := os.waitpid(child.pid, os.WNOHANG))[0]:
            return os.waitstatus_to_exitcode(found[1])


def _lost(address: str) -> DubdError:
    if not address:
        what, remedy = "Ray has ended dubd before it was connected", "see Ray's own logs, and start dubd again"
    elif why := probe.silence(address):
        what, remedy = f"the head of the Ray cluster at {address} is lost ({why})", "start Ray, then dubd"
    else:
        what = f"this machine is not, or no longer, in the Ray cluster at {address}: it has no raylet that answers"
        remedy = f"`ray start --address={address}`, then start dubd"
    return DubdError(what, remedy=f"{remedy}: what is finished stays", exit=Exit.CLUSTER)
