"""A child process that cannot outlive its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Identity = Literal["self", "namespace", "nobody"]
BOUND = Path(__file__).with_name("bound.py")


def bound(
    command: Sequence[str | Path],
    *,
    death_signal: signal.Signals = signal.SIGTERM,
    identity: Identity = "self",
) -> list[str]:
    """``command`` so that it gets ``death_signal`` when the thread that starts it ends.

    The kernel watches that thread, not the process: start children from the main thread.
    """
    shim = [sys.executable, "-I", "-S", BOUND, os.getpid(), int(death_signal), identity]
    return [str(part) for part in (*shim, *command)]


@dataclass
class Child:
    """A supervised process in a session of its own: its command, log, and how it is stopped."""

    name: str
    command: Sequence[str | Path]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path = Path("/")
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 15
    identity: Identity = "self"

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                bound(self.command, death_signal=self.stop_signal, identity=self.identity),
                cwd=self.folder,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started = time.monotonic()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; minus the signal's number when one ended it."""
        return self.process.poll()

    @property
    def age_seconds(self) -> float:
        return time.monotonic() - self.started

    def ask_to_stop(self) -> None:
        if self.exit_code is None:
            self.process.send_signal(self.stop_signal)

    def stop(self) -> None:
        """Ask, wait, then kill its whole session."""
        self.ask_to_stop()
        try:
            self.process.wait(self.grace_seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self.process.wait()

    def last_lines(self, count: int = 15) -> str:
        """The end of its log, for the message that it failed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])
