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


@dataclass(eq=False)
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
    # File descriptors of ours that it may use.
    lent: Sequence[int] = ()
    # Whether it takes ``--ready FD`` and writes there when it is.
    tells: bool = False
    _told: int | None = field(default=None, init=False, repr=False)
    _is_ready: bool = field(default=True, init=False, repr=False)
    asked: float = field(default=float("inf"), init=False, repr=False)

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        lent, command = [*self.lent], [*self.command]
        if self.tells:
            tell = self._listen()
            lent.append(tell)
            command += ["--ready", str(tell)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                bound(command, death_signal=self.stop_signal, identity=self.identity),
                cwd=self.folder,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=lent,
            )
        if self.tells:
            os.close(tell)
        self.started = time.monotonic()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; minus the signal's number when one ended it."""
        return self.process.poll()

    @property
    def is_ready(self) -> bool:
        """Whether it said so; one that says nothing is ready from its start."""
        if self._told is not None:
            try:
                self._is_ready = os.read(self._told, 1) == b"1"
            except BlockingIOError:
                return False
            # Said, or never to be said: the process is gone.
            self._hear_no_more()
        return self._is_ready

    @property
    def age_seconds(self) -> float:
        return time.monotonic() - self.started

    def leave(self, number: signal.Signals) -> None:
        """Ask it to leave to a successor, by a signal that it knows for that."""
        self.asked = time.monotonic()
        if self.exit_code is None:
            self.process.send_signal(number)

    def is_late(self, seconds: float) -> bool:
        """Whether it was asked to leave longer ago than that."""
        return time.monotonic() - self.asked > seconds

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

    def _listen(self) -> int:
        """The end of a pipe that the process tells us through."""
        self._hear_no_more()
        self._told, tell = os.pipe()
        os.set_blocking(self._told, False)
        self._is_ready = False
        return tell

    def _hear_no_more(self) -> None:
        if self._told is not None:
            os.close(self._told)
            self._told = None

    def last_lines(self, count: int = 15) -> str:
        """The end of its log, for the message that it failed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])
