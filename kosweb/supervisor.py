"""Starts everything Kos needs on one machine, watches over it, and stops it in order.

PostgreSQL and Valkey (unless addresses of outside servers are given), then the tables and
static files, then the web process, one worker a queue and the reconciler. Every process has
a log in ``VAR/log``; none outlives the supervisor, not even when it is killed.

SIGUSR2, or SIGHUP where no terminal is, replaces the web process and the workers one by one
(``rolling``). The listening socket is the supervisor's, so nobody is turned away meanwhile.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import time
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from django.conf import settings
from django.core.management import call_command
from django.db import OperationalError, connection

from kos.errors import UserError
from kosweb import rolling, static_files
from kosweb.embedded import postgres, valkey
from kosweb.embedded.process import Child
from kosweb.programs import corpus_builder, programs
from kosweb.sign_in import first_sign_in
from kosweb.web import listen

WEB_SECONDS = 180
# A child that lived this long had started well: its next restart need not wait. One that dies
# at its start does so sooner.
STEADY_SECONDS = 10
LONGEST_WAIT_SECONDS = 30
# Beyond the time that a web process has to end what it began.
LEAVING_SECONDS = 15
# What a restart says, for whoever asked for it; below VAR.
RESTART_LOG = "restart.log"


class Supervisor:
    """``with Supervisor(say) as up: up.start(); up.watch()`` runs Kos until Ctrl-C."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.began = time.monotonic()
        self._say = say
        self.address = f"http://{_local(settings.HOST)}:{settings.PORT}/"
        self.services: list[Child] = []
        self.programs: list[Child] = []
        self.leaving: list[Child] = []
        self.replacing: set[str] = set()
        self.listener: socket.socket | None = None
        self.rolling: Generator[None, None, bool] | None = None
        self.is_restart_wanted = False
        self.builder = corpus_builder()
        self.failures: dict[str, int] = {}
        self.restarts: dict[str, float] = {}
        self.is_stopping = False

    def __enter__(self) -> Self:
        self.lock = take_lock(settings.VAR / "up.lock", self.address)
        # SIGINT as well: a shell that starts us in the background leaves it ignored.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
        signal.signal(signal.SIGUSR2, self._want_restart)
        if not has_terminal():
            # From a service's manager; a terminal that closes sends the same.
            signal.signal(signal.SIGHUP, self._want_restart)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self.stop()
        if self.listener is not None:
            self.listener.close()
        self.lock.close()
        return kind is KeyboardInterrupt

    def say(self, text: str) -> None:
        self._say(f"{time.monotonic() - self.began:6.1f} s  {text}")

    def start(self) -> None:
        self.listener = listen(settings.HOST, settings.PORT)
        # Beside the rest: the first question to a tool would wait for it.
        self.builder.start()
        if not settings.REDIS_URL:
            self._start_valkey()
        if not settings.DATABASE_URL:
            self._start_postgres()
        self._prepare_tables()
        if static_files.collect():
            self.say("static files collected")
        for child in programs(self.listener.fileno()):
            self.programs.append(child)
            child.start()
            if len(self.programs) == 1:
                # Beside the others it would take twice as long to answer.
                self._wait_for_web()
        names = ", ".join(child.name for child in self.programs)
        self.say(f"{names} started; jobs compute with {settings.THREADS} thread(s)")

    def watch(self) -> NoReturn:
        """Start again what ends, until KeyboardInterrupt."""
        while True:
            for child in (*self.services, *self.programs):
                if child.exit_code is not None and child.name not in self.replacing:
                    self._restart(child)
            self._roll()
            self._see_off()
            self.builder.process.poll()  # or it would stay behind as a zombie when it is through
            time.sleep(0.2)

    def stop(self) -> None:
        """Our programs first, so that jobs can save what they did; the database last."""
        self.is_stopping = True
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)
        ours = [*self.programs, *self.leaving]
        children = [*ours, *reversed(self.services)]
        if not children:
            return
        self.builder.stop()
        self.say("stopping")
        for child in ours:
            child.ask_to_stop()
        for child in children:
            child.stop()
        self.say("stopped")

    def _want_restart(self, number: int, frame: object) -> None:
        self.is_restart_wanted = True

    def _roll(self) -> None:
        """Begin the restart that is wanted, or go a step further in the one that is on."""
        if self.is_restart_wanted and self.rolling is None:
            self.rolling = rolling.everything(self, partial(_tell, settings.VAR / RESTART_LOG))
        self.is_restart_wanted = False
        if self.rolling is not None:
            try:
                next(self.rolling)
            except StopIteration:
                self.rolling = None

    def _see_off(self) -> None:
        """Forget the web processes that have left, and end those that never would."""
        for child in [*self.leaving]:
            longest = settings.DRAIN_SECONDS + LEAVING_SECONDS
            if child.exit_code is not None:
                self.leaving.remove(child)
            elif child.is_late(longest):
                child.stop()

    def _start_postgres(self) -> None:
        server = postgres.Postgres(
            settings.VAR, settings.VAR / "log/postgres.log", binaries=settings.POSTGRES_BIN
        )
        is_new = server.prepare()
        child = server.make()
        self.services.append(child)
        child.start()
        server.wait_ready(child)
        self.say("PostgreSQL is ready" + (", with a new database" if is_new else ""))

    def _start_valkey(self) -> None:
        child = valkey.make(settings.VAR, settings.VAR / "log/valkey.log")
        self.services.append(child)
        child.start()
        valkey.wait_ready(settings.VAR, child)
        self.say("Valkey is ready")

    def _prepare_tables(self) -> None:
        try:
            call_command("migrate", verbosity=0)
        except OperationalError as error:
            raise UserError(f"the database does not answer ({error}); see DATABASE_URL") from error
        self.sign_in = first_sign_in()
        connection.close_pool()  # type: ignore[attr-defined]  # watching needs none
        self.say("tables are up to date")

    def _wait_for_web(self) -> None:
        web = self.programs[0]
        end = time.monotonic() + WEB_SECONDS
        while time.monotonic() < end and web.exit_code is None:
            if web.is_ready:
                return
            time.sleep(0.05)
        raise UserError(f"the web process did not start; end of {web.log}:\n{web.last_lines()}")

    def _restart(self, child: Child) -> None:
        """Say that ``child`` ended and, after a wait that doubles, start it again."""
        name = child.name
        if name not in self.restarts:
            if child.age_seconds > STEADY_SECONDS:
                self.failures[name] = 0
            wait = min(LONGEST_WAIT_SECONDS, 0.5 * 2 ** self.failures.get(name, 0))
            self.failures[name] = self.failures.get(name, 0) + 1
            self.restarts[name] = time.monotonic() + wait
            self.say(
                f"{name} ended with code {child.exit_code}; starting it again in {wait:g} s"
                f" (its log: {child.log})"
            )
        elif time.monotonic() >= self.restarts[name]:
            del self.restarts[name]
            child.start()


def take_lock(file: Path, address: str) -> Any:
    """Hold ``file`` for as long as this process lives; a second start says who holds it."""
    lock = file.open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.seek(0)
        raise UserError(f"Kos is already running: {lock.read().strip()}") from error
    lock.truncate(0)
    lock.write(f"{address} (process {os.getpid()})\n")
    lock.flush()
    return lock


def is_locked(file: Path) -> bool:
    """Whether a living process holds ``file``."""
    if not file.exists():
        return False
    with file.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def has_terminal() -> bool:
    """Whether a terminal is ours, whose end would be ours as well."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _local(host: str) -> str:
    """An address of this machine under which a server bound to ``host`` answers."""
    return "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104 (compared, not bound)


def _tell(file: Path, text: str) -> None:
    with file.open("a") as told:
        told.write(f"{text}\n")


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt
