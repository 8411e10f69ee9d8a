"""Keep one program: run it in this process's group, tell how it ended, and take the whole group along in the end.

Run as a script with the program's argument list, as the leader of a session. Its standard input is a pipe that nobody
writes to: it closes when whoever started this ends, however that was, and then nothing of the program lives on.
Standard output is one line, the exit code or `cannot start: REASON`. The program's own words go to standard error.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys

_PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    """Never returns: it ends by the signal that ends the group."""
    libc = ctypes.CDLL(None)

    def die_with_parent() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # where somebody kills this process alone

    try:
        program = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=2, stderr=2, preexec_fn=die_with_parent)
    except OSError as error:
        os.write(1, f"cannot start: {error.strerror}\n".encode())
        return
    ended = os.pidfd_open(program.pid)
    waiting = select.poll()
    waiting.register(0, 0)  # what is told without asking: POLLHUP
    waiting.register(ended, select.POLLIN)
    if ended in dict(waiting.poll()):
        os.write(1, f"{program.wait()}\n".encode())
    os.killpg(0, signal.SIGKILL)  # what it started in the background as well


if __name__ == "__main__":
    main(sys.argv[1:])
