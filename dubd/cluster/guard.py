"""The parent of a process that uses Ray: it says what Ray's end was, which that one does not live to say.

A process that is connected to a cluster is ended by Ray's own core, with `_Exit(1)`, once the head of the cluster is
gone, or the raylet of its machine: no handler runs, no exception is raised, and the code is that of a failed task.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from contextlib import suppress

from dubd.cluster import probe
from dubd.errors import DubdError, Exit
from dubd.schedule.worker import die_with_parent

_HANDED_ON = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}
_BY_RAY = {1, -signal.SIGABRT}  # how Ray's core ends a process: when it has lost something, when it does not understand
_AWAY = 15  # s that the head of the cluster may be away; Ray alone gives it 60, in which nobody is told anything
_ORDERLY = b"\0"  # the child's last word on its pipe; before it stands the address that it is connected to

_pipe: int | None = None  # to the parent, in a child


def guard() -> None:
    """Go on in a child process. This one hands it signals, waits for it, and leaves as it does.

    To be called before there are threads, locks or connections. Errors, in the parent alone: DubdError (CLUSTER) where
    Ray has ended the child; SystemExit with its exit code else.
    """
    global _pipe
    sys.stdout.flush()
    sys.stderr.flush()
    hearing, telling = os.pipe()
    parent, before = os.getpid(), signal.pthread_sigmask(signal.SIG_BLOCK, _HANDED_ON | {signal.SIGCHLD})
    child = os.fork()
    if child:
        os.close(telling)
        raise _left(child, hearing)
    os.close(hearing)
    os.setpgid(0, 0)  # else Ctrl-C would reach it twice: that ends it at once
    die_with_parent()
    if os.getppid() != parent:
        os._exit(Exit.STOPPED)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    os.environ.pop("WATCHDOG_PID", None)  # systemd means the parent, and hears the child (systemd/ray.conf)
    os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", str(_AWAY))
    _pipe = telling
    atexit.register(os.write, telling, _ORDERLY)


def connected(address: str) -> None:
    """What the parent should know, to tell of its loss."""
    if _pipe is not None:
        os.write(_pipe, address.encode())


def ended() -> None:
    """End this process as Ray's core would, which has not noticed yet: the raylet of this machine is gone."""
    if _pipe is not None:
        os._exit(1)


def _left(child: int, hearing: int) -> BaseException:
    """Wait for the child; what this process is to leave with."""
    status = _waited(child)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDED_ON | {signal.SIGCHLD})
    os.set_blocking(hearing, False)  # a program that it has started may hold the other end
    try:
        said = os.read(hearing, 1 << 12)
    except BlockingIOError:
        said = b""
    code = os.waitstatus_to_exitcode(status)
    if code in _BY_RAY and not said.endswith(_ORDERLY):
        if sys.stdout.isatty():
            print("\x1b[?25h")  # the bars have hidden the cursor
        return _lost(said.decode())
    if code < 0:  # as a shell is used to: by the same signal
        with suppress(OSError):  # SIGKILL has no other
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return SystemExit(code if code >= 0 else 128 - code)


def _waited(child: int) -> int:
    """The child's wait status; signals that come meanwhile are handed on to it."""
    while True:
        number = signal.sigwait(_HANDED_ON | {signal.SIGCHLD})
        if number == signal.SIGCHLD:
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                return status
        else:
            os.kill(child, number)


def _lost(address: str) -> DubdError:
    if not address:
        what, remedy = "Ray has ended dubd before it was connected", "see Ray's own logs, and start dubd again"
    elif why := probe.silence(address):
        what, remedy = f"the head of the Ray cluster at {address} is lost ({why})", "start Ray, then dubd"
    else:
        what = f"this machine is not, or no longer, in the Ray cluster at {address}: it has no raylet that answers"
        remedy = f"`ray start --address={address}`, then start dubd"
    return DubdError(what, remedy=f"{remedy}: what is finished stays", exit=Exit.CLUSTER)
