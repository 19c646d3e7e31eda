"""Run a command that cannot outlive its parent: ``bound.py PARENT SIGNAL IDENTITY COMMAND...``

A script of its own, put before the command, because code between fork and exec may deadlock
in a parent with threads. It needs nothing but the standard library.

PARENT is the process that asks: when it dies the kernel sends SIGNAL (only Linux knows that;
elsewhere the orderly stop has to do). IDENTITY says who the command believes to be:
``self``; ``namespace``, where root looks like nobody in a user namespace while files stay
root's; or ``nobody``.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
libc = ctypes.CDLL(None, use_errno=True)


def main(parent: str, death_signal: str, identity: str, *command: str) -> None:
    if identity == "namespace":
        enter_namespace()
    elif identity == "nobody":
        become_nobody()
    # A change of user clears the wish, so it comes last.
    if sys.platform == "linux":
        libc.prctl(PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != int(parent):
            sys.exit("the parent is gone already")
    os.execv(command[0], command)  # noqa: S606 (that is the point)


def enter_namespace() -> None:
    """initdb wants a user that has a name, so root is mapped to nobody."""
    nobody = pwd.getpwnam("nobody")
    if libc.unshare(CLONE_NEWUSER) != 0:
        sys.exit(f"no user namespace: {os.strerror(ctypes.get_errno())}")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{nobody.pw_uid} 0 1\n")
    Path("/proc/self/gid_map").write_text(f"{nobody.pw_gid} 0 1\n")


def become_nobody() -> None:
    nobody = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)


if __name__ == "__main__":
    main(*sys.argv[1:])
