"""Where the embedded services' sockets lie."""

from __future__ import annotations

import hashlib
import os
import pwd
from pathlib import Path

# The kernel takes 107 bytes for a socket's path; .s.PGSQL.5432.lock is the longest name in it.
LONGEST_FOLDER = 85


def socket_folder(service: Path) -> Path:
    """``service``/run, or a private folder in /tmp where that would not do.

    It would not when the path is too long for a socket, or when root keeps it below a closed
    folder such as /root, where a server that runs as ``nobody`` cannot walk.
    """
    folder = service.resolve() / "run"
    is_short = len(os.fsencode(folder)) <= LONGEST_FOLDER
    if is_short and (os.geteuid() != 0 or is_open_to_all(folder)):
        return folder
    return Path(f"/tmp/kos-{os.getuid()}-{name_of(folder)}")  # noqa: S108 (made private)


def make_private(folder: Path) -> None:
    """Make ``folder`` reachable for its owner alone: that stands in for a password."""
    folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    owners = {os.geteuid()}
    if os.geteuid() == 0:
        owners.add(pwd.getpwnam("nobody").pw_uid)
    if folder.stat().st_uid not in owners:
        raise PermissionError(f"{folder} belongs to somebody else; remove it or set KOS_VAR")
    folder.chmod(0o700)


def name_of(folder: Path) -> str:
    """A short name that stands for ``folder`` and no other."""
    return hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:12]


def is_open_to_all(folder: Path) -> bool:
    """Whether any user can walk to ``folder``, whose last parts may not exist yet."""
    return all(
        parent.stat().st_mode & 0o001 for parent in folder.resolve().parents if parent.exists()
    )
