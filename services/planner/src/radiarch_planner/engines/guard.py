"""Runs a command that dies with its parent: ``python -I -S guard.py <parent pid> command...``.

A planner that is killed with SIGKILL cannot stop its engines; the kernel does it. It is asked by this small
program between fork and exec, since code run in a forked child of a program with threads may deadlock.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""From linux/prctl.h; survives execve of an ordinary binary."""


def main() -> None:
    """Ask for SIGKILL at the parent's death and become the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit("the planner is gone")
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main()
